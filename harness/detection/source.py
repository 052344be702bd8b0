"""Where an image's features come from: its picture, the C4 map that another program stored, or nowhere.

A source has ``read(info)``, which can fail, and ``features(what was read, info)``; a run times the two apart.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.detection.detector import Detector, read_image
from harness.errors import InputError
from harness.types import ImageFeatures, ImageInfo


@dataclass
class FromPictures:
    """Detects on the image files."""

    detector: Detector

    def read(self, info: ImageInfo) -> np.ndarray:
        """``(H, W, 3)`` uint8 BGR."""
        if info.path is None:
            raise InputError('no image folder is known')
        return read_image(info.path)

    def features(self, pixels: np.ndarray, info: ImageInfo) -> ImageFeatures:
        return self.detector.features(pixels, info)


@dataclass
class FromNowhere:
    """For grounders that read features of their own from a file: an image is its record alone.

    Attributes:
        classes: the category names of the proposals.
    """

    classes: tuple[str, ...] = ()

    def read(self, info: ImageInfo) -> None:
        return None

    def features(self, read: None, info: ImageInfo) -> ImageFeatures:
        none = torch.zeros(0, len(self.classes), 4)
        return ImageFeatures(info=info, scale=1.0, feature_map=torch.zeros(1, 0, 0, 0), class_boxes=none,
                             class_scores=none[..., 0], classes=self.classes, detector=None)


class StoredMap(NamedTuple):
    """A C4 map ``(1, C, h, w)``, network-input pixels per image pixel, and the input's height and width."""

    feature_map: Tensor
    scale: float
    input_size: tuple[int, int]


@dataclass
class FromMaps:
    """Goes on from stored C4 maps; no images are needed.

    Attributes:
        detector: with the weights that made the maps.
        stored: from an image id to its map.
        detect: whether regions are proposed and classified on it, which boxes from outside do not need.
    """

    detector: Detector
    stored: Callable[[int], StoredMap]
    detect: bool = True

    def read(self, info: ImageInfo) -> StoredMap:
        return self.stored(info.image_id)

    def features(self, stored: StoredMap, info: ImageInfo) -> ImageFeatures:
        return self.detector.from_map(stored.feature_map, stored.scale, info,
                                      input_size=stored.input_size if self.detect else None)
