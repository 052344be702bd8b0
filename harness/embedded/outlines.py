"""Outlines of masks as COCO writes them: polygons along the edges of pixels."""
from __future__ import annotations

import cv2
import numpy as np


def polygons(mask: np.ndarray) -> list[list[float]]:
    """The outer outlines of a mask, one polygon a part, the largest first.

    Corners of pixels are exact: each pixel is drawn as two by two, whose outline is then moved outwards to the pixel's
    edge, so that the bounds of the polygons are the box x, y, x + w, y + h of the mask. Holes are lost, as in COCO.

    Args:
        mask: ``(H, W)`` bool or uint8.

    Returns:
        ``[x1, y1, x2, y2, …]`` of each part, in image pixels.
    """
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    doubled = mask[top:top + height, left:left + width].astype(np.uint8).repeat(2, 0).repeat(2, 1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    contours = sorted(contours, key=cv2.contourArea, reverse=True)
    return [((points.reshape(-1, 2) + 1) // 2 + (left, top)).reshape(-1).astype(float).tolist() for points in contours]
