"""Boxes: the ways to write them and what two of them share, each convention once.

``xyxy`` are corners x1, y1, x2, y2 and ``xywh`` a corner and the sides, with x2 = x + w unless a function says that the
last pixel counts. Many cases sit exactly on a threshold, so each function repeats the order of operations of its source
and says in which precision it computes. Torch is only imported for tensors: reports read boxes without it.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
XYXY = tuple[float, float, float, float]
Boxes = TypeVar('Boxes', NDArray[Any], 'Tensor')


def xywh_to_xyxy(boxes: Boxes) -> Boxes:
    """x, y, w, h to x, y, x + w, y + h in double precision: nothing taken off.

    Source: ``xywh_to_xyxy`` in ``utils/misc.py`` of ChopinSharp/ref-nms.

    Args:
        boxes: a tensor ``(..., 4)``, or an array or lists ``(n, 4)``; one box is taken for ``(1, 4)``.

    Returns:
        A tensor of the same shape, or an array ``(n, 4)``.
    """
    boxes = _double(boxes)
    return _library(boxes).concatenate((boxes[..., :2], boxes[..., :2] + boxes[..., 2:]), axis=-1)


def xyxy_to_xywh(boxes: Boxes) -> Boxes:
    """The way back: x, y, x2 - x, y2 - y in double precision, in the shapes of :func:`xywh_to_xyxy`."""
    boxes = _double(boxes)
    return _library(boxes).concatenate((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), axis=-1)


def corners(xywh: Sequence[float]) -> XYXY:
    """:func:`xywh_to_xyxy` of one box that stays a record of plain numbers, as files hold it."""
    x, y, width, height = xywh
    return x, y, x + width, y + height


def corners_to_last_pixel(xywh: Tensor) -> Tensor:
    """``(n, 4)`` to x, y, x + w - 1, y + h - 1 in the precision given: what is pooled of an annotated box.

    The 1 is taken off x before w is added; in single precision, taking it off last may give another last bit.
    Source: ``lib/loaders/gt_mrcn_loader.py`` of lichengunc/MAttNet.
    """
    pooled = xywh.clone()
    pooled[:, 2:] += pooled[:, :2] - 1
    return pooled


def iou(a: Boxes, b: Boxes, offset: float = 0) -> Boxes:
    """Intersection over union of boxes side by side, in their own precision.

    Args:
        a: ``(..., 4)`` xyxy.
        b: ``(..., 4)`` xyxy in the same units; the leading dimensions of both are broadcast.
        offset: 0 for plain areas; 1 for inclusive pixels (a box from x1 to x2 is x2 - x1 + 1 wide).

    Returns:
        ``(...)``; 0 where boxes don't overlap or one is turned inside out, NaN where both have no area.
    """
    shared, either = _shared_and_either(a, b, offset)
    return shared / either


def pairwise_iou(a: Tensor, b: Tensor, offset: float = 0) -> Tensor:
    """:func:`iou` of every box of ``a``, ``(n, 4)``, with every box of ``b``, ``(m, 4)``: ``(n, m)`` float64."""
    return iou(a.double()[:, None], b.double()[None], offset)


def plain_iou(gold: ArrayLike, boxes: ArrayLike) -> Floats:
    """IoU of every gold box with every box by plain areas in double precision, as recall is counted.

    Source: ``calculate_iou`` in ``utils/misc.py`` of ChopinSharp/ref-nms: boxes that only touch have 0.

    Args:
        gold: ``(g, 4)`` xyxy.
        boxes: ``(n, 4)`` xyxy.

    Returns:
        ``(g, n)``; 0 where both have no area.
    """
    return _ratio(*_shared_and_either(_rows(gold)[:, None], _rows(boxes)[None], 0))


def best_iou(gold: ArrayLike, boxes: ArrayLike) -> Floats:
    """Each gold box's ``(g, 4)`` best :func:`plain_iou` with any of the boxes ``(n, 4)``: ``(g,)``, 0 without boxes."""
    return plain_iou(gold, boxes).max(axis=1, initial=0.0)


def annotated_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Plain IoU of two boxes ``xywh`` in the files' own digits.

    Areas are w · h; taken from corners, as :func:`plain_iou` has to, they may differ in the last bit. Source:
    ``calculate_iou`` in ``utils/misc.py`` of ChopinSharp/ref-nms, which is given such boxes.
    """
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def rec_iou(predicted: ArrayLike, gold: ArrayLike) -> Floats:
    """IoU of x, y, w, h boxes whose last pixel is x+w-1, pair by pair in double precision, as REC accuracy is counted.

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
    shared = np.where((first < last).all(-1), sides[:, 0] * sides[:, 1], 0.0)
    return _ratio(shared, predicted[:, 2] * predicted[:, 3] + gold[:, 2] * gold[:, 3] - shared)


def _shared_and_either(a: Boxes, b: Boxes, offset: float) -> tuple[Boxes, Boxes]:
    library = _library(a)
    top_left = library.maximum(a[..., :2], b[..., :2])
    bottom_right = library.minimum(a[..., 2:], b[..., 2:])
    sides = (bottom_right - top_left + offset).clip(min=0)
    shared = sides[..., 0] * sides[..., 1]
    return shared, _area(a, offset) + _area(b, offset) - shared


def _area(boxes: Boxes, offset: float) -> Boxes:
    return (boxes[..., 2] - boxes[..., 0] + offset) * (boxes[..., 3] - boxes[..., 1] + offset)


def _ratio(shared: Floats, either: Floats) -> Floats:
    return np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)


def _rows(boxes: ArrayLike) -> Floats:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _double(boxes: Any) -> Any:
    return _rows(boxes) if _library(boxes) is np else boxes.double()


def _library(boxes: Any) -> Any:
    """NumPy or torch, whose functions used here are named alike."""
    if isinstance(boxes, np.ndarray | Sequence):
        return np
    import torch
    return torch
