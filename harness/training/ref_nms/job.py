"""The data, weights and options of one training of Ref-NMS, read and checked."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.files.weights import Weights
from harness.training.ref_nms.options import TrainingOptions
from harness.types import Dataset, ImageInfo
from harness.words.vectors import WordVectors


@dataclass(frozen=True)
class RefNMSJob:
    """Everything that a training needs.

    Attributes:
        train: with the split ``train``.
        val: with the split ``val``.
        options: of the training.
        detector: its weights.
        vectors: of words.
        device: where the detector runs.
        seed: of everything random.
        store: what of each image is kept on disk: ``'crops'`` of its regions, ``'maps'``, or ``'none'``.
        checkpoint_every: steps between checkpoints; ``None``: one per epoch.
        workers: processes that load.
        out: the weight file.
        work: checkpoints and logs of this training.
        regions: folder of the stored regions, shared by all seeds and losses.
    """

    train: Dataset
    val: Dataset
    options: TrainingOptions
    detector: Weights
    vectors: WordVectors
    device: str
    seed: int
    store: str
    checkpoint_every: int | None
    workers: int
    out: Path
    work: Path
    regions: Path

    @property
    def images(self) -> list[tuple[Dataset, ImageInfo]]:
        """The images of both splits, each once, with its dataset."""
        found = {(info.image_id, info.path): (dataset, info) for dataset, split in ((self.train, 'train'),
                 (self.val, 'val')) for info, _ in dataset.by_image(dataset.split(split))}
        return list(found.values())
