"""``run_benchmark.py merge DIR…``: merges the shards of a run and writes its results and tables."""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.arguments import add_fresh
from harness.commands.user_files import check_files, import_plugins
from harness.errors import InputError
from harness.evaluation.result_folder import require_folder
from harness.loading import loading
from harness.names import OneLineParser


def main(argv: Sequence[str]) -> int:
    """Check, merge, count and print."""
    parser = OneLineParser(prog='run_benchmark.py merge', allow_abbrev=False,
                           description='Merge the shards of a run into one, once every image is known to be in one of '
                                       'them.')
    parser.add_argument('folders', nargs='+', type=Path, metavar='DIR',
                        help='the folder of the run, which holds those of its shards; or the folders of the shards')
    parser.add_argument('--out', type=Path, metavar='DIR', help='the folder of the merged run (default: the one DIR)')
    parser.add_argument('--import', action='append', type=Path, default=[], metavar='FILE.py', dest='imports',
                        help='your own file of metrics, if the shards were run with one')
    add_fresh(parser)
    args = parser.parse_args(argv)
    if args.out is None and len(args.folders) > 1:
        raise InputError('--out: several folders are given; add --out DIR, the folder of the merged run')
    check_files(args.imports)
    require_folder(args.out)
    loading('torch')
    import_plugins(args.imports)
    return merge_folders(args.folders, args.out or args.folders[0], args.fresh)


def merge_folders(folders: Sequence[Path], out: Path, fresh: bool) -> int:
    """Merge the shards in ``folders`` into ``out``, then write and print its results."""
    from harness.commands.run import finish
    from harness.evaluation.measure import Measured
    from harness.evaluation.merge import check_shards, find_shards, merge
    from harness.evaluation.outcome import outcome_of
    from harness.evaluation.plan_record import versions
    from harness.registry import METRICS

    shards = find_shards(folders, out)
    check_shards(shards)
    METRICS.import_from_location()
    wanted = shards[0].header.plan.get('metrics')
    if wanted != list(METRICS.module_dict):
        raise InputError(f'--import: the shards were run with the metrics {", ".join(wanted or ())}; give the same '
                         'files of metrics')
    header = merge(shards, out, fresh, lambda line: print(line, file=sys.stderr))
    about, outcome = header.about, outcome_of(out, header.tasks)
    measured = Measured(out, outcome, about['data'], about['notes'], about['weights'], about['images_in'],
                        about.get('detector_seen', {}), about.get('passports', {}), about.get('versions') or versions())
    spent = sum(stage.seconds for stage in outcome.timing.stages.values())
    finish(measured, about['command'], {**about['options'], 'out': str(out)}, spent)
    return 0
