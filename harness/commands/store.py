"""``run_benchmark.py store info | verify | clear``: the detections that are kept for later runs."""
from __future__ import annotations

from collections.abc import Sequence

from harness.loading import loading
from harness.names import OneLineParser


def main(argv: Sequence[str]) -> int:
    """Look at the store, check it, or empty it."""
    parser = OneLineParser(prog='run_benchmark.py store', allow_abbrev=False,
                           description='The detections that are kept for later runs, in $REFNMS_STORE or '
                                       '~/.cache/refnms-store.')
    parser.add_argument('what', choices=('info', 'verify', 'clear'),
                        help='info: how many and how large; verify: hold each against its checksum and remove the '
                             'damaged ones; clear: remove all')
    args = parser.parse_args(argv)
    loading('torch')
    from harness.detection.store import GIGABYTE, DetectionStore

    store = DetectionStore()
    if args.what == 'clear':
        print(f'{store.clear()} entries were removed from {store.folder}')
        return 0
    damaged = store.verify() if args.what == 'verify' else []
    for path in damaged:
        print(f'{path}: was damaged and is removed')
    sizes = [entry.size for entry in store.entries()]
    print(f'{store.folder}: {len(sizes)} entries, {sum(sizes) / GIGABYTE:.2f} of {store.limit / GIGABYTE:.0f} GB')
    return 1 if damaged else 0
