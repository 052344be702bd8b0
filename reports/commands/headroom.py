"""``python -m reports headroom RESULTS…``: where the points are, and what mending each step would bring."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.data.run_files import predictions_file
from harness.errors import InputError
from harness.names import OneLineParser, pick
from reports.drawing.formats import add_format


def main(argv: Sequence[str]) -> int:
    """``python -m reports headroom RESULTS…``."""
    parser = OneLineParser(prog='python -m reports headroom', allow_abbrev=False, description=(
        'What each step from candidates to mask costs, and what mending it alone would bring, by dataset, grounder and '
        'rule.'), epilog='example: headroom runs/new --grounder cmae --plot headroom.png')
    parser.add_argument('results', nargs='+', type=Path, help='run folders or predictions.jsonl files')
    for name in ('dataset', 'split', 'grounder', 'proposals'):
        parser.add_argument(f'--{name}', action='append', metavar='NAME', help=f'only these {name}'.removesuffix('s')
                            + 's' * (name != 'proposals'))
    parser.add_argument('--by-split', action='store_true', help='a table for each split')
    add_format(parser)
    parser.add_argument('--plot', type=Path, metavar='FILE', help='also draw the waterfalls, .png or .svg')
    args = parser.parse_args(argv)
    for path in args.results:
        predictions_file(path)
    from reports.compare import only
    from reports.drawing.listing import Listing
    from reports.drawing.rendering import written
    from reports.failures import remarks
    from reports.headroom import BY, NOTES, blocks, draw, reachable, waterfalls
    from reports.rows.prediction_rows import read_predictions
    from reports.statistics.outcomes import rows_of
    rows = rows_of('accuracy', only(read_predictions(args.results), args.dataset, args.split))
    rows = rows[rows['iou'].notna() | rows['mask_union'].notna()]
    for column, asked in (('grounder', args.grounder), ('proposals', args.proposals)):
        if asked is not None:
            rows = rows[rows[column].isin(pick(f'--{column}', asked, rows[column].unique(), ()))]
    if rows.empty:
        raise InputError(f'{args.results[0]}: no grounder answered here, so nothing was lost on its way; run with '
                         '--grounder')
    proposed, beside = rows[rows['best_proposal_iou'].notna()], reachable(rows)
    if proposed.empty and beside is None:
        raise InputError(f'{args.results[0]}: are answers from outside, of which no proposals are known; judge them '
                         'with --candidates FILE to see what a two-stage method could reach')
    found = waterfalls(proposed, [BY[0], 'split', *BY[1:]] if args.by_split else BY)
    if args.plot is not None:
        if not found:
            raise InputError('--plot: there is no waterfall of answers from outside; leave it out')
        draw(found, args.plot)
    notes = [*NOTES, *remarks(proposed)] if found else []
    print(written(Listing([*blocks(found), *([beside] if beside else [])], notes), args.format))
    return 0
