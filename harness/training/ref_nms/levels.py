"""The six levels of Ref-NMS R: how well a region covers a critical object, and how many regions of each level are
sampled.

Source: Ref-NMS (AAAI 2021), "Ranking Loss": q = ⌈max(0, ρ - 0.5) / 0.1⌉; ChopinSharp/ref-nms ``lib/rank_utils.py:
RankDataset`` and the numbers of ``tools/train_att_rank.py: CONFIG``.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.training.ref_nms.sampler import Draw

LEVELS = 6
#: Overlap of a jittered box with its target, by level. None is made between 0.4 and 0.5, which belongs to no level.
INTERVALS = ((0.1, 0.4), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.0))


def quantised(overlap: Tensor) -> Tensor:
    """The level of every region, from its best overlap ρ with a critical object.

    Args:
        overlap: any shape, in [0, 1]. Up to 0.5 is level 0, 0.9 to 1 is level 5; an upper bound belongs to its level.

    Returns:
        int64 of the same shape. Computed in the order of the released code, so that the last bit agrees.
    """
    return ((overlap.double() - 0.5).clamp(min=0) * (LEVELS - 1) / 0.5).ceil().long()


def bounds(levels: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest overlap of jittered boxes ``(k,)`` float64, for their levels ``(k,)``."""
    low, high = torch.tensor(INTERVALS, dtype=torch.float64)[levels].T
    return low, high


@dataclass(frozen=True)
class LevelSampler:
    """How many regions are sampled per expression: ``lowest`` of level 0, ``others`` of each other level."""

    lowest: int = 150
    others: int = 10

    @property
    def numbers(self) -> Tensor:
        """``(6,)`` int64."""
        return torch.tensor([self.lowest] + (LEVELS - 1) * [self.others])

    @property
    def of_slots(self) -> Tensor:
        """``(R,)`` int64: the level of each of the R places of an expression, from lowest to highest."""
        return torch.arange(LEVELS).repeat_interleave(self.numbers)

    fills = True

    def labels(self, overlap: Tensor) -> Tensor:
        """``(E, n)`` int8 levels."""
        return quantised(overlap).to(torch.int8)

    def draw(self, labels: Tensor, generator: torch.Generator | None) -> Draw:
        """Places in order of their levels, which are the labels."""
        return Draw(fill_levels(labels, self.numbers, generator), self.of_slots.expand(len(labels), -1))


def fill_levels(levels: Tensor, numbers: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A random sample of each level per expression: as many regions as ``numbers`` says, or all if there are fewer.

    Source: ``RankDataset.sample_roi``.

    Args:
        levels: ``(E, n)`` int, of n regions for E expressions.
        numbers: ``(6,)`` places of each level.
        generator: of randomness; ``None`` is torch's global one.

    Returns:
        ``(E, R)`` int64: the region in each place, levels in order; -1 where a level has too few.
    """
    levels = levels.long()
    # Levels in order and each level shuffled; a region's rank in its level says whether it is in, and where.
    order = (levels + 0.5 * torch.rand(levels.shape, generator=generator)).argsort(dim=1)
    in_order = levels.gather(1, order)
    counts = (levels[:, None] == torch.arange(LEVELS)[:, None]).sum(dim=2)
    rank = torch.arange(levels.shape[1]) - (counts.cumsum(dim=1) - counts).gather(1, in_order)
    total = int(numbers.sum())
    place = (numbers.cumsum(0) - numbers)[in_order] + rank
    place = place.masked_fill(rank >= numbers[in_order], total)  # a place too many, for all that are left over
    return torch.full((len(levels), total + 1), -1).scatter(1, place, order)[:, :total]
