"""``run_benchmark.py train ref-nms``: Ref-NMS with any option on any dataset, the real ones at their own scale.

A ``--config`` is the name of a dataset. The real ones are read from ``--data-root`` in REFER's layout, with COCO's
images and a detector of their own (``convert --as mask-rcnn``). ``--dry-run`` checks everything that can be checked and
says what it would take. Under ``torchrun --nproc-per-node N run_benchmark.py train ref-nms …`` N processes share the
work.
"""
from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process

from harness.detection.detector import Detector
from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.names import OneLineParser, pick
from harness.plan import EMBEDDED, STAND_IN
from harness.proposals.critical_objects import words_to_look_up
from harness.registry import DATASETS
from harness.settings import parse_weights
from harness.training.image_regions import ImageRegions, Regions
from harness.training.options import RECIPES, TrainingOptions, with_settings
from harness.training.pooled_regions import pooled_split
from harness.training.ref_nms import train_ref_nms
from harness.training.region_store import RegionStore, fill_store
from harness.training.runner import console, join_processes
from harness.types import Dataset, ImageInfo
from harness.vectors import WordVectors, load_vectors
from harness.weights import Weights, load_weights, shipped_path

WORK = Path('results') / 'training'
CONFIGS = (*STAND_IN, *EMBEDDED)


def main(argv: Sequence[str]) -> int:
    """Parse the options; check, and train unless it is a dry run."""
    parser = OneLineParser(prog='run_benchmark.py train ref-nms', description=__doc__.split('\n')[0])
    parser.add_argument('--config', default='mini-refcoco', metavar='NAME', help=', '.join(CONFIGS))
    parser.add_argument('--data-root', type=Path, metavar='DIR', help='real datasets in REFER\'s layout')
    parser.add_argument('--loss', choices=('binary', 'ranking'), default='binary', help='Eq. 3 or Eq. 4')
    parser.add_argument('--recipe', choices=tuple(RECIPES), help='where the other options come from (default: '
                        '"released" for real datasets, "embedded" for ours)')
    parser.add_argument('--set', action='append', default=[], metavar='OPTION=VALUE', dest='settings',
                        help='any option of docs/ref-nms-options.md, for instance head=frozen, text=blind, lr=1e-3')
    parser.add_argument('--weights', action='append', default=[], metavar='detector=FILE', help='a converted detector')
    parser.add_argument('--vectors', type=Path, metavar='FILE', help='word vectors, for instance glove.840B.300d.txt')
    parser.add_argument('--maps', choices=('kept', 'anew'), default='anew',
                        help='C4 maps: kept on disk, or computed anew each time (default)')
    parser.add_argument('--seed', type=int, default=1, help='seed of everything random (default: 1)')
    parser.add_argument('--checkpoint-every', type=int, metavar='N', help='steps (default: an epoch)')
    parser.add_argument('--workers', type=int, default=0, metavar='N', help='processes that load kept maps')
    parser.add_argument('--device', help='cpu or cuda (default: cuda where there is one)')
    parser.add_argument('--out', type=Path, metavar='FILE', help='where the weights go (default: in the work folder)')
    parser.add_argument('--work', type=Path, default=WORK, metavar='DIR',
                        help=f'regions, checkpoints and logs (default: {WORK})')
    parser.add_argument('--dry-run', action='store_true', help='check all of it, say what it would take, write nothing')
    args = parser.parse_args(argv)
    command = 'python run_benchmark.py train ref-nms ' + shlex.join(argv)
    training = prepared(args)
    if args.dry_run:
        from harness.training.dry_run import dry_run
        print(dry_run(training))
        return 0
    train(training, command)
    return 0


