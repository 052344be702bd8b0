"""``python -m reports compare A B``: is one run or rule better than another?"""
from __future__ import annotations

from collections.abc import Sequence

from harness.errors import InputError
from harness.names import OneLineParser, pick
from reports.drawing.formats import add_format
from reports.rows.metrics import METRICS
from reports.sides import named_sides

DEFAULT_METRICS = ('referent_recall', 'accuracy', 'overall_iou')


def main(argv: Sequence[str]) -> int:
    """``python -m reports compare A B``."""
    parser = OneLineParser(prog='python -m reports compare', allow_abbrev=False, description=(
        'Compare B with A, paired by expression: difference with a 95 % interval (bootstrap over images), exact test, '
        'wins, losses, ties; over all and by split, length, size, rivals and location words.'),
        epilog='examples: compare runs/old runs/new · compare runs/new:greedy :ref-nms-b · '
               'compare runs/new:greedy:cmae :greedy:mattnet')
    parser.add_argument('a', metavar='A', help='PATH[:RULE[:GROUNDER]], a run\'s folder or a predictions.jsonl')
    parser.add_argument('b', metavar='B', help='the same; without a PATH, as :RULE, it is in A\'s')
    parser.add_argument('--metric', action='append', metavar='NAME',
                        help=f'repeated or comma-separated, or all (default: {", ".join(DEFAULT_METRICS)}); '
                             f'known: {", ".join(METRICS)}')
    parser.add_argument('--proposals', action='append', metavar='RULE', help='only these rules of those that both have')
    parser.add_argument('--grounder', action='append', metavar='NAME', help='only these grounders')
    parser.add_argument('--dataset', action='append', metavar='NAME', help='only these datasets')
    parser.add_argument('--split', action='append', metavar='NAME', help='only these splits')
    parser.add_argument('--no-groups', action='store_true', help='over all expressions alone')
    add_format(parser)
    args = parser.parse_args(argv)
    metrics = pick('--metric', args.metric, METRICS, DEFAULT_METRICS)
    named = named_sides(args.a, args.b)
    for option, given, sides in (('--proposals', args.proposals, [side.rule for side in named]),
                                 ('--grounder', args.grounder, [side.grounder for side in named])):
        if given is not None and any(sides):
            raise InputError(f'{option}: A or B names one already; leave it out')
    from reports.compare import NOTES, blocks, only, read_sides
    from reports.drawing.listing import Listing
    from reports.drawing.rendering import written
    from reports.rows.prediction_rows import NO_GROUNDER
    a, b = (side._replace(rows=only(side.rows, args.dataset, args.split)) for side in read_sides(*named))
    rules, grounders = (None if given is None else pick(option, given, a.rows[column].unique(), ())
                        for option, given, column in (('--proposals', args.proposals, 'proposals'),
                                                      ('--grounder', args.grounder, 'grounder')))
    found = blocks(a, b, metrics, rules, grounders, not args.no_groups)
    if grounders is not None and all(block.keys['grounder_a'] == NO_GROUNDER for block in found):
        raise InputError(f'--grounder: has no effect on {", ".join(metrics)}; leave it out')
    lacking = [metric for metric in metrics if all(block.keys['metric'] != metric for block in found)]
    notes = (*NOTES, f'Not measured in both: {", ".join(lacking)}.') if lacking else NOTES
    print(written(Listing(found, notes), args.format))
    return 0
