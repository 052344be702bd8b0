"""``run_benchmark.py train``: detectors, Ref-NMS and grounders, on the embedded benchmark or on data of one's own.

Without further options the shipped weight files are trained again. With ``--data-root DIR --dataset refcoco --weights
detector=FILE`` the same parts learn from photographs, with any detector; ``--recipe`` and ``--set`` change how. Every
training is resumable, and ``--dry-run`` says what it would take.
"""
from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.arguments import add_device, add_settings, add_vectors, add_weights
from harness.commands import train_ref_nms as ref_nms_command
from harness.commands.one_training import REF_NMS, options_of, train_part
from harness.data.embedded_names import EMBEDDED
from harness.errors import InputError
from harness.evaluation.datasets import dataset_names
from harness.evaluation.settings import parse_weights
from harness.files.shipped import SHIPPED
from harness.loading import loading
from harness.names import OneLineParser, nearest, pick
from harness.options import MOST_SEED, within
from harness.program import CHECKOUT
from harness.registry import GROUNDERS, names

WORK = Path('results') / 'training'
OUT = Path('results') / 'weights'
#: Options that make it another training than that of the shipped weights.
OF_ONES_OWN = ('data_root', 'split_by', 'images', 'weights', 'recipe', 'settings', 'vectors', 'attributes', 'store',
               'precision', 'checkpoint_every', 'workers', 'device', 'dry_run')


def main(argv: Sequence[str]) -> int:
    """Parse the options and train the parts asked for."""
    if argv and argv[0] == 'ref-nms':
        return ref_nms_command.main(argv[1:])
    trainable = [name for name in names(GROUNDERS) if GROUNDERS.attribute(name, 'recipe') is not None]
    parts = ['detector', *REF_NMS, *trainable]
    args = _parser(parts).parse_args(argv)
    wanted = pick('train', args.part, parts, parts)
    within('--seed', args.seed, 0, MOST_SEED)
    out = _folder(args.out, args.overwrite)
    if any(getattr(args, name) not in (None, [], False) for name in OF_ONES_OWN):
        _train_ones_own(args, wanted, out, 'python run_benchmark.py train ' + shlex.join(argv))
    else:
        _train_shipped(args, wanted, trainable, out)
    return 0


def _parser(parts: Sequence[str]) -> OneLineParser:
    parser = OneLineParser(prog='run_benchmark.py train', description=__doc__.split('\n')[0])
    parser.add_argument('part', nargs='+', help=f'all, or some of: {", ".join(parts)}')
    parser.add_argument('--dataset', action='append', metavar='NAME', help='datasets of Ref-NMS and grounders '
                        '(default: the embedded ones; with --data-root all that are there)')
    parser.add_argument('--seed', type=int, default=1, help='seed of everything random (default: 1)')
    parser.add_argument('--out', type=Path, metavar='DIR', help=f'where weights go, NAME-DATASET.safetensors (default: '
                        f'{OUT}); weights of other parts that a part needs are taken from there')
    parser.add_argument('--work', type=Path, default=WORK, metavar='DIR',
                        help=f'stored features, checkpoints and logs (default: {WORK})')
    parser.add_argument('--overwrite', action='store_true', help='write over the shipped weights')
    own = parser.add_argument_group('data and recipes of your own')
    own.add_argument('--data-root', type=Path, metavar='DIR', help='datasets in REFER\'s layout')
    own.add_argument('--split-by', metavar='NAME', help='whose splits, where there are several refs files')
    own.add_argument('--images', type=Path, metavar='DIR', help='the image folder, if not in the data root')
    add_weights(own, 'a converted detector; for nmtree also mattnet=FILE', 'detector=FILE')
    own.add_argument('--recipe', metavar='NAME', help='embedded: small enough for two cores; released: the originals\' '
                     'own; for Ref-NMS also paper (default: released with --data-root, else embedded)')
    add_settings(own, 'an option of the recipe (docs/ref-nms-options.md, docs/grounder-options.md); with several parts '
                 'NAME.OPTION=VALUE', 'OPTION=VALUE')
    add_vectors(own)
    own.add_argument('--attributes', type=Path, metavar='FILE', help='sents.json of refer-parser2, for MAttNet and '
                     'CM-A-E (default: attributes are derived from the sentences)')
    own.add_argument('--store', choices=('crops', 'maps', 'none'), help='what Ref-NMS keeps of images on disk '
                     '(default: crops; with a C4 detector none, and it looks at images again)')
    own.add_argument('--precision', choices=('fp32', 'bf16', 'fp16'), help='of training steps on a GPU (default: fp32)')
    own.add_argument('--checkpoint-every', type=int, metavar='N', help='steps (default: an epoch)')
    own.add_argument('--workers', type=int, metavar='N', help='processes that load what Ref-NMS has stored')
    add_device(own)
    own.add_argument('--dry-run', action='store_true',
                     help='check everything, estimate hours, disk and memory, write nothing')
    return parser


# The shipped weights.

