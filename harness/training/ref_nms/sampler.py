"""What an expression learns from: which of its image's regions, with what label. Each loss has its own sampler."""
from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Draw(NamedTuple):
    """A sample for each of an image's E expressions, R places each.

    Attributes:
        region: ``(E, R)`` int64 into the image's regions; -1 where a jittered box is wanted, at the label's overlap.
        labels: ``(E, R)``, whatever the loss understands, never negative.
    """

    region: Tensor
    labels: Tensor


class Sampler(Protocol):
    """Labels regions once and for all, and draws from them anew each time."""

    #: Whether it has something to draw where an image has no region.
    fills: bool

    def labels(self, overlap: Tensor) -> Tensor:
        """``(E, n)`` best IoU with a critical object to ``(E, n)`` labels."""

    def draw(self, labels: Tensor, generator: torch.Generator | None) -> Draw:
        """A sample of labelled regions; ``generator=None`` is torch's global randomness."""
