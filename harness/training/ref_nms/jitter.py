"""Random boxes at a given overlap with a target, which fill up a level of Ref-NMS R that has too few regions.

Source: ChopinSharp/ref-nms ``utils/misc.py: recursive_jitter_roi, jitter_coordinate``, one box at a time there. The
distribution is the same: a narrow interval of overlaps is chosen, each with the same probability, and boxes are drawn
until one lies in it.
"""
from __future__ import annotations

import torch
from torch import Tensor

from harness.boxes import iou

_NARROWEST = 0.01  # an interval of overlaps is halved until it is no wider than this
_TRIES = 64
_ROUNDS = 40


def jittered(targets: Tensor, low: Tensor, high: Tensor, width: float, height: float,
             generator: torch.Generator | None = None) -> Tensor:
    """A random box for each target, inside the image, that overlaps it by ``low`` to ``high``.

    Args:
        targets: ``(k, 4)`` xyxy, with an area inside the image.
        low: ``(k,)`` least IoU, over 0.
        high: ``(k,)`` most.
        width: of the image, in the targets' units.
        height: of the image.
        generator: of randomness; ``None`` is torch's global one.

    Returns:
        ``(k, 4)`` xyxy float64. The original draws forever where no box is found; after some thousand draws this one
        gives the target shrunk about its centre, which has the wanted overlap.
    """
    limit = torch.tensor([width, height, width, height], dtype=torch.float64)
    targets = torch.minimum(targets.double().clamp(min=0), limit)
    low, high = _strip(low.double(), high.double(), generator)
    found = _shrunk(targets, (low + high) / 2)
    open_ = torch.arange(len(targets))
    for _ in range(_ROUNDS):
        if not len(open_):
            break
        boxes = _drawn(targets[open_], low[open_], limit, generator)
        overlap = iou(boxes, targets[open_, None])
        good = (overlap >= low[open_, None]) & (overlap <= high[open_, None])
        first, hit = good.int().argmax(dim=1), good.any(dim=1)
        found[open_[hit]] = boxes[hit, first[hit]]
        open_ = open_[~hit]
    return found


def _strip(low: Tensor, high: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """A random one of the equal intervals that repeated halving of ``low`` to ``high`` yields."""
    while bool((wide := high - low > _NARROWEST).any()):
        middle = (low + high) / 2
        lower = torch.rand(low.shape, generator=generator) < 0.5
        low, high = torch.where(wide & ~lower, middle, low), torch.where(wide & lower, middle, high)
    return low, high


def _drawn(targets: Tensor, low: Tensor, limit: Tensor, generator: torch.Generator | None) -> Tensor:
    """``(k, tries, 4)``: each edge moved by between -(1 - low) and (1 - low) / low sides, then into the image."""
    sides = (targets[:, 2:] - targets[:, :2]).repeat(1, 2)[:, None]
    least, most = sides * (low - 1)[:, None, None], sides * ((1 - low) / low)[:, None, None]
    draws = torch.rand(len(targets), _TRIES, 4, dtype=torch.float64, generator=generator)
    return torch.minimum((targets[:, None] + least + draws * (most - least)).clamp(min=0), limit)


def _shrunk(targets: Tensor, overlap: Tensor) -> Tensor:
    centre, half = (targets[:, :2] + targets[:, 2:]) / 2, (targets[:, 2:] - targets[:, :2]) / 2
    half = half * overlap.sqrt()[:, None]
    return torch.cat((centre - half, centre + half), dim=1)
