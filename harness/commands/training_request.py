"""What one training is asked for, and the reading of the files that it names."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.embedded_names import EMBEDDED
from harness.errors import InputError
from harness.evaluation.datasets import load_dataset
from harness.files.weights import Weights, load_weights, shipped_path
from harness.training.runner import Precision
from harness.types import Dataset
from harness.words.vectors import WordVectors, load_vectors


@dataclass(frozen=True)
class TrainingRequest:
    """One part, trained on one dataset.

    Attributes:
        part: ``ref-nms-b``, ``mattnet``, …
        dataset: its name, or that of its folder in ``data_root``.
        out: the weight file.
        work: checkpoints and logs of this training.
        stored: what is kept of images, shared by all trainings.
        data_root, split_by, images_folder: where a dataset that is not embedded is read.
        weights: the user's files by name.
        recipe: the name of the recipe.
        settings: what differs from it, ``OPTION=VALUE``.
        vectors: a file of word vectors.
        parsed: sentences that refer-parser2 took apart.
        store: what is kept of images; ``None``: what suits the detector.
        precision: of the trained network's steps.
        checkpoint_every: steps between checkpoints; ``None``: one per epoch.
        workers: processes that load.
        device: as ``--device``.
    """

    part: str
    dataset: str
    out: Path
    work: Path
    stored: Path
    seed: int = 1
    data_root: Path | None = None
    split_by: str | None = None
    images_folder: Path | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    recipe: str = 'embedded'
    settings: Sequence[str] = ()
    vectors: Path | None = None
    parsed: Path | None = None
    store: str | None = None
    precision: Precision = 'fp32'
    checkpoint_every: int | None = None
    workers: int | None = None
    device: str | None = None

    def datasets(self) -> tuple[Dataset, Dataset]:
        """The dataset with the split ``train`` and the one with ``val``: two parts of the embedded benchmark, else the
        same.

        Raises:
            InputError: a file is wrong, or has no such split.
        """
        if self.dataset in EMBEDDED:
            from harness.embedded.known import load_embedded
            return load_embedded(self.dataset, 'train'), load_embedded(self.dataset, 'eval')
        dataset = load_dataset(self.dataset, self.data_root, self.split_by, self.images_folder)
        for split in ('train', 'val'):
            if not dataset.split(split):
                raise InputError(f'--data-root {self.data_root}: {dataset.name} has no split {split}; training needs '
                                 'train and val')
        return dataset, dataset

    def detector_weights(self) -> Weights:
        """The user's detector, or for the embedded datasets the shipped one.

        Raises:
            InputError: a dataset of photographs needs one, or the file is wrong.
        """
        if self.dataset not in EMBEDDED and 'detector' not in self.weights:
            raise InputError(f'--weights detector=FILE: {self.dataset} needs a detector of real photographs; make one '
                             'by "convert CHECKPOINT.pth detector.safetensors --as detector --config '
                             'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"')
        return load_weights(self.weights.get('detector', shipped_path('detector')))

    def pick_device(self) -> str:
        """Where the detector runs."""
        from harness.device import pick_device
        return pick_device(self.device)

    def word_vectors(self, train: Dataset, val: Dataset) -> WordVectors:
        """The shipped vectors, or those of the user's file that the sentences and categories need."""
        if self.vectors is None:
            return load_vectors()
        from harness.words.critical_objects import words_to_look_up
        expressions = [*train.expressions, *val.expressions]
        wanted = words_to_look_up(expressions, {*train.categories, *val.categories})
        return load_vectors(self.vectors, wanted | {word for e in expressions for word in e.tokens})
