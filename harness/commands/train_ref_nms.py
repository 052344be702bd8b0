"""``run_benchmark.py train ref-nms``: Ref-NMS with any option on any dataset, the real ones at their own scale.

A ``--config`` is the name of a dataset. The real ones are read from ``--data-root`` in REFER's layout, with COCO's
images and a detector of their own (``convert --as mask-rcnn``). ``--dry-run`` checks everything that can be checked and
says what it would take. Under ``torchrun --nproc-per-node N run_benchmark.py train ref-nms …`` N processes share the
work.
"""
from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from harness.arguments import add_device, add_settings, add_vectors, add_weights
from harness.detection.detector import Detector
from harness.device import pick_device
from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.evaluation.datasets import EMBEDDED, STAND_IN
from harness.evaluation.settings import parse_weights
from harness.files.weights import load_weights, shipped_path
from harness.names import OneLineParser, nearest, pick
from harness.options import MOST_SEED, within
from harness.registry import DATASETS
from harness.training.ref_nms.image_regions import ImageRegions, Regions
from harness.training.ref_nms.job import RefNMSJob
from harness.training.ref_nms.options import RECIPES, refuse_without_effect, with_settings
from harness.training.ref_nms.pooled_regions import pooled_split
from harness.training.ref_nms.records import ref_nms_record
from harness.training.ref_nms.region_store import RegionStore, fill_store, store_folder
from harness.training.ref_nms.training import train_ref_nms
from harness.training.runner import check_checkpoints, console, join_processes
from harness.types import Dataset
from harness.words.critical_objects import words_to_look_up
from harness.words.vectors import WordVectors, load_vectors

WORK = Path('results') / 'training'
CONFIGS = (*STAND_IN, *EMBEDDED)


def main(argv: Sequence[str]) -> int:
    """Parse the options; check, and train unless it is a dry run."""
    parser = OneLineParser(prog='run_benchmark.py train ref-nms', description=__doc__.split('\n')[0])
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
    parser.add_argument('--dry-run', action='store_true', help='check all of it, say what it would take, write nothing')
    args = parser.parse_args(argv)
    command = 'python run_benchmark.py train ref-nms ' + shlex.join(argv)
    training = prepared(args)
    if args.dry_run:
        from harness.training.ref_nms.dry_run import dry_run
        print(dry_run(training))
        return 0
    train(training, command)
    return 0


def prepared(args: Any) -> RefNMSJob:
    """Check and read.

    Raises:
        InputError: whatever is wrong, in one line.
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
    train, val = _datasets(name, args.data_root)
    weights = parse_weights(args.weights)
    if unknown := sorted(set(weights) - {'detector'}):
        raise InputError(f'--weights {unknown[0]}=…: this training takes a detector alone'
                         f'{nearest(unknown[0], ["detector"])}')
    if name not in EMBEDDED and 'detector' not in weights:
        raise InputError(f'--weights detector=FILE: {name} needs a detector of real photographs; make one by "convert '
                         'res101_mask_rcnn_iter_1250000.pth detector.safetensors --as mask-rcnn"')
    device = pick_device(args.device)
    detector = load_weights(weights.get('detector', shipped_path('detector')))
    vectors = _vectors(args.vectors, train, val)
    work = args.work / f'{options.weights}-{name}-seed{args.seed}'
    out = args.out or work / f'{options.weights}-{name}.safetensors'
    if out.is_dir():
        raise InputError(f'--out {out}: is a folder; name a file')
    check_checkpoints(work, ref_nms_record(options, train, val, detector.sha256, vectors, args.seed))
    return RefNMSJob(name, train, val, options, detector, vectors, device, args.seed, args.maps == 'kept',
                    args.checkpoint_every, args.workers or 0, out, work, args.work)


def _config(name: str | None, root: Path | None) -> str:
    """The dataset to train on; a folder of real ones says not which."""
    config, = pick('--config', None if name is None else [name], CONFIGS, ('mini-refcoco',))
    if root is not None and config in EMBEDDED:
        raise InputError(f'--data-root {root}: ' + ('which of its datasets is to be trained on? add' if name is None
                         else f'{config} is not read from there; leave it out, or give')
                         + f' --config {", ".join(STAND_IN)}')
    return config


def _check_numbers(args: Any) -> None:
    for option, least, most in (('seed', 0, MOST_SEED), ('checkpoint_every', 1, 10 ** 9), ('workers', 0, 1024)):
        within(f'--{option.replace("_", "-")}', getattr(args, option), least, most)


def _datasets(name: str, root: Path | None) -> tuple[Dataset, Dataset]:
    if name in EMBEDDED:
        return load_embedded(name, 'train'), load_embedded(name, 'eval')
    dataset = DATASETS.get(name)(root)
    for split in ('train', 'val'):
        if not dataset.split(split):
            raise InputError(f'--data-root {root}: {name} has no split {split}; training needs train and val')
    return dataset, dataset


def _vectors(path: Path | None, train: Dataset, val: Dataset) -> WordVectors:
    if path is None:
        return load_vectors()
    expressions = [*train.expressions, *val.expressions]
    wanted = words_to_look_up(expressions, {*train.categories, *val.categories})
    return load_vectors(path, wanted | {word for e in expressions for word in e.tokens})


def train(training: RefNMSJob, command: str) -> None:
    """Detect what was not detected before, then train."""
    join_processes()
    detector = Detector(training.detector, training.device)
    if training.options.head == 'frozen':
        seen = _pooled(training, detector, training.train, 'train')
        seen_of_val = _pooled(training, detector, training.val, 'val')
    else:
        seen = seen_of_val = _stored(training, detector)
    train_ref_nms(training.train, training.val, seen, seen_of_val, detector, training.vectors, training.out,
                  training.work, detector_hash=training.detector.sha256, command=command, seed=training.seed,
                  options=training.options, checkpoint_every=training.checkpoint_every, workers=training.workers)
    if is_main_process():
        console.print(f'{training.options.weights}: {training.out}')


def _pooled(training: RefNMSJob, detector: Detector, dataset: Dataset, split: str) -> Regions:
    return pooled_split(dataset, split, detector, training.vectors, training.regions,
                        detector_hash=training.detector.sha256, sampling=training.options.sampling)


def _stored(training: RefNMSJob, detector: Detector) -> Regions:
    collector = ImageRegions.of(training.options.sampling)
    folder = store_folder(training.regions, training.train, training.val, training.detector.sha256, collector,
                          training.maps_kept)
    fill_store(folder, training.images, detector, collector, training.maps_kept)
    return RegionStore(folder, [info for _, info in training.images], None if training.maps_kept else detector)
