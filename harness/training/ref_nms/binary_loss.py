"""Ref-NMS B's objective (Eq. 3), and what it is computed on: regions that are critical objects and others.

Source: Ref-NMS (AAAI 2021), "Binary XE Loss"; ChopinSharp/ref-nms ``lib/vanilla_utils.py: DetBoxDataset``.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.training.ref_nms.sampler import Draw

REGIONS_AN_EXPRESSION = 32


def choose_regions(positive: Tensor, number: int = REGIONS_AN_EXPRESSION,
                   generator: torch.Generator | None = None) -> Tensor:
    """A random sample of regions for each expression: half positive, half negative; if one kind is short, the other
    fills up.

    Source: ``DetBoxDataset.__getitem__``: up to half positives, negatives for the rest, positives again for what
    negatives cannot fill. Where there are fewer than ``number`` regions, all are taken.

    Args:
        positive: ``(E, n)`` bool.
        number: regions per expression.
        generator: of randomness; ``None`` is torch's global one.

    Returns:
        ``(E, n)`` bool with the same number of true entries, ``min(number, n)``, in each row.
    """
    positives = positive.sum(dim=1, keepdim=True)
    negatives = positive.shape[1] - positives
    from_negatives = torch.minimum(negatives, number - positives.clamp(max=number // 2))
    from_positives = torch.minimum(positives, number - from_negatives)
    # Random rank of each region in its row, all positives before all negatives.
    rank = (torch.rand(positive.shape, generator=generator) + 2 * ~positive).argsort(dim=1).argsort(dim=1)
    return torch.where(positive, rank < from_positives, rank - positives < from_negatives)


@dataclass(frozen=True)
class BinarySampler:
    """Samples critical objects and other regions.

    Attributes:
        number: regions per expression; ``None``: all of them.
        at_half: whether an overlap of exactly 0.5 makes a region positive.
    """

    number: int | None = REGIONS_AN_EXPRESSION
    at_half: bool = True
    fills = False

    def labels(self, overlap: Tensor) -> Tensor:
        """``(E, n)`` bool."""
        return overlap >= 0.5 if self.at_half else overlap > 0.5

    def draw(self, labels: Tensor, generator: torch.Generator | None) -> Draw:
        """Regions in their own order, labels 1 and 0."""
        chosen = torch.ones_like(labels) if self.number is None else choose_regions(labels, self.number, generator)
        return Draw(chosen.nonzero()[:, 1].reshape(len(labels), -1), labels[chosen].reshape(len(labels), -1).float())


def binary_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over all regions of all expressions.

    Args:
        logits: ``(E, R)`` relatedness before the sigmoid.
        labels: ``(E, R)`` 1 for critical objects, 0 for others; below 0 for a place that holds no region.
    """
    real = labels >= 0
    return F.binary_cross_entropy_with_logits(logits[real], labels[real])
