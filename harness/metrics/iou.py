"""What metrics compare: boxes by the functions of :mod:`harness.boxes`, masks, and which proposals count."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco_mask

from harness.boxes import best_iou, plain_iou, rec_iou, xywh_to_xyxy

__all__ = ['best_iou', 'mask_overlap', 'plain_iou', 'rec_iou', 'select', 'xywh_to_xyxy']


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
