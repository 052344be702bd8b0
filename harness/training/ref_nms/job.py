"""What one training of Ref-NMS is made of, read and checked."""
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