@dataclass(frozen=True)
class Prepared:
    """Everything that a training needs, read and checked.

    Attributes:
        name: the config's.
        train: with the split ``train``.
        val: with the split ``val``.
        options: of the training.
        detector: its weights.
        vectors: of words.
        device: where the detector runs.
        seed: of everything random.
        maps_kept: whether C4 maps are kept on disk.
        checkpoint_every: steps; ``None``: an epoch.
        workers: processes that load.
        out: the weight file.
        work: checkpoints and logs of this training.
        regions: what is seen of images, for all seeds and losses.
    """

    name: str
    train: Dataset
    val: Dataset
    options: TrainingOptions
    detector: Weights
    vectors: WordVectors
    device: str
    seed: int
    maps_kept: bool
    checkpoint_every: int | None
    workers: int
    out: Path
    work: Path
    regions: Path

    @property
    def images(self) -> list[tuple[Dataset, ImageInfo]]:
        """Of both splits, each once."""
        found = {(info.image_id, info.path): (dataset, info) for dataset, split in ((self.train, 'train'),
                 (self.val, 'val')) for info, _ in dataset.by_image(dataset.split(split))}
        return list(found.values())


def prepared(args: Any) -> Prepared:
    """Check and read.

    Raises:
        InputError: whatever is wrong, in one line.
    """
    name, = pick('--config', [args.config], CONFIGS, ())
    recipe = args.recipe or ('embedded' if name in EMBEDDED else 'released')
    options = with_settings(RECIPES[recipe][args.loss], args.settings)
    if options.loss != args.loss:
        raise InputError(f'--set loss={options.loss}: the loss is chosen by --loss, since other options go with it')
    for option in ('checkpoint_every', 'workers'):
        if getattr(args, option) is not None and getattr(args, option) < (option == 'checkpoint_every'):
            raise InputError(f'--{option.replace("_", "-")} {getattr(args, option)}: must be a positive number')
    if args.workers and (args.maps == 'anew' or options.sampling.draws == 'stream'):
        raise InputError('--workers: can load maps that are kept (--maps kept) by draws that depend on their place '
                         '(--set draws=index); leave it out')
    train, val = _datasets(name, args.data_root)
    weights = parse_weights(args.weights)
    if unknown := sorted(set(weights) - {'detector'}):
        raise InputError(f'--weights {unknown[0]}=…: this training takes a detector alone')
    if name not in EMBEDDED and 'detector' not in weights:
        raise InputError(f'--weights detector=FILE: {name} needs a detector of real photographs; make one by "convert '
                         'res101_mask_rcnn_iter_1250000.pth detector.safetensors --as mask-rcnn"')
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    if device != 'cpu' and not torch.cuda.is_available():
        raise InputError(f'--device {device}: not available on this machine; use --device cpu')
    work = args.work / f'{options.weights}-{name}-seed{args.seed}'
    return Prepared(name, train, val, options, load_weights(weights.get('detector', shipped_path('detector'))),
                    _vectors(args.vectors, train, val), device, args.seed, args.maps == 'kept', args.checkpoint_every,
                    args.workers, args.out or work / f'{options.weights}-{name}.safetensors', work, args.work)


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


def train(training: Prepared, command: str) -> None:
    """Detect what was not detected before, then train."""
    join_processes()
    detector = Detector(training.detector, training.device)
    if training.options.head == 'frozen':
        seen = _pooled(training, detector, training.train, 'train')
        seen_of_val = _pooled(training, detector, training.val, 'val')
    else:
        seen = seen_of_val = _stored(training, detector)
    train_ref_nms(training.train, training.val, seen, seen_of_val, detector, training.vectors, training.out,
                  training.work, command=command, seed=training.seed, options=training.options,
                  checkpoint_every=training.checkpoint_every, workers=training.workers)
    if is_main_process():
        console.print(f'{training.options.weights}: {training.out}')


def _pooled(training: Prepared, detector: Detector, dataset: Dataset, split: str) -> Regions:
    return pooled_split(dataset, split, detector, training.vectors,
                        training.regions / f'pooled-{training.name}-{split}.safetensors',
                        detector_hash=training.detector.sha256,
                        dtype=torch.float16 if split == 'train' else torch.float32)


def _stored(training: Prepared, detector: Detector) -> Regions:
    how = training.options.sampling
    told_apart = (training.name, training.detector.sha256[:12], how.delta, how.at_least,
                  'maps' if training.maps_kept else 'boxes')
    folder = training.regions / '-'.join(['regions', *map(str, told_apart)])
    collector = ImageRegions(delta=how.delta, step=how.delta_step or 0.005, at_least=how.at_least)
    fill_store(folder, training.images, detector, collector, training.maps_kept)
    return RegionStore(folder, [info for _, info in training.images], None if training.maps_kept else detector)
