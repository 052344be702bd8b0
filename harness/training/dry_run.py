"""What a training of Ref-NMS would take, before anything is written: checks of what it reads, sizes, and hours.

Times are measured on this machine: the detector on two images, one training step on what those images give.
"""
from __future__ import annotations

import resource
import shutil
import time
from dataclasses import replace
from pathlib import Path

import torch
from tabulate import tabulate

from harness.data.counts import count
from harness.detection.detector import Detector
from harness.detection.pictures import read_recorded
from harness.errors import InputError
from harness.training.critical_boxes import critical_boxes
from harness.training.image_regions import ImageRegions
from harness.training.pooled_regions import POOL, PooledRegions
from harness.training.ref_nms import RefNMSForTraining, constant_sentence, heard, loss_of, network_of, sampler_of
from harness.training.ref_nms_command import Prepared
from harness.training.related_regions import RelatedRegions
from harness.training.runner import count_parameters
from harness.vectors import Vocabulary

_MEASURED_ON = 2


def dry_run(training: Prepared) -> str:
    """A table, a line a thing.

    Raises:
        InputError: something is missing or of the wrong shape.
    """
    options, sampling = training.options, training.options.sampling
    there = [info for _, info in training.images if info.path is not None and info.path.is_file()]
    if len(there) < len(training.images):
        first = next(info for _, info in training.images if info not in there)
        raise InputError(f'{first.path}: this image and {len(training.images) - len(there) - 1} more of '
                         f'{len(training.images)} are not there; fetch COCO\'s train2014 images')
    train, val = count(training.train.split('train')), count(training.val.split('val'))
    detector = Detector(training.detector, training.device)
    words = [e.tokens for e in training.train.expressions]
    vocabulary = Vocabulary.build(words, training.vectors)
    network, built_with = network_of(options, detector, vocabulary)
    model = RefNMSForTraining(network, vocabulary.vectors, options.head_norm == 'fixed', loss_of(options),
                              options.head == 'frozen', sampling.embeddings == 'learned', sampling.draws == 'index')
    measured = _measure(training, detector, vocabulary, model.to(training.device))

    every = options.steps.validate_every
    items = train.images if sampling.batch_of == 'images' else train.expressions
    steps = items // sampling.batch_size * options.steps.epochs
    validations = -(-steps // every) if every else options.steps.epochs
    if not steps:
        raise InputError(f'--set batch_size={sampling.batch_size}: {training.name} has {items} {sampling.batch_of} to '
                         'train on; take a smaller batch')
    seconds = {'detecting': measured.detect * len(training.images), 'training': measured.step * steps,
               'validating': measured.step / 3 * val.expressions / max(measured.expressions_a_step, 1) * validations}
    if options.head != 'frozen' and not training.maps_kept:
        seconds['maps anew'] = measured.see * sampling.batch_size * steps
    disk = _disk(training, measured)
    rows = [
        ['data', f'{training.name}: {train.expressions:,} expressions of {train.images:,} images to train on, '
                 f'{val.expressions:,} of {val.images:,} to validate on'],
        *(['', note] for note in training.train.notes),
        ['images', f'all {len(there):,} are there'],
        ['detector', f'{training.detector.meta.get("config")}, {len(detector.classes)} classes, C4 maps of '
                     f'{built_with["in_channels"]} channels, head to {network.features}'],
        ['words', f'{len(vocabulary.words):,} with vectors of {vocabulary.vectors.shape[1]} ({training.vectors.name}, '
                  f'γ = {training.vectors.gamma})'],
        ['network', f'{count_parameters(model) / 1e6:.2f} M numbers are trained, loss {options.loss}, head '
                    f'{options.head}, text {options.text}'],
        ['memory', f'{measured.memory / 2 ** 30:.2f} GiB in one step of {sampling.batch_size} {sampling.batch_of}'],
        ['disk', f'{disk / 1e9:.2f} GB of what is seen of images in {training.regions}, '
                 f'{_free(training.regions) / 1e9:.0f} GB are free'],
        ['steps', f'{options.steps.epochs} epochs, {steps:,} steps, {validations} validations'],
        *([what, f'{spent / 3600:.2f} h'] for what, spent in seconds.items()),
        ['altogether', f'about {sum(seconds.values()) / 3600:.1f} h on one process ({training.device})'],
    ]
    if disk > _free(training.regions):
        raise InputError(f'{training.regions}: has {_free(training.regions) / 1e9:.0f} GB free, {disk / 1e9:.0f} GB '
                         'are needed; leave out --maps kept or choose another --work')
    return tabulate(rows, tablefmt='plain')


class _Measured:
    """Seconds of an image's detection, of its map alone and of a step; what a step needs; bytes of an image."""

    def __init__(self) -> None:
        self.detect = self.see = self.step = 0.
        self.memory = 0
        self.map_bytes = self.candidates = self.targets = self.expressions_a_step = 0.


def _measure(training: Prepared, detector: Detector, vocabulary: Vocabulary, model: RefNMSForTraining) -> _Measured:
    """Detect a few images, then one step on as many items of them as a batch has, or fewer and scaled."""
    found, options = _Measured(), training.options
    groups = [group for _, group in training.train.by_image(training.train.split('train'))][:_MEASURED_ON]
    few = [e for group in groups for e in group]
    targets = critical_boxes(replace(training.train, expressions=few), 'train', training.vectors)
    collector: ImageRegions | PooledRegions = ImageRegions(at_least=options.sampling.at_least)
    if options.head == 'frozen':
        collector = PooledRegions({g[0].image_id: torch.cat([targets[e.sent_id] for e in g]).unique(dim=0)
                                   for g in groups})
    for group in groups:
        info = training.train.images[group[0].image_id]
        pixels = read_recorded(info).pixels
        start = time.perf_counter()
        found.map_bytes += 2 * detector.see(pixels).feature_map.numel() / len(groups)
        found.see += (time.perf_counter() - start) / len(groups)
        start = time.perf_counter()
        collector.add(detector.features(pixels, info))
        found.detect += (time.perf_counter() - start) / len(groups)
    regions = collector.collected()
    found.candidates = sum(len(image['boxes']) for image in regions.values()) / len(groups)
    found.targets = sum(len(targets[e.sent_id]) for e in few) / len(groups)
    how = options.sampling
    said = heard(groups if how.batch_of == 'images' else [[e] for e in few], constant_sentence(options, vocabulary))
    images = RelatedRegions(said, targets, regions, vocabulary, 20, 0, sampler_of(options),
                            None if how.at_least else how.delta)
    if not len(images):
        raise InputError(f'{training.name}: the detector finds nothing in its first images; give a detector of such '
                         'images (--weights detector=FILE)')
    items = [images[i] for i in range(min(len(images), how.batch_size, 2))]
    scale = how.batch_size / len(items)
    before = _memory(training.device)
    optimiser = torch.optim.Adam(model.train().parameters())
    for _ in range(2):  # the first one warms up
        start = time.perf_counter()
        model(**model.data_preprocessor({'images': items}, True))['loss'].backward()
        optimiser.step()
        optimiser.zero_grad()
        found.step = (time.perf_counter() - start) * scale
    found.expressions_a_step = sum(len(item['words']) for item in items) * scale
    found.memory = int(max(_memory(training.device) - before, 0) * scale) + before
    return found


def _memory(device: str) -> int:
    """The most bytes that were held so far."""
    if device != 'cpu':
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _disk(training: Prepared, measured: _Measured) -> float:
    """Bytes that are kept of all images."""
    of_boxes = 40 * measured.candidates
    if training.options.head == 'frozen':
        of_boxes += 2 * (measured.candidates + measured.targets * int(POOL.sum())) * _features(training)
    elif training.maps_kept:
        of_boxes += measured.map_bytes
    return of_boxes * len(training.images)


def _features(training: Prepared) -> int:
    """Numbers of the head's feature."""
    return next(len(value) for name, value in training.detector.tensors.items()
                if name.endswith('shared_head.layer4.0.bn3.weight'))


def _free(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free
