"""What dry runs have alike: the quickest step, the rows that say what there is to learn from, and their result."""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from harness.data.counts import count
from harness.types import Dataset


@dataclass(frozen=True)
class Estimate:
    """What a training would take, as a table, and why it cannot be (``None``: it can)."""

    table: str
    refusal: str | None = None


class QuickestStep(Hook):
    """The seconds of the quickest step: the first warms up, and others may wait for other work on the machine."""

    def __init__(self) -> None:
        self.step, self._last = float('inf'), 0.

    def before_train_epoch(self, runner: Runner) -> None:
        self._last = time.perf_counter()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        now = time.perf_counter()
        self.step, self._last = min(self.step, now - self._last), now


def rows_of_data(train: Dataset, val: Dataset, images: int) -> list[list[str]]:
    """What there is to learn from: counts of both splits, notes, and that all images are there."""
    learned, validated = count(train.split('train')), count(val.split('val'))
    return [['data', f'{train.name}: {learned.expressions:,} expressions of {learned.images:,} images to train on, '
                     f'{validated.expressions:,} of {validated.images:,} to validate on'],
            *(['', note] for note in train.notes),
            ['images', f'all {images:,} are there']]