def _train_shipped(args: Namespace, wanted: Sequence[str], trainable: Sequence[str], out: Path) -> None:
    datasets = pick('--dataset', args.dataset, EMBEDDED, EMBEDDED)
    if args.dataset is not None and wanted == ['detector']:
        raise InputError('--dataset: all datasets share one detector; leave it out')
    loading()
    from harness.commands.shipped_weights import Training
    training = Training(out, args.work, args.seed, SHIPPED)
    if 'detector' in wanted:
        training.detector_file()
    for dataset in datasets:
        for part in wanted:
            if part in REF_NMS:
                training.ref_nms_file(part, dataset)
            elif part in trainable:
                training.grounder_file(part, dataset)
    replacing = ', --overwrite puts new ones in their place' if CHECKOUT else ''
    from harness.training.runner import console
    console.print(f'weights are in {out}' + (
        '' if args.overwrite else f'; those in {SHIPPED} are as they were{replacing}'))


# Data and recipes of one's own.

def _train_ones_own(args: Namespace, wanted: Sequence[str], out: Path, command: str) -> None:
    """Train each part on each dataset, one after the other."""
    if args.overwrite:
        raise InputError('--overwrite: the shipped weights are trained without options of one\'s own; leave it out')
    if 'detector' in wanted:
        raise InputError('train detector: is for the embedded benchmark; train one of mmdet with mmdet\'s own Runner '
                         '(docs/detectors.md), or name the parts to train')
    datasets = _datasets(args)
    weights = parse_weights(args.weights)
    known = ['detector', *{need for part in wanted if part not in REF_NMS for need in GROUNDERS.get(part).needs}]
    if unknown := sorted(set(weights) - set(known)):
        raise InputError(f'--weights {unknown[0]}=…: these trainings take {" and ".join(known)}'
                         f'{nearest(unknown[0], known)}')
    settings = {part: list(_settings(args.settings, part, wanted)) for part in wanted}
    recipe = 'embedded' if args.data_root is None else 'released'
    options = {part: options_of(part, args.recipe, recipe, settings[part]) for part in wanted}
    _check_numbers(args)
    _refuse_unused(args, wanted, options)
    loading()
    from harness.commands.training_request import TrainingRequest
    for dataset in datasets:
        for part in wanted:
            request = TrainingRequest(
                part, dataset, out / f'{part}-{dataset}.safetensors', args.work / f'{part}-{dataset}-seed{args.seed}',
                args.work, args.seed, args.data_root, args.split_by, args.images, weights,
                args.recipe or recipe, settings[part], args.vectors, args.attributes, args.store,
                args.precision or 'fp32', args.checkpoint_every, args.workers, args.device)
            train_part(request, options[part], args.dry_run, command)


def _datasets(args: Namespace) -> list[str]:
    """The names of the datasets to train on."""
    if args.data_root is None:
        if args.images is not None or args.split_by is not None:
            option = '--images' if args.images is not None else '--split-by'
            raise InputError(f'{option}: belongs to --data-root DIR; add it, or leave {option} out')
        return pick('--dataset', args.dataset, EMBEDDED, EMBEDDED)
    return dataset_names(args.dataset, args.data_root, args.split_by)[0]


def _settings(settings: Sequence[str], part: str, wanted: Sequence[str]) -> Iterator[str]:
    """The settings of one part, without its name."""
    for setting in settings:
        name, dot, _ = setting.partition('=')[0].partition('.')
        if dot and name in wanted:
            if name == part:
                yield setting[len(name) + 1:]
        elif len(wanted) > 1:
            raise InputError(f'--set {setting}: several parts are trained; write NAME.OPTION=VALUE with one of '
                             f'{", ".join(wanted)}')
        else:
            yield setting


def _check_numbers(args: Namespace) -> None:
    for option, least, most in (('checkpoint_every', 1, 10 ** 9), ('workers', 0, 1024)):
        within(f'--{option.replace("_", "-")}', getattr(args, option), least, most)


def _refuse_unused(args: Namespace, wanted: Sequence[str], options: Mapping[str, Any]) -> None:
    """Refuse options that none of the trainings heeds."""
    of_ref_nms = [options[part] for part in wanted if part in REF_NMS]
    grounders = [part for part in wanted if part not in REF_NMS]
    if args.attributes is not None and not {'mattnet', 'cmae'} & set(wanted):
        raise InputError('--attributes: only MAttNet and CM-A-E learn attributes; leave it out')
    for option, value in (('--store', args.store), ('--workers', args.workers)):
        if value is not None and all(own.head == 'frozen' for own in of_ref_nms):
            raise InputError(f'{option}: is for Ref-NMS with a head that is trained; leave it out')
    if args.workers and any(own.sampling.draws == 'stream' for own in of_ref_nms):
        raise InputError('--workers: needs draws that depend on their place (--set draws=index); leave it out')
    if args.workers and (args.store or 'none') == 'none':
        raise InputError('--workers: load what is stored; add --store crops')
    if args.precision not in (None, 'fp32') and not grounders:
        raise InputError(f'--precision {args.precision}: Ref-NMS is trained in fp32; leave it out')


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
