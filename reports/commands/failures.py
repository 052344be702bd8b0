"""``python -m reports failures RESULTS…``: where each wrong expression was lost."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness.data.run_files import predictions_file
from harness.errors import InputError
from harness.names import OneLineParser, pick
from reports.drawing.formats import add_format
from reports.failure_bins import MASK_IOU, NAMES


def main(argv: Sequence[str]) -> int:
    """``python -m reports failures RESULTS…``."""
    parser = OneLineParser(prog='python -m reports failures', allow_abbrev=False, description=(
        'Count where wrong expressions were lost, by dataset, grounder and rule.'),
        epilog='example: failures runs/new --from greedy --to ref-nms-b --plot failures.png')
    parser.add_argument('results', nargs='+', type=Path, help='run folders or predictions.jsonl files')
    parser.add_argument('--from', dest='source', metavar='RULE', help='with --to: who went where instead')
    parser.add_argument('--to', dest='target', metavar='RULE')
    parser.add_argument('--mask-iou', type=_share, metavar='X',
                        help=f'masks below are wrong (default: {MASK_IOU})')
    for name in ('dataset', 'split', 'grounder'):
        parser.add_argument(f'--{name}', action='append', metavar='NAME', help=f'only these {name}s')
    parser.add_argument('--list', action='append', metavar='BIN', help=(
        f'name the expressions instead of counting them, by sent_id; repeated or comma-separated: {", ".join(NAMES)}'))
    parser.add_argument('--reviews', nargs='+', type=Path, metavar='FILE',
                        help='reviewed labels (Ref-L4): wrong answers to faulty ones have a bin of their own')
    add_format(parser)
    parser.add_argument('--plot', type=Path, metavar='FILE', help='also draw stacked bars, .png or .svg')
    args = parser.parse_args(argv)
    if (args.source is None) != (args.target is None):
        raise InputError('--from and --to: give both, a rule each, or none')
    if args.list is not None and args.source is not None:
        raise InputError('--list and --from: one names expressions, the other counts them; leave one out')
    wanted = pick('--list', args.list, NAMES, ())
    for path in args.results:
        predictions_file(path)
    from reports.compare import only
    from reports.drawing.listing import Listing
    from reports.drawing.rendering import written
    from reports.failures import NOTES, bins, count_block, counted, draw, flows, listed, remarks
    from reports.rows.prediction_rows import read_predictions
    from reports.rows.reviews import read_reviews
    from reports.statistics.outcomes import rows_of
    rows = rows_of('accuracy', only(read_predictions(args.results), args.dataset, args.split))
    rows = rows[rows['iou'].notna() | rows['mask_union'].notna()]
    if rows.empty:
        raise InputError(f'{args.results[0]}: no grounder answered here, so nothing was chosen wrongly; '
                         'run with --grounder, or look at recall in the tables')
    if args.grounder is not None:
        rows = rows[rows['grounder'].isin(pick('--grounder', args.grounder, rows['grounder'].unique(), ()))]
    if args.mask_iou is not None and rows['mask_union'].isna().all():
        raise InputError(f'--mask-iou: {args.results[0]} has no masks of what was asked for; leave it out')
    if args.reviews is not None:
        rows = rows.assign(faulty=read_reviews(args.reviews).faults(rows))
        if rows['faulty'].isna().all():
            raise InputError('--reviews: none of the expressions was reviewed; give the reviewed file of this dataset '
                             'and split')
    mask_at = MASK_IOU if args.mask_iou is None else args.mask_iou
    found = bins(rows, mask_at)
    counts = counted(rows, found)
    drawn = args.format not in ('csv', 'json')
    blocks = [count_block(counts, mask_at, drawn)]
    if args.source is not None:
        blocks = flows(rows, found, args.source, args.target, mask_at, drawn)
    if wanted:
        blocks = listed(rows, found, wanted, mask_at)
    if args.plot is not None:
        draw(counts, args.plot, mask_at)
    empty = [f'No expression is in {name}.' for name in wanted if all(block.keys['bin'] != name for block in blocks)]
    print(written(Listing(blocks, [*NOTES, *remarks(rows), *empty]), args.format))
    return 0


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is no IoU; give a number from 0 to 1')
    return value
