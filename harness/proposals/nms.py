"""Exact greedy non-maximum suppression, class by class, for one or many score vectors over the same boxes.

Nothing is rounded: intersections and areas are taken in double precision and classes are kept apart by their labels,
not by moving their boxes away from each other (which rounds in single precision). Among equal scores the earlier box
wins; the order of the originals is undefined there (``argsort()[::-1]``, an unstable sort on the GPU).
"""
from __future__ import annotations

import torch
from torch import Tensor

from harness.boxes import iou

#: Pairs of boxes that are held at once: some 150 MB.
_PAIRS_AT_ONCE = 2 ** 20


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
    first, second = _rivals(boxes.double(), labels, iou_threshold, offset, suppress_equal)
    at_once = max(1, _PAIRS_AT_ONCE // max(1, len(first)))
    keep = torch.cat([_survivors(first, second, part) for part in many.split(at_once)])
    return keep if scores.dim() == 2 else keep[0]


def _rivals(boxes: Tensor, labels: Tensor, iou_threshold: float, offset: float, suppress_equal: bool
            ) -> tuple[Tensor, Tensor]:
    """The pairs of boxes of one class of which one suppresses the other: both indices, ``(pairs,)`` each.

    Only boxes of one class are compared: with the classes one after the other, each box with those that follow it.
    """
    order = labels.argsort(stable=True)
    boxes, labels = boxes[order], labels[order]
    end_of_class = torch.searchsorted(labels, labels, right=True)
    compared = (end_of_class - torch.arange(1, len(labels) + 1, device=labels.device)).cumsum(0)
    pairs = int(compared[-1]) if len(compared) else 0
    found = [order.new_zeros(2, 0)]
    for start in range(0, pairs, _PAIRS_AT_ONCE):
        pair = torch.arange(start, min(start + _PAIRS_AT_ONCE, pairs), device=labels.device)
        one = torch.searchsorted(compared, pair, right=True)
        other = end_of_class[one] - (compared[one] - pair)
        overlap = iou(boxes[one], boxes[other], offset)
        over = overlap >= iou_threshold if suppress_equal else overlap > iou_threshold
        found.append(torch.stack((one[over], other[over])))
    first, second = order[torch.cat(found, dim=1)]
    return first, second


def _survivors(first: Tensor, second: Tensor, scores: Tensor) -> Tensor:
    """The rivals' indices ``(pairs,)`` and ``(E, n)`` scores to ``(E, n)`` bool.

    Greedy NMS is the only solution of "a box is kept if no better kept box overlaps it". Starting with all
    boxes kept, each application of that sentence settles at least one more box of the order, and in practice a handful
    of applications settle all.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    in_order = rank[:, first] < rank[:, second]
    better, worse = torch.where(in_order, first, second), torch.where(in_order, second, first)
    kept = torch.ones_like(order)
    while True:
        suppressed = torch.zeros_like(order).scatter_add(1, worse, kept.gather(1, better))
        again = (suppressed == 0).to(kept)
        if torch.equal(again, kept):
            return kept.bool()
        kept = again
