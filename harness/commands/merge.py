"""``run_benchmark.py merge DIR…``: the shards of a run to one, proven to be whole, with its results and tables."""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.arguments import add_fresh
from harness.commands.user_files import import_plugins
from harness.errors import InputError
from harness.loading import loading
from harness.names import OneLineParser


def main(argv: Sequence[str]) -> int:
    """Check, merge, count and print."""
    parser = OneLineParser(prog='run_benchmark.py merge', allow_abbrev=False,
                           description='Put the shards of a run together: every image is there once, or it says which '
                                       'is not.')
    parser.add_argument('folders', nargs='+', type=Path, metavar='DIR',
                        help='the folder of the run, which holds those of its shards, or these folders')
    parser.add_argument('--out', type=Path, metavar='DIR', help='where the whole goes (default: the one DIR)')
    parser.add_argument('--import', action='append', type=Path, default=[], metavar='FILE.py', dest='imports',
                        help='your own file of metrics, as the shards had it')
    add_fresh(parser)
    args = parser.parse_args(argv)
    if args.out is None and len(args.folders) > 1:
        raise InputError('--out: several folders are given; say where the whole goes by --out DIR')
    loading('torch')
    import_plugins(args.imports)
    return merge_folders(args.folders, args.out or args.folders[0], args.fresh)


def merge_folders(folders: Sequence[Path], out: Path, fresh: bool) -> int:
    """Merge what is in ``folders`` into ``out``."""
    from harness.commands.run import finish
    from harness.evaluation.measure import Measured
    from harness.evaluation.merge import check_parts, find_parts, merge
    from harness.evaluation.outcome import outcome_of
    from harness.registry import METRICS

    parts = find_parts(folders, out)
    check_parts(parts)
    METRICS.import_from_location()
    wanted = parts[0].header.plan.get('metrics')
    if wanted != list(METRICS.module_dict):
        raise InputError(f'--import: the shards were run with the metrics {", ".join(wanted or ())}; give the same '
                         'files')
    header = merge(parts, out, fresh, lambda line: print(line, file=sys.stderr))
    about, outcome = header.about, outcome_of(out, header.tasks)
    measured = Measured(out, outcome, about['data'], about['notes'], about['weights'], about['images_in'])
    spent = sum(stage.seconds for stage in outcome.timing.stages.values())
    finish(measured, about['command'], {**about['options'], 'out': str(out)}, spent)
    return 0
