"""What a training of Ref-NMS would need: its input is checked, and memory, disk and hours are estimated.

It really trains, for four steps on two images in a temporary folder, so that what would fail later fails now, and times
are measured on this machine.
"""
from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.runner import Runner
from tabulate import tabulate

from harness.data.counts import count
from harness.detection.crop import CELLS
from harness.detection.pictures import read_recorded
from harness.errors import InputError
from harness.plugins import Detector
from harness.training.estimating import Estimate, QuickestStep, rows_of_data
from harness.training.features import check_images
from harness.training.ref_nms.critical_boxes import critical_boxes
from harness.training.ref_nms.image_regions import ImageRegions, Regions
from harness.training.ref_nms.jitter_pool import KEPT_POOL
from harness.training.ref_nms.job import RefNMSJob
from harness.training.ref_nms.options import TrainingOptions
from harness.training.ref_nms.pooled_regions import PooledRegions, crops, head_means
from harness.training.ref_nms.region_store import starts_from_map
from harness.training.ref_nms.stored import jitters
from harness.training.ref_nms.training import RefNMSForTraining, sampler_of, train_ref_nms
from harness.training.runner import bare, count_parameters, silence
from harness.training.space import free_space, no_space
from harness.types import Dataset, Expression, ImageInfo
from harness.words.vectors import WordEmbedding

#: Images, and steps on them.
_MEASURED_ON, _STEPS = 2, 4


