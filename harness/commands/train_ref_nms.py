"""``run_benchmark.py train ref-nms``, the earlier form of ``train ref-nms-b`` and ``train ref-nms-r``, for one version.

``--config`` is now ``--dataset``, ``--loss`` is part of the name, ``--maps`` is ``--store``, and ``--out`` was a file.
Under ``torchrun --nproc-per-node N run_benchmark.py train …`` N processes share the work in both forms.
"""
from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.arguments import add_device, add_settings, add_vectors, add_weights
from harness.data.embedded_names import EMBEDDED
from harness.errors import InputError
from harness.evaluation.datasets import STAND_IN
from harness.evaluation.settings import parse_weights
from harness.loading import loading
from harness.names import OneLineParser, nearest, pick
from harness.options import MOST_SEED, within
from harness.training.ref_nms.options import RECIPES, TrainingOptions, refuse_without_effect, with_settings

WORK = Path('results') / 'training'
CONFIGS = (*STAND_IN, *EMBEDDED)
_STORES = {None: None, 'kept': 'maps', 'anew': 'none'}


def main(argv: Sequence[str]) -> int:
    """Parse the options; check, and train unless it is a dry run."""
    parser = OneLineParser(prog='run_benchmark.py train ref-nms', description='The earlier form of "train ref-nms-b '
                           '--dataset NAME" and "train ref-nms-r --dataset NAME", for one version.')
    parser.add_argument('--config', metavar='NAME', help=f'{", ".join(CONFIGS)} (default: mini-refcoco)')
    parser.add_argument('--data-root', type=Path, metavar='DIR', help='real datasets in REFER\'s layout')
    parser.add_argument('--loss', choices=('binary', 'ranking'), default='binary', help='Eq. 3 or Eq. 4')
    parser.add_argument('--recipe', choices=tuple(RECIPES), help='where the other options come from (default: '
                        '"released" for real datasets, "embedded" for ours)')
    add_settings(parser, 'any option of docs/ref-nms-options.md, for instance head=frozen, text=blind, lr=1e-3',
                 'OPTION=VALUE')
    add_weights(parser, 'a converted detector', 'detector=FILE')
    add_vectors(parser)
    parser.add_argument('--maps', choices=('kept', 'anew'),
                        help='C4 maps: kept on disk, or computed anew each time (default)')
    parser.add_argument('--seed', type=int, default=1, help='seed of everything random (default: 1)')
    parser.add_argument('--checkpoint-every', type=int, metavar='N', help='steps (default: an epoch)')
    parser.add_argument('--workers', type=int, metavar='N', help='processes that load kept maps')
    add_device(parser)
    parser.add_argument('--out', type=Path, metavar='FILE', help='where the weights go (default: in the work folder)')
    parser.add_argument('--work', type=Path, default=WORK, metavar='DIR',
                        help=f'regions, checkpoints and logs (default: {WORK})')
    parser.add_argument('--dry-run', action='store_true',
                        help='check everything, estimate time and memory, write nothing')
    args = parser.parse_args(argv)
    command = 'python run_benchmark.py train ref-nms ' + shlex.join(argv)
    name, options, weights = checked(args)
    loading()
    from harness.commands.one_training import train_part
    from harness.commands.training_request import TrainingRequest
    work = args.work / f'{options.weights}-{name}-seed{args.seed}'
    out = args.out or work / f'{options.weights}-{name}.safetensors'
    if out.is_dir():
        raise InputError(f'--out {out}: is a folder; name a file')
    request = TrainingRequest(options.weights, name, out, work, args.work, args.seed, args.data_root, weights=weights,
                              settings=args.settings, vectors=args.vectors, store=_STORES[args.maps],
                              checkpoint_every=args.checkpoint_every, workers=args.workers, device=args.device)
    train_part(request, options, args.dry_run, command)
    return 0


def checked(args: Any) -> tuple[str, TrainingOptions, Mapping[str, Path]]:
    """The name of the dataset, the options of the training and the weights, checked before anything is read.

    Raises:
        InputError: an option is wrong.
    """
    name = _config(args.config, args.data_root)
    recipe = args.recipe or ('embedded' if name in EMBEDDED else 'released')
    options = with_settings(RECIPES[recipe][args.loss], args.settings)
    if options.loss != args.loss:
        raise InputError(f'--set loss={options.loss}: the loss is chosen by --loss, since other options go with it')
    refuse_without_effect(args.settings, options)
    _check_numbers(args)
    if args.maps is not None and options.head == 'frozen':
        raise InputError(f'--maps {args.maps}: a frozen head (--set head=frozen) learns from no maps; leave it out')
    if args.workers and (args.maps != 'kept' or options.sampling.draws == 'stream'):
        raise InputError('--workers: can load maps that are kept (--maps kept) by draws that depend on their place '
                         '(--set draws=index); leave it out')
    weights = parse_weights(args.weights)
    if unknown := sorted(set(weights) - {'detector'}):
        raise InputError(f'--weights {unknown[0]}=…: this training takes only a detector'
                         f'{nearest(unknown[0], ["detector"])}')
    return name, options, weights


def _config(name: str | None, root: Path | None) -> str:
    """The dataset to train on; ``--data-root`` alone does not say which one of its datasets."""
    config, = pick('--config', None if name is None else [name], CONFIGS, ('mini-refcoco',))
    if root is not None and config in EMBEDDED:
        wrong = (f'{config} is not read from there; leave it out, or add' if name is not None
                 else 'does not say which of its datasets to train on; add')
        raise InputError(f'--data-root {root}: {wrong} --config {", ".join(STAND_IN)}')
    return config


def _check_numbers(args: Any) -> None:
    for option, least, most in (('seed', 0, MOST_SEED), ('checkpoint_every', 1, 10 ** 9), ('workers', 0, 1024)):
        within(f'--{option.replace("_", "-")}', getattr(args, option), least, most)
