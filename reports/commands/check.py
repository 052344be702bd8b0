"""``python -m reports check RESULTS``: has a run become worse than a baseline? For CI."""
from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from harness.data.run_files import results_file
from harness.errors import InputError
from harness.names import OneLineParser
from reports.limits import DEFAULT_TOLERANCE, SHIPPED, SIGNIFICANT


def main(argv: Sequence[str]) -> int:
    """``python -m reports check RESULTS --against BASELINE``."""
    parser = OneLineParser(prog='python -m reports check', allow_abbrev=False, description=(
        f'Fail (exit code 1) where results are worse than a baseline: a metric fell by more than its tolerance '
        f'({DEFAULT_TOLERANCE} points unless the baseline says otherwise), a record is missing, data, weights or '
        'conventions differ. Exit code 2: they cannot be compared.'))
    parser.add_argument('results', type=Path, help='a run\'s folder or its results.json')
    parser.add_argument('--against', type=Path, metavar='BASELINE',
                        help='a baseline file or a run\'s folder (default: that of the embedded benchmark)')
    parser.add_argument('--part', action='append', metavar='DATASET[/SPLIT]',
                        help='only what the baseline says of this part; repeatable')
    parser.add_argument('--significant', action='store_true', help=(
        f'instead of tolerances: fail where a paired test has p < {SIGNIFICANT}; needs both predictions.jsonl'))
    parser.add_argument('--max-slowdown', type=_ratio, metavar='RATIO',
                        help='also fail where a stage takes more than RATIO times as long')
    parser.add_argument('--junit', type=Path, metavar='FILE', help='also write JUnit XML')
    parser.add_argument('--summary', type=Path, metavar='FILE', help='also write the report as Markdown')
    parser.add_argument('--update', action='store_true', help='make the results the baseline; needs --reason')
    parser.add_argument('--reason', metavar='TEXT', help='why the baseline changes; kept in it with the date')
    args = parser.parse_args(argv)
    if args.update != bool(args.reason and args.reason.strip()):
        raise InputError('--update and --reason TEXT: give both or none; the baseline keeps why it changed')
    if args.update:
        _refuse_beside_update(args)
    results_file(args.results)
    from reports.baseline import part_of, read_baseline, read_run
    from reports.check import FIRST, cases, check_listing, junit, partial, remarks, update, write
    from reports.drawing.rendering import markdown, written
    from reports.drawing.sheets import printable
    if args.update:
        return update(read_run(args.results), args.against, printable(args.reason))
    against = args.against or SHIPPED
    needed = () if args.max_slowdown is None else ('seconds',)
    now, baseline = read_run(args.results, needed), read_baseline(against, needed)
    if args.part is not None:
        baseline = part_of(baseline, args.part)
    found = cases(now, baseline, args.max_slowdown, args.significant)
    said = [*partial(now, baseline.run), *remarks(now, baseline)], f'Check against {against}'
    whole = markdown(check_listing(found, *said)) + '\n'
    for option, file, content in (('--junit', args.junit, junit(found)), ('--summary', args.summary, whole)):
        if file is not None:
            write(option, file, content)
    print(written(check_listing(found, *said, FIRST)))
    return int(any(case.wrong for case in found))


def _refuse_beside_update(args: argparse.Namespace) -> None:
    """Refuse what a baseline is not made by, and to write over one that nobody named."""
    for option in ('part', 'significant', 'max_slowdown', 'junit', 'summary'):
        if getattr(args, option):
            raise InputError(f'--{option.replace("_", "-")}: has no effect on --update, which checks nothing; leave '
                             'one out')
    if args.against is None:
        raise InputError('--update: says not which baseline; add --against FILE')


def _ratio(text: str) -> float:
    value = float(text)
    if not 1 <= value < math.inf:
        raise argparse.ArgumentTypeError(f'{text} allows no time; give a ratio of 1 or more')
    return value
