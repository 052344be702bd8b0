"""Jittered boxes that all expressions of an image share: some for every target and level, from which each place draws.

The released R makes a new box for each place (``RankDataset.sample_roi`` of ChopinSharp/ref-nms), and all of them go
through the head: 850 for an image of seven expressions. A pool has a fixed number for each target, however many
expressions draw from it.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harness.training.ref_nms.jitter import jittered
from harness.training.ref_nms.levels import LEVELS, bounds


@dataclass(frozen=True)
class JitterPool:
    """How many boxes each target has at each of the six levels; P together, levels in order."""

    numbers: tuple[int, ...]

    @property
    def size(self) -> int:
        """P."""
        return sum(self.numbers)

    @cached_property
    def _numbers(self) -> Tensor:
        return torch.tensor(self.numbers)

    def boxes(self, targets: Tensor, width: float, height: float, generator: torch.Generator | None) -> Tensor:
        """``(T · P, 4)`` xyxy float64: the boxes of T targets ``(T, 4)``, one target after the other.

        ``width`` and ``height`` are the image's, in the units of the targets.
        """
        low, high = bounds(torch.arange(LEVELS).repeat_interleave(self._numbers).repeat(len(targets)))
        return jittered(targets.repeat_interleave(self.size, dim=0), low, high, width, height, generator)

    def drawn(self, among: Tensor, targets: Tensor, levels: Tensor, generator: torch.Generator | None) -> Tensor:
        """``(k,)`` into the boxes of the targets ``among`` ``(T, 4)``: a random one for each of k targets ``(k, 4)``
        and levels ``(k,)``."""
        target = (targets[:, None] == among[None]).all(dim=2).int().argmax(dim=1)
        numbers = self._numbers[levels]
        within = (torch.rand(len(levels), generator=generator) * numbers).long().clamp(max=numbers - 1)
        return target * self.size + (self._numbers.cumsum(0) - self._numbers)[levels] + within


#: Of a frozen head, or where crops are stored: made once, for all epochs.
KEPT_POOL = JitterPool((16, 6, 6, 6, 6, 6))
#: Made anew each time that an image is an item (``jitter='image'``).
IMAGE_POOL = JitterPool((5, 2, 2, 2, 2, 2))