def dry_run(training: RefNMSJob, detector: Detector) -> Estimate:
    """The table that ``--dry-run`` prints, one line per quantity, and whether the disk suffices.

    Raises:
        InputError: something is missing or of the wrong shape.
    """
    options, sampling = training.options, training.options.sampling
    check_images(training.train.name, [info for _, info in training.images])
    train, val = count(training.train.split('train')), count(training.val.split('val'))
    every = options.steps.validate_every
    items = train.images if sampling.batch_of == 'images' else train.expressions
    steps = items // sampling.batch_size * options.steps.epochs
    if not steps:
        raise InputError(f'--set batch_size={sampling.batch_size}: {training.train.name} has {items} '
                         f'{sampling.batch_of} to train on; take a smaller batch')
    measured = _measure(training, detector)
    model = measured.model
    counted = [*training.train.split('train'), *(training.val.expressions if sampling.vocabulary == 'all' else ())]
    words = len(WordEmbedding.build((e.tokens for e in counted), training.vectors).words)
    validations = -(-steps // every) if every else options.steps.epochs
    seconds = {'detecting': measured.detect * len(training.images), 'training': measured.step * steps,
               'validating': measured.step / 3 * val.expressions / max(measured.expressions_a_step, 1) * validations}
    if options.head != 'frozen' and training.store == 'none':
        seconds['looking again'] = measured.see * sampling.batch_size * steps
    disk = _disk(training, measured)
    rows = [
        *rows_of_data(training.train, training.val, len(training.images)),
        ['detector', f'{training.detector.path.name}, {len(detector.classes)} classes, crops of '
                     f'{model.network.in_channels} channels, head to {model.network.features}'],
        ['words', f'{words:,} with vectors of {model.vectors.shape[1]} ({training.vectors.name}, '
                  f'γ = {training.vectors.gamma})'],
        ['network', f'{count_parameters(model) / 1e6:.2f} M numbers are trained, loss {options.loss}, head '
                    f'{options.head}, text {options.text}'],
        ['memory', f'{measured.memory / 2 ** 30:.2f} GiB in one step of {sampling.batch_size} {sampling.batch_of}'],
        ['disk', f'{disk / 1e9:.2f} GB for stored regions ({_kept(training)}, {measured.candidates:.0f} candidates an '
                 f'image) in {training.regions}, '
                 f'{free_space(training.regions) / 1e9:.0f} GB are free'],
        ['steps', f'{options.steps.epochs} epochs, {steps:,} steps, {validations} validations'],
        *([what, f'{spent / 3600:.2f} h'] for what, spent in seconds.items()),
        ['altogether', f'about {sum(seconds.values()) / 3600:.1f} h on one process ({training.device})'],
    ]
    return Estimate(tabulate(rows, tablefmt='plain'), no_space(training.regions, disk, 'take --store none, or '))


class _Measured(QuickestStep):
    """Measured costs: seconds per image and per step, memory of a step, and bytes per image; as a hook it also sees the
    model."""

    model: RefNMSForTraining

    def __init__(self) -> None:
        super().__init__()
        self.detect = self.see = float('inf')
        self.memory = 0
        self.map_bytes = self.candidates = self.targets = self.expressions_a_step = 0.

    def before_train_epoch(self, runner: Runner) -> None:
        super().before_train_epoch(runner)
        self.model = bare(runner.model)


def _measure(training: RefNMSJob, detector: Detector) -> _Measured:
    """Detect a few images, then train for a few steps on them; what a smaller batch measures is scaled up."""
    found, options, how = _Measured(), training.options, training.options.sampling
    regions = _detect(training, training.train, 'train', detector, found)
    groups = [group for _, group in _few(training.train, 'train')]
    some = groups if how.batch_of == 'images' else [[e] for group in groups for e in group]
    items = [group for group in some if _can_be_drawn(options, regions[group[0].image_id])]
    items = items[:min(how.batch_size, _MEASURED_ON)]
    if not items:
        raise InputError(f'{training.train.name}: the detector finds nothing in its first images; give one trained on '
                         'similar images (--weights detector=FILE)')
    scale = how.batch_size / len(items)
    before = _memory(training.device)
    with TemporaryDirectory() as folder, silence():
        train_ref_nms(
            replace(training.train, expressions=[e for group in items for e in group]),
            replace(training.val, expressions=[e for _, group in _few(training.val, 'val') for e in group]),
            regions, _detect(training, training.val, 'val', detector), detector, training.vectors,
            Path(folder) / 'weights.safetensors', Path(folder) / 'work', detector_hash=training.detector.sha256,
            command='', seed=training.seed, options=options.changed(epochs=_STEPS, batch_size=len(items)),
            hooks=[found])
    found.step *= scale
    found.expressions_a_step = sum(map(len, items)) * scale
    found.memory = int(max(_memory(training.device) - before, 0) * scale) + before
    return found


def _few(dataset: Dataset, split: str) -> list[tuple[ImageInfo, list[Expression]]]:
    return list(islice(dataset.by_image(dataset.split(split)), _MEASURED_ON))


def _can_be_drawn(options: TrainingOptions, image: Mapping[str, Any]) -> bool:
    over = float('-inf') if options.sampling.at_least else options.sampling.delta
    return sampler_of(options).fills or bool((image['det_scores'] > over).any())


def _detect(training: RefNMSJob, dataset: Dataset, split: str, detector: Detector,
            found: _Measured | None = None) -> Regions:
    """The regions of a few images; the cost is added to ``found``."""
    few = _few(dataset, split)
    measured = found or _Measured()
    targets = critical_boxes(replace(dataset, expressions=[e for _, group in few for e in group]), split,
                             training.vectors)
    jittered_boxes = {info.image_id: torch.cat([targets[e.sent_id] for e in group]).unique(dim=0)
                      for info, group in few}
    collector: ImageRegions | PooledRegions = ImageRegions.of(training.options.sampling)
    if training.options.head == 'frozen' or not starts_from_map(detector) or training.store == 'crops':
        collector = PooledRegions(jittered_boxes, regions=ImageRegions.of(training.options.sampling),
                                  look=head_means if training.options.head == 'frozen' else crops)
    for info, _ in few:
        pixels = read_recorded(info).pixels
        start = time.perf_counter()
        measured.map_bytes += 2 * detector.maps_of(pixels, info).feature_map.numel() / len(few)
        measured.see = min(measured.see, time.perf_counter() - start)
        start = time.perf_counter()
        collector.add(detector.features(pixels, info))
        measured.detect = min(measured.detect, time.perf_counter() - start)
    regions = collector.collected()
    measured.candidates = sum(len(image['boxes']) for image in regions.values()) / len(few)
    measured.targets = sum(len(boxes) for boxes in jittered_boxes.values()) / len(few)
    return regions


def _memory(device: str) -> int:
    """Peak memory so far, in bytes."""
    if device != 'cpu':
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _kept(training: RefNMSJob) -> str:
    return 'features' if training.options.head == 'frozen' else training.store


def _disk(training: RefNMSJob, measured: _Measured) -> float:
    """Bytes on disk for all images, in float16."""
    of_boxes, kept = 40 * measured.candidates, _kept(training)
    if kept == 'maps':
        of_boxes += measured.map_bytes
    elif kept != 'none':
        network = measured.model.network
        of_region = network.features if kept == 'features' else network.in_channels * CELLS ** 2
        jittered = measured.targets * KEPT_POOL.size if kept == 'features' or jitters(training) else 0
        of_boxes += 2 * (measured.candidates + jittered) * of_region
    return of_boxes * len(training.images)
