"""Samplers: which regions of its image an expression is trained on, with which labels. Each loss has its own."""
from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Draw(NamedTuple):
    """A sample for each of the E expressions of an image, with R places each.

    Attributes:
        region: ``(E, R)`` int64 into the image's regions; -1 where a jittered box is wanted, at the label's overlap.
        labels: ``(E, R)``, in the form that the loss takes, never negative.
    """

    region: Tensor
    labels: Tensor


class Sampler(Protocol):
    """Labels regions once, and draws a new sample from them each time."""

    #: Whether it has something to draw where an image has no region.
    fills: bool

    def labels(self, overlap: Tensor) -> Tensor:
        """``(E, n)`` best IoU with a critical object to ``(E, n)`` labels."""

    def draw(self, labels: Tensor, generator: torch.Generator | None) -> Draw:
        """A sample of labelled regions; ``generator=None`` is torch's global randomness."""
