"""The six levels of Ref-NMS R: how well a region covers a critical object, and how many of each level are looked at.

Source: Ref-NMS (AAAI 2021), "Ranking Loss": q = ⌈max(0, ρ - 0.5) / 0.1⌉; ChopinSharp/ref-nms ``lib/rank_utils.py:
RankDataset`` and the numbers of ``tools/train_att_rank.py: CONFIG``.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

LEVELS = 6
#: Overlap of a jittered box with its target, by level. Between 0.4 and 0.5 nothing is made: it is neither.
INTERVALS = ((0.1, 0.4), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.0))


def quantised(overlap: Tensor) -> Tensor:
    """The level of every region, by its best overlap ρ with a foreground box.

    Args:
        overlap: any shape, in [0, 1]. Up to 0.5 is level 0, 0.9 to 1 is level 5; an upper bound belongs to its level.

    Returns:
        int64 of the same shape. Computed in the order of the released code, so that the last bit agrees.
    """
    return ((overlap.double() - 0.5).clamp(min=0) * (LEVELS - 1) / 0.5).ceil().long()


@dataclass(frozen=True)
class LevelNumbers:
    """How many regions of each level an expression takes: ``lowest`` at level 0, ``others`` at each of the others."""

    lowest: int = 150
    others: int = 10

    @property
    def numbers(self) -> Tensor:
        """``(6,)`` int64."""
        return torch.tensor([self.lowest] + (LEVELS - 1) * [self.others])

    @property
    def of_slots(self) -> Tensor:
        """``(R,)`` int64: the level of each of an expression's R places, from the lowest to the highest."""
        return torch.arange(LEVELS).repeat_interleave(self.numbers)


class Filled(NamedTuple):
    """Which region stands in each place, ``(E, R)`` int64; -1 where a level has too few and a jittered box has to."""

    region: Tensor

    @property
    def missing(self) -> Tensor:
        """``(E, R)`` bool."""
        return self.region < 0


def fill_levels(levels: Tensor, numbers: LevelNumbers, generator: torch.Generator | None = None) -> Filled:
    """A random sample of each level for each expression: its number, or all where it has fewer.

    Source: ``RankDataset.sample_roi``.

    Args:
        levels: ``(E, n)`` int, of n regions for E expressions.
        numbers: of places of each level.
        generator: of randomness; ``None`` is torch's global one.
    """
    wanted = numbers.numbers
    # Levels in order and each level shuffled; a region's rank in its level says whether it is in, and where.
    order = (levels + 0.5 * torch.rand(levels.shape, generator=generator)).argsort(dim=1)
    sorted_levels = levels.gather(1, order)
    counts = (levels[:, None] == torch.arange(LEVELS)[:, None]).sum(dim=2)
    rank = torch.arange(levels.shape[1]) - (counts.cumsum(dim=1) - counts).gather(1, sorted_levels)
    place = (wanted.cumsum(0) - wanted)[sorted_levels] + rank
    total = int(wanted.sum())
    place = place.masked_fill(rank >= wanted[sorted_levels], total)  # a place too many, for all that are left over
    region = torch.full((len(levels), total + 1), -1).scatter(1, place, order)
    return Filled(region[:, :total])
