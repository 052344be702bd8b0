"""IoU as different programs have it, of boxes side by side, in double precision.

Programs that compute in single precision may differ where an IoU is 0.5 but for its last bits. A box that is not there
is NaN, and so is its IoU: it compares as wrong with every threshold.
"""
from __future__ import annotations

import numpy as np

from harness.boxes import iou


def plain(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Areas of (x2 - x1) · (y2 - y1), ``(n,)`` of two ``(n, 4)`` xyxy; 0 where both have no area."""
    with np.errstate(invalid='ignore', divide='ignore'):
        found = iou(a, b)
    return np.where(np.isnan(found) & ~np.isnan(a).any(1), 0.0, found)


def of_pixel_corners(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same where both corners are pixels that count: sides of x2 - x1 + 1, also of what is shared.

    Source: ``computeIoU`` in ``minigpt4/common/eval_utils.py`` of Vision-CAIR/MiniGPT-4.
    """
    return iou(a, b, offset=1)


def generalized(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Plain IoU less the share of the smallest box around both that lies in neither: -1 to 1, never above plain IoU.

    Source: ``generalized_box_iou`` in ``util/box_ops.py`` of ashkamath/mdetr. Where the box around both has no area,
    nothing is taken off.
    """
    around = np.concatenate((np.minimum(a[:, :2], b[:, :2]), np.maximum(a[:, 2:], b[:, 2:])), axis=1)
    sides = (np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])).clip(min=0)
    whole, union = _area(around), _area(a) + _area(b) - sides.prod(1)
    neither = np.divide(whole - union, whole, out=np.zeros_like(whole), where=whole > 0)
    return plain(a, b) - np.maximum(0, neither)


def clipped(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes ``(n, 4)`` xyxy cut to their images, ``(n, 2)`` width and height: every coordinate from 0 to the side."""
    return np.clip(boxes, 0, np.tile(sizes, 2))


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

