"""Exact greedy non-maximum suppression, class by class, for one or many score vectors over the same boxes.

Nothing is rounded: intersections and areas are taken in double precision and classes are kept apart by their labels,
not by moving their boxes away from each other (which rounds in single precision). Among equal scores the earlier box
wins; the order of the originals is undefined there (``argsort()[::-1]``, an unstable sort on the GPU).
"""
from __future__ import annotations

import torch
from torch import Tensor

from harness.boxes import pairwise_iou

_FEW_PAIRS = 2 ** 17  # measured on CPUs
_LARGEST_BATCH = 2 ** 25  # pairs of boxes held at once: 128 MiB of float32


def class_wise_nms(boxes: Tensor, labels: Tensor, scores: Tensor, iou_threshold: float, offset: float = 0,
                   suppress_equal: bool = False) -> Tensor:
    """Which boxes greedy NMS keeps when only boxes of one class suppress each other.

    The conventions of the originals: ``offset=0`` and suppression *over* the threshold is torchvision's ``nms``
    (ref-nms ``tools/save_ref_nms_proposals.py``); ``offset=1`` with ``suppress_equal`` is MAttNet's detector on the CPU
    (mask-faster-rcnn ``lib/nms/src/nms.c``: inclusive pixels, suppression *at* the threshold and over it).

    Args:
        boxes: ``(n, 4)`` xyxy.
        labels: ``(n,)`` the class of each box.
        scores: ``(n,)``, or ``(E, n)`` for E suppressions over the same boxes: overlaps are then computed once.
            Among equal scores the earlier box comes first. NaN is not allowed.
        iou_threshold: boxes that overlap a better kept one by more are suppressed.
        offset: see :func:`harness.boxes.iou`.
        suppress_equal: suppress at the threshold too.

    Returns:
        bool, of the shape of ``scores``.
    """
    many = scores if scores.dim() == 2 else scores[None]
    keep = torch.ones_like(many, dtype=torch.bool)
    for members in _groups(labels, many.numel() * len(labels)):
        iou = pairwise_iou(boxes[members], boxes[members], offset)
        overlaps = iou >= iou_threshold if suppress_equal else iou > iou_threshold
        overlaps &= labels[members, None] == labels[members]
        at_once = max(1, _LARGEST_BATCH // len(members) ** 2)
        keep[:, members] = torch.cat([_survivors(overlaps, part) for part in many[:, members].split(at_once)])
    return keep if scores.dim() == 2 else keep[0]


def _groups(labels: Tensor, pairs: int) -> list[Tensor]:
    """Indices of boxes that are suppressed together: all where pairs are few, since calls then cost more than pairs of
    different classes, else those of each class."""
    if pairs <= _FEW_PAIRS:
        return [torch.arange(len(labels), device=labels.device)] if len(labels) else []
    groups = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    return [members for members in groups if len(members) > 1]


def _survivors(overlaps: Tensor, scores: Tensor) -> Tensor:
    """``(m, m)`` bool and ``(E, m)`` scores to ``(E, m)`` bool.

    Greedy NMS is the only solution of "a box is kept if no better kept box overlaps it". Starting with all
    boxes kept, each application of that sentence settles at least one more box of the order, and in practice a handful
    of applications settle all.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    suppresses = overlaps[order[:, :, None], order[:, None, :]].triu(1).float()
    kept = torch.ones_like(order, dtype=torch.bool)
    while True:
        again = torch.bmm(kept[:, None].float(), suppresses)[:, 0] == 0
        if torch.equal(again, kept):
            return torch.zeros_like(kept).scatter(1, order, kept)
        kept = again
