"""``run_benchmark.py train``: every shipped weight file from seeds, in order, resumable.

Weights go into a folder of their own, and over the shipped ones only with ``--overwrite``. The work is done by
:mod:`harness.commands.shipped_weights`.
"""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.commands import train_ref_nms as ref_nms_command
from harness.data.embedded_names import SPLIT_BY
from harness.errors import InputError
from harness.files.shipped import SHIPPED
from harness.loading import loading
from harness.names import OneLineParser, pick
from harness.options import MOST_SEED, within
from harness.program import CHECKOUT
from harness.registry import GROUNDERS, names

WORK = Path('results') / 'training'
OUT = Path('results') / 'weights'
#: Ref-NMS's other loss and text, whose weights are not shipped.
FROZEN = ('ref-nms-r', 'ref-nms-blind')


def main(argv: Sequence[str]) -> int:
    """Parse the options and train the parts asked for; ``ref-nms`` has options of its own."""
    if argv and argv[0] == 'ref-nms':
        return ref_nms_command.main(argv[1:])
    trainable = [name for name in names(GROUNDERS) if GROUNDERS.attribute(name, 'recipe') is not None]
    parts = ['detector', 'ref-nms-b', *trainable]
    parser = OneLineParser(prog='run_benchmark.py train', description=__doc__.split('\n')[0])
    parser.add_argument('part', nargs='+', help=f'all, or some of: {", ".join(parts)}; or else {", ".join(FROZEN)}, '
                        'which are not shipped; or "ref-nms --help": Ref-NMS with any option on any dataset')
    parser.add_argument('--dataset', action='append', metavar='NAME',
                        help='datasets of Ref-NMS and grounders (default: all)')
    parser.add_argument('--seed', type=int, default=1, help='seed of everything random (default: 1)')
    parser.add_argument('--out', type=Path, metavar='DIR', help=f'where weights go (default: {OUT}); weights of '
                        'other parts that a part needs are taken from there, else the shipped ones are')
    parser.add_argument('--overwrite', action='store_true', help='write over the shipped weights')
    parser.add_argument('--work', type=Path, default=WORK, metavar='DIR',
                        help=f'checkpoints and logs (default: {WORK})')
    args = parser.parse_args(argv)
    named = ','.join(args.part).split(',')
    wanted = [part for part in pick('train', args.part, [*parts, *FROZEN], parts) if part in parts or part in named]
    datasets = pick('--dataset', args.dataset, SPLIT_BY, tuple(SPLIT_BY))
    if args.dataset is not None and wanted == ['detector']:
        raise InputError('--dataset: all datasets share one detector; leave it out')
    within('--seed', args.seed, 0, MOST_SEED)
    out = _folder(args.out, args.overwrite)
    loading()
    from harness.commands.shipped_weights import Training
    training = Training(out, args.work, args.seed, SHIPPED)
    if 'detector' in wanted:
        training.detector_file()
    for dataset in datasets:
        for part in wanted:
            if part == 'ref-nms-b':
                training.ref_nms_file(dataset)
            elif part in FROZEN:
                training.frozen_file(part, dataset)
            elif part in trainable:
                training.grounder_file(part, dataset)
    replacing = ', --overwrite puts new ones in their place' if CHECKOUT else ''
    from harness.training.runner import console
    console.print(f'weights are in {out}' + (
        '' if args.overwrite else f'; those in {SHIPPED} are as they were{replacing}'))
    return 0


def _folder(wanted: Path | None, overwrite: bool) -> Path:
    """The folder for the weights.

    Raises:
        InputError: the folder holds the shipped weights and ``--overwrite`` is not given, or the path is no folder.
    """
    if overwrite and not CHECKOUT:
        raise InputError(f'--overwrite: the shipped weights are part of an installed package; leave it out, and give '
                         f'{wanted or OUT} to a run by --weights NAME=FILE')
    if overwrite and wanted is not None:
        raise InputError(f'--out {wanted}: --overwrite writes to the folder of the shipped weights; leave one of '
                         'the two out')
    out = SHIPPED if overwrite else wanted or OUT
    if out.resolve() == SHIPPED.resolve() and not overwrite:
        raise InputError(f'--out {out}: holds the shipped weights; ' + (
            'to replace them, give --overwrite instead' if CHECKOUT else 'choose another folder'))
    if out.exists() and not out.is_dir():
        raise InputError(f'--out {out}: is a file; choose a folder')
    return out
