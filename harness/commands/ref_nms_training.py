"""What ``train ref-nms`` does once its options have been read: it reads, detects and trains."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from harness.detection.detector import Detector
from harness.device import pick_device
from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.evaluation.datasets import EMBEDDED
from harness.files.weights import load_weights, shipped_path
from harness.registry import DATASETS
from harness.training.ref_nms.image_regions import ImageRegions, Regions
from harness.training.ref_nms.job import RefNMSJob
from harness.training.ref_nms.options import TrainingOptions
from harness.training.ref_nms.pooled_regions import pooled_split
from harness.training.ref_nms.records import ref_nms_record
from harness.training.ref_nms.region_store import RegionStore, fill_store, store_folder
from harness.training.ref_nms.training import train_ref_nms
from harness.training.runner import check_checkpoints, console, join_processes
from harness.types import Dataset
from harness.words.critical_objects import words_to_look_up
from harness.words.vectors import WordVectors, load_vectors


def prepared(args: Any, name: str, options: TrainingOptions, weights: Mapping[str, Path]) -> RefNMSJob:
    """Read everything that a training needs.

    Args:
        args: the options of the command line.
        name: the name of the dataset.
        options: the options of the training.
        weights: weight files by name; a detector or nothing.

    Raises:
        InputError: a file or option is wrong.
    """
    train, val = _datasets(name, args.data_root)
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
    """Run the detector on the images that it has not been run on, then train."""
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
