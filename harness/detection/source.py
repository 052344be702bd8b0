"""Where an image's features come from: its picture, the C4 map that another program stored, or nowhere.

A source has ``read(info)``, which can fail, and ``features(what was read, info)``; a run times the two apart.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.data.recorded_images import refuse_others
from harness.detection.outside import OutsideCandidates
from harness.detection.pictures import read_recorded
from harness.detection.store import DetectionStore
from harness.errors import InputError
from harness.files.image_header import MAX_PIXELS, OTHER_SIZE, Unusable
from harness.plugins import Detector
from harness.types import ImageFeatures, ImageInfo


@dataclass
class FromPictures:
    """Detects on the image files.

    Attributes:
        detector: what detects.
        max_pixels: images of more are not decoded.
        oriented: what was done about the EXIF orientation of photographs that have one, by image.
        store: keeps what the detector says of an image.
        maps: the store keeps the detector's map too.
        candidates: boxes from outside in the place of the detector's own.
    """

    detector: Detector
    max_pixels: int = MAX_PIXELS
    oriented: dict[tuple[Any, ...], str] = field(default_factory=dict)
    store: DetectionStore | None = None
    maps: bool = False
    candidates: OutsideCandidates | None = None

    def read(self, info: ImageInfo) -> np.ndarray:
        """``(H, W, 3)`` uint8 BGR, of the recorded size."""
        pixels, orientation = read_recorded(info, self.max_pixels)
        if orientation is not None:
            self.oriented[info.path, info.height, info.width] = orientation
        return pixels

    def turned(self, info: ImageInfo) -> list[str]:
        """What was done about an image's orientation, nothing for most."""
        key = info.path, info.height, info.width
        return [self.oriented[key]] if key in self.oriented else []

    @cached_property
    def _identity(self) -> str | None:
        """The detector's identity, worked out once: it reads code and versions."""
        return self.detector.identity()

    def features(self, pixels: np.ndarray, info: ImageInfo) -> ImageFeatures:
        """What the detector says of an image, kept by the store where there is one, and its pixels."""
        image = self._detected(pixels, info)
        image.pixels = pixels
        return image

    def _detected(self, pixels: np.ndarray, info: ImageInfo) -> ImageFeatures:
        if self.candidates is not None:
            return self.candidates.put_into(self.detector.maps_of(pixels, info))
        if self.store is None or self._identity is None:
            return self.detector.features(pixels, info)
        key = self.store.key(pixels, f'{self._identity} {self.detector.precision} {"maps" if self.maps else "boxes"}')
        kept = self.store.get(key)
        if kept is not None:
            return self.detector.from_store(kept, pixels, info)
        image = self.detector.features(pixels, info)
        self.store.put(key, self.detector.to_store(image, self.maps))
        return image


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
        return without_image(info, self.classes)


def without_image(info: ImageInfo, classes: tuple[str, ...] = ()) -> ImageFeatures:
    """What a rule or grounder that looks at no image is given: the image's record, and the names of categories."""
    none = torch.zeros(0, len(classes), 4)
    return ImageFeatures(info=info, scale=1.0, feature_map=torch.zeros(1, 0, 0, 0), class_boxes=none,
                         class_scores=none[..., 0], classes=classes, detector=None)


class StoredMap(NamedTuple):
    """A C4 map ``(1, C, h, w)``, network-input pixels per image pixel, the input's height and width, and its file."""

    feature_map: Tensor
    scale: float
    input_size: tuple[int, int]
    where: str


@dataclass
class FromMaps:
    """Goes on from stored C4 maps; no images are needed.

    Attributes:
        detector: with the weights that made the maps.
        stored: from an image id to its map.
        detect: whether regions are proposed and classified on it, which boxes from outside do not need.
        candidates: boxes from outside in the place of the detector's own.
    """

    detector: Detector
    stored: Callable[[int], StoredMap]
    detect: bool = True
    candidates: OutsideCandidates | None = None

    def read(self, info: ImageInfo) -> StoredMap:
        stored = self.stored(info.image_id)
        self.detector.check_map(stored.feature_map, stored.where)
        if info.height and any(abs(recorded * stored.scale - side) > 1 for recorded, side in
                               zip((info.height, info.width), stored.input_size, strict=True)):
            height, width = (round(side / stored.scale) for side in stored.input_size)
            raise Unusable(OTHER_SIZE, f'features of image {info.image_id}: are of {width} × {height} pixels, its '
                                       f'record says {info.width} × {info.height}; give those of the same images')
        return stored

    def features(self, stored: StoredMap, info: ImageInfo) -> ImageFeatures:
        detect = self.detect and self.candidates is None
        image = self.detector.from_map(stored.feature_map, stored.scale, info,
                                       input_size=stored.input_size if detect else None)
        return image if self.candidates is None else self.candidates.put_into(image)


def check_images(source: FromPictures | FromMaps | FromNowhere, images: Sequence[ImageInfo]) -> None:
    """Refuse images before anything is written: pictures that are not those of the records, and images of which not one
    can be used; looks no further than the first that can.

    Raises:
        InputError: with what is wrong with the first.
    """
    if isinstance(source, FromPictures):
        refuse_others(images)
    tried, first = 0, None
    for info in images:
        try:
            source.read(info)
            return
        except InputError as error:
            tried, first = tried + 1, first or error
    if first is not None:
        raise InputError(f'none of the {tried} images can be used; {first}' if tried > 1 else str(first))
