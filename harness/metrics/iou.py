"""Intersection over union in the conventions that the field's programs count by, in double precision.

Recall and REC measure boxes differently, and many cases sit exactly on a threshold: each function repeats the order
of operations of its source, so that the last bit agrees.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco_mask

Floats = NDArray[np.float64]


def xywh_to_xyxy(boxes: ArrayLike) -> Floats:
    """``(n, 4)`` x, y, w, h to x, y, x+w, y+h: nothing taken off (``utils/misc.py`` of ChopinSharp/ref-nms)."""
    boxes = _rows(boxes)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def plain_iou(gold: ArrayLike, boxes: ArrayLike) -> Floats:
    """IoU of every gold box with every box by plain areas, as recall is counted.

    Source: ``calculate_iou`` in ``utils/misc.py`` of ChopinSharp/ref-nms: boxes that only touch have 0.

    Args:
        gold: ``(g, 4)`` xyxy.
        boxes: ``(n, 4)`` xyxy.

    Returns:
        ``(g, n)``.
    """
    gold, boxes = _rows(gold)[:, None], _rows(boxes)[None]
    left_top = np.maximum(gold[..., :2], boxes[..., :2])
    right_bottom = np.minimum(gold[..., 2:], boxes[..., 2:])
    inside = (left_top < right_bottom).all(-1)
    sides = right_bottom - left_top
    intersection = np.where(inside, sides[..., 1] * sides[..., 0], 0.0)
    return _ratio(intersection, _area(gold) + _area(boxes) - intersection)


def best_iou(gold: ArrayLike, boxes: ArrayLike) -> Floats:
    """Each gold box's ``(g, 4)`` best :func:`plain_iou` with any of the boxes ``(n, 4)``: ``(g,)``, 0 without boxes."""
    return plain_iou(gold, boxes).max(axis=1, initial=0.0)


def rec_iou(predicted: ArrayLike, gold: ArrayLike) -> Floats:
    """IoU of x, y, w, h boxes whose last pixel is x+w-1, pair by pair, as REC accuracy is counted.

    Source: ``computeIoU`` in ``lib/models/eval_dets_utils.py`` of lichengunc/MAttNet: both end pixels count, and an
    overlap of one pixel or less in either direction is 0, so a box one pixel wide has IoU 0 with itself.

    Args:
        predicted: ``(n, 4)`` xywh.
        gold: ``(n, 4)`` xywh.

    Returns:
        ``(n,)``.
    """
    predicted, gold = _rows(predicted), _rows(gold)
    first = np.maximum(predicted[:, :2], gold[:, :2])
    last = np.minimum(predicted[:, :2] + predicted[:, 2:] - 1, gold[:, :2] + gold[:, 2:] - 1)
    sides = last - first + 1
    intersection = np.where((first < last).all(-1), sides[:, 0] * sides[:, 1], 0.0)
    return _ratio(intersection, predicted[:, 2] * predicted[:, 3] + gold[:, 2] * gold[:, 3] - intersection)


def mask_overlap(predicted: dict[str, Any], gold: dict[str, Any]) -> tuple[int, int]:
    """Pixels in both and pixels in either of two masks of one image.

    Args:
        predicted: compressed run lengths, as :func:`harness.data.masks.to_rle` returns them.
        gold: the same.

    Returns:
        Intersection and union in pixels (``computeIoU`` in ``tools/eval_masks.py`` of lichengunc/MAttNet).
    """
    intersection = int(coco_mask.area(coco_mask.merge([predicted, gold], intersect=True)))
    return intersection, int(coco_mask.area(predicted)) + int(coco_mask.area(gold)) - intersection


def select(scores: ArrayLike, top: int | None = None, threshold: float | None = None) -> NDArray[np.intp]:
    """Indices of the proposals that count: best score first, list order among equals.

    Source: ``tools/eval_proposal_hit_rate.py`` and ``utils/hit_rate_utils.py`` of ChopinSharp/ref-nms.

    Args:
        scores: ``(n,)``.
        top: at most so many.
        threshold: of the others but the best one, which always stays, only those with a score strictly over it.
    """
    scores = np.asarray(scores, np.float64)
    order = np.argsort(-scores, kind='stable')
    if threshold is not None:
        order = order[:max(1, int((scores > threshold).sum()))]
    return order[:top]


def _rows(boxes: ArrayLike) -> Floats:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _area(boxes: Floats) -> Floats:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _ratio(intersection: Floats, union: Floats) -> Floats:
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
