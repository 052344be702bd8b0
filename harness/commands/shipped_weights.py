"""Training the shipped weights part by part: what ``train`` does once its options have been read.

A finished part is recorded in the work folder with the hash of its file and what shaped it. The same command continues
where a killed one stopped; one that would give other weights is refused.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch

from harness.detection.detector import Detector
from harness.device import pick_device
from harness.embedded.build import IMAGES, part_folder
from harness.embedded.known import load_embedded
from harness.files.fingerprint import Record, code_of
from harness.files.weights import load_weights
from harness.registry import GROUNDERS
from harness.training.detector import detector_record, train_detector
from harness.training.features import AnnotatedFeatures, described_images
from harness.training.finished import finish, is_finished
from harness.training.grounder import Material, options_record, train_grounder
from harness.training.ref_nms.image_regions import ImageRegions
from harness.training.ref_nms.options import EMBEDDED, TrainingOptions
from harness.training.ref_nms.pooled_regions import pooled_split
from harness.training.ref_nms.records import DETECTING, ref_nms_record, vectors_record
from harness.training.ref_nms.training import train_ref_nms
from harness.training.runner import console
from harness.types import Dataset
from harness.words.vectors import load_vectors

#: The options of Ref-NMS by the name of its weights, in an hour each on one core: R has the released number of epochs,
#: and the text-blind control a frozen head.
REF_NMS = {'ref-nms-b': EMBEDDED['binary'], 'ref-nms-r': EMBEDDED['ranking'].changed(epochs=4),
           'ref-nms-blind': EMBEDDED['binary'].changed(head='frozen', draws='index', text='blind')}


class Training:
    """The trainings of all parts, and what they share, which is computed when first needed.

    Args:
        out: the folder of the weight files.
        work: the folder of checkpoints and records of finished parts.
        seed: the seed of everything random.
        beside: the folder of weights that a part needs and ``out`` lacks; ``None``: there is none.
    """

    def __init__(self, out: Path, work: Path, seed: int, beside: Path | None = None) -> None:
        self.out, self.work, self.seed, self.beside = out, work, seed, beside
        self.vectors = load_vectors()
        self._passes: dict[str, tuple[ImageRegions, AnnotatedFeatures]] = {}

    def detector_file(self) -> None:
        """Train the detector that all datasets share."""
        folder = part_folder('train')
        annotations = folder / 'mini-refcoco' / 'instances.json'
        self._part('detector', lambda path, work, command: train_detector(
            annotations, folder / IMAGES, path, work, command=command, seed=self.seed),
            lambda: detector_record(annotations, self.seed))

    def ref_nms_file(self, part: str, name: str) -> None:
        """Train Ref-NMS on one dataset by the options of its part, and calibrate its threshold."""
        options = REF_NMS[part]
        seen = self._pooled if options.head == 'frozen' else self._regions
        self._part(f'{part}-{name}', lambda path, work, command: train_ref_nms(
            self._dataset(name, 'train'), self._dataset(name, 'eval'), seen(name, 'train'), seen(name, 'val'),
            self.detector, self.vectors, path, work, detector_hash=self._detector_hash, command=command,
            seed=self.seed, options=options), lambda: self._ref_nms_record(name, options))

    def grounder_file(self, grounder: str, name: str) -> None:
        """Train a grounder on one dataset's annotated boxes."""
        def train(path: Path, work: Path, command: str) -> Path:
            material = Material(self._dataset(name, 'train'), self._dataset(name, 'eval'),
                                self._annotated(name, 'train'), self._annotated(name, 'val'), self.vectors,
                                lambda other: load_weights(self._file(f'{other}-{name}')))
            return train_grounder(grounder, material, path, work, command=command, seed=self.seed,
                                  shaped_by=self._grounder_record(grounder, name))
        self._part(f'{grounder}-{name}', train, lambda: self._grounder_record(grounder, name))

    @cached_property
    def detector(self) -> Detector:
        return Detector(load_weights(self._file('detector')), pick_device())

    @cached_property
    def _detector_hash(self) -> str:
        return load_weights(self._file('detector')).sha256

    def _file(self, name: str) -> Path:
        """The weight file of another part: the one in ``out``, or else the one in ``beside``."""
        path = self.out / f'{name}.safetensors'
        if path.exists() or self.beside is None:
            return path
        return self.beside / path.name

    def _ref_nms_record(self, name: str, options: TrainingOptions) -> Record:
        return ref_nms_record(options, self._dataset(name, 'train'), self._dataset(name, 'eval'), self._detector_hash,
                              self.vectors, self.seed)

    def _grounder_record(self, grounder: str, name: str) -> Record:
        plugin = GROUNDERS.get(grounder)
        return {'grounder': grounder, 'dataset': name, 'seed': self.seed,
                'sha256 of train': self._dataset(name, 'train').data_hash,
                'sha256 of val': self._dataset(name, 'eval').data_hash, 'sha256 of detector': self._detector_hash,
                **{f'sha256 of {other}': load_weights(self._file(f'{other}-{name}')).sha256
                   for other in plugin.needs}, **vectors_record(self.vectors), **options_record(grounder),
                'code of training': code_of(plugin.__module__, 'harness.training.grounder', 'harness.training.features',
                                            *DETECTING)}

    def _part(self, name: str, train: Callable[[Path, Path, str], Path], record: Callable[[], Record]) -> None:
        """Run ``train(path, work, command)`` unless the file is finished already and was shaped by the same record."""
        path, work = self.out / f'{name}.safetensors', self.work / f'{name}-seed{self.seed}'
        shaped_by = record()
        if is_finished(path, work, shaped_by):
            console.print(f'{name}: finished before, {path}')
            return
        start = time.monotonic()
        part, _, dataset = name.partition('-mini-')
        command = f'python run_benchmark.py train {part}' + (f' --dataset mini-{dataset}' if dataset else '')
        train(path, work, f'{command} --seed {self.seed}')
        seconds = time.monotonic() - start
        finish(path, work, shaped_by, seconds)
        console.print(f'{name}: {path}, {path.stat().st_size / 1e6:.1f} MB, {seconds / 60:.1f} min')

    @cache  # noqa: B019 (one Training lives as long as its process)
    def _dataset(self, name: str, part: str) -> Dataset:
        return load_embedded(name, part)

    def _regions(self, name: str, split: str) -> dict[int, dict[str, Any]]:
        """The features of a split's images for Ref-NMS; float32 if the threshold is chosen on them, as in a run."""
        return self._seen(name, split)[0].collected()

    def _pooled(self, name: str, split: str) -> dict[int, dict[str, Any]]:
        """The features that a frozen head gives of a split's images."""
        return pooled_split(self._dataset(name, 'train' if split == 'train' else 'eval'), split, self.detector,
                            self.vectors, self.work, detector_hash=self._detector_hash,
                            sampling=EMBEDDED['binary'].sampling)

    def _annotated(self, name: str, split: str) -> dict[str, Any]:
        """The features of a split's annotated boxes for grounders."""
        return self._seen(name, split)[1].collected()

    def _seen(self, name: str, split: str) -> tuple[ImageRegions, AnnotatedFeatures]:
        """The features for Ref-NMS and grounders, from one pass of the detector over images that datasets share."""
        dataset = self._dataset(name, 'train' if split == 'train' else 'eval')
        if split not in self._passes:
            self._passes[split] = (ImageRegions(torch.float16 if split == 'train' else torch.float32),
                                   AnnotatedFeatures())
        regions, annotated = self._passes[split]
        for image in described_images(dataset, split, self.detector, except_for=regions.collected()):
            regions.add(image)
            annotated.add(image)
        return regions, annotated

