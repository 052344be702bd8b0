"""The overlap of two masks; the overlap of boxes is in :mod:`harness.boxes`."""
from __future__ import annotations

from typing import Any

from pycocotools import mask as coco_mask


def mask_overlap(predicted: dict[str, Any], gold: dict[str, Any]) -> tuple[int, int]:
    """How many pixels two masks of one image share, and how many lie in either of them.

    Args:
        predicted: compressed run lengths, as :func:`harness.data.masks.to_rle` returns them.
        gold: the same.

    Returns:
        Intersection and union in pixels (``computeIoU`` in ``tools/eval_masks.py`` of lichengunc/MAttNet).
    """
    intersection = int(coco_mask.area(coco_mask.merge([predicted, gold], intersect=True)))
    return intersection, int(coco_mask.area(predicted)) + int(coco_mask.area(gold)) - intersection
