"""From an image to the size that a network reads, as steps of a config's ``test_pipeline``.

Sizes are left to ``cv2.resize`` with the exact factor, as ``lib/model/test.py: _get_image_blob`` of
lichengunc/mask-faster-rcnn does. mmdet's ``Resize`` rounds the size first and then samples with the factor that this
size has.
"""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from harness.errors import InputError


class _Resizing(BaseTransform):
    """Bilinear; adds ``scale_factor`` (x, y), network-input pixels per image pixel, and ``img_shape`` (h, w)."""

    def factor(self, height: int, width: int) -> float:
        raise NotImplementedError

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        image = results['img']
        factor = self.factor(*image.shape[:2])
        if min(image.shape[:2]) * factor <= 0.5:
            raise InputError(f'an image of {image.shape[1]} × {image.shape[0]} pixels is too long and thin for the '
                             'detector; leave it out')
        resized = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        return {**results, 'img': resized, 'img_shape': resized.shape[:2], 'scale_factor': (factor, factor)}


@TRANSFORMS.register_module()
class ScaleBy(_Resizing):
    """The same factor for every image."""

    def __init__(self, scale: float) -> None:
        self.scale = float(scale)

    def factor(self, height: int, width: int) -> float:
        return self.scale


@TRANSFORMS.register_module()
class FitShortSide(_Resizing):
    """The short side becomes ``short``, unless the long side would then round to more than ``long``: then that is met.

    Source: ``lib/model/test.py: _get_image_blob`` of lichengunc/mask-faster-rcnn.
    """

    def __init__(self, short: int, long: int) -> None:
        self.short = short
        self.long = long

    def factor(self, height: int, width: int) -> float:
        factor = self.short / min(height, width)
        return self.long / max(height, width) if np.round(factor * max(height, width)) > self.long else factor
