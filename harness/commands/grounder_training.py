"""What ``train mattnet``, ``cmae`` and ``nmtree`` do on any dataset and detector: they read, fill the store and train.

The features of annotated boxes are kept on disk and mapped into memory, since those of RefCOCO do not fit into it.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.commands.training_request import TrainingRequest
from harness.detection.weight_files import detector_of
from harness.errors import InputError
from harness.files.fingerprint import Record, code_of, sha256_of
from harness.files.weights import Weights, load_weights
from harness.plugins import Detector
from harness.registry import GROUNDERS
from harness.training.annotated_store import annotated_features_of, annotated_folder, images_to_see
from harness.training.features import check_images
from harness.training.grounder import Material, options_record, parsed_record, train_grounder
from harness.training.ref_nms.records import DETECTING, vectors_record
from harness.training.runner import check_checkpoints, check_precision, join_processes
from harness.types import Dataset
from harness.words.vectors import WordVectors


@dataclass(frozen=True)
class GrounderJob:
    """Everything that the training of a grounder needs but features.

    Attributes:
        train: with the split ``train``.
        val: with the split ``val``.
        options: of its recipe; ``None`` where it has none.
        trained: weight files of other grounders that it needs, by name.
        parsed: what a file of parsed sentences says of each sentence; ``None``: it is derived.
    """

    request: TrainingRequest
    train: Dataset
    val: Dataset
    options: Any
    detector: Weights
    vectors: WordVectors
    trained: Mapping[str, Path]
    parsed: Any = None

    @property
    def record(self) -> Record:
        """What shapes the training, beside its options."""
        plugin = GROUNDERS.get(self.request.part)
        return {'grounder': self.request.part, 'dataset': self.train.name, 'seed': self.request.seed,
                'sha256 of train': self.train.data_hash, 'sha256 of val': self.val.data_hash,
                'sha256 of detector': self.detector.sha256,
                **{f'sha256 of {name}': sha256_of(path) for name, path in self.trained.items()},
                **vectors_record(self.vectors),
                'code of training': code_of(plugin.__module__, 'harness.training.grounder', 'harness.training.features',
                                            *DETECTING)}

    def folder(self, split: str) -> Path:
        """Of the stored features of a split."""
        dataset = self.train if split == 'train' else self.val
        return annotated_folder(self.request.stored, dataset, split, self.detector.sha256)


def prepared(request: TrainingRequest, options: Any, dry: bool = False) -> tuple[GrounderJob, Detector]:
    """Read everything that a training needs; a ``dry`` run can do without the weights of other grounders.

    Raises:
        InputError: a file or option is wrong.
    """
    check_precision(request.precision)
    train, val = request.datasets()
    parsed = None if request.parsed is None else _parsed(request.parsed, train)
    job = GrounderJob(request, train, val, options, request.detector_weights(), request.word_vectors(train, val),
                      {name: _trained(request, name) for name in GROUNDERS.get(request.part).needs}, parsed)
    if not dry:
        _check_trained(job)
        for last in sorted(request.work.glob('*/last_checkpoint')):
            check_checkpoints(last.parent, record_of(job))  # of a stage
    return job, detector_of(job.detector, request.pick_device())


def _parsed(path: Path, train: Dataset) -> Any:
    from adapters.modular.parsed_sentences import read_parsed
    parsed = read_parsed(path)
    if parsed.keys().isdisjoint(e.sent_id for e in train.split('train')):
        raise InputError(f'--attributes {path}: has no training sentence of {train.name}; give the sents.json of that '
                         'dataset, or leave it out')
    return parsed


def _trained(request: TrainingRequest, name: str) -> Path:
    """The weights of another grounder that this one learns with: the user's file, or the one trained beside it."""
    return request.weights.get(name) or request.out.with_name(request.out.name.replace(request.part, name, 1))


def _check_trained(job: GrounderJob) -> None:
    for name, path in job.trained.items():
        if not path.is_file():
            raise InputError(f'train {job.request.part}: learns with the weights of {name}, and {path} is not there; '
                             f'train {name} first, or give --weights {name}=FILE')


def train(job: GrounderJob, detector: Detector, command: str) -> None:
    """Fill the store of annotated boxes where images are missing, then train."""
    join_processes()
    request, of_split = job.request, {'train': job.train, 'val': job.val}
    for split, dataset in of_split.items():
        check_images(dataset.name, images_to_see(dataset, split, job.folder(split)))
    material = material_of(job, {split: annotated_features_of(dataset, split, detector, job.folder(split))
                                 for split, dataset in of_split.items()})
    train_grounder(request.part, material, request.out, request.work, command=command, seed=request.seed,
                   shaped_by=job.record, options=job.options, precision=request.precision,
                   workers=request.workers or 0, checkpoint_every=request.checkpoint_every)


def record_of(job: GrounderJob) -> Record:
    """What shapes a training, all of it."""
    return {**job.record, **options_record(job.request.part, job.options), **parsed_record(job.parsed)}


def material_of(job: GrounderJob, features: Mapping[str, Any]) -> Material:
    """What a recipe learns from, given the features of both splits."""
    return Material(job.train, job.val, features['train'], features['val'], job.vectors,
                    lambda name: load_weights(job.trained[name]), job.parsed)
