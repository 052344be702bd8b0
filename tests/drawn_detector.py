"""A detector that looks at no picture: candidates of the size and sparsity of a real one, drawn by image."""
from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from harness.data.coco_categories import COCO_CLASSES
from harness.detection.source import StoredMap
from harness.plugins import Detector
from harness.registry import DETECTORS
from harness.types import Annotation, ImageFeatures, ImageInfo

#: Width and height of an object, as a share of the image's: least and most.
SIZES = (0.08, 0.6)
#: Objects per image, at most; classes that a detector takes seriously in an image, and in a region of it.
OBJECTS, SEEN, LIKELY = 40, 12, 3


@DETECTORS.register_module(name='drawn')
class Drawn(Detector):
    """R regions around a few objects per image, a box and a confidence for each of COCO's 80 classes.

    It starts from stored maps (:class:`harness.detection.source.FromMaps`), which are empty here
    (:func:`empty_maps`): a run needs no image files then.
    """

    weights = None
    classes = COCO_CLASSES
    _regions = 300

    def __init__(self, device: str = 'cpu') -> None:
        pass

    def features(self, image: np.ndarray, info: ImageInfo,
                 annotations: list[Annotation] | None = None) -> ImageFeatures:
        rng = np.random.default_rng(info.image_id)
        boxes, scores = draw(rng, self._regions, len(self.classes), info)
        return ImageFeatures(info, 1., torch.zeros(1, 1, 1, 1), boxes, scores, self.classes, self, annotations)

    def check_map(self, feature_map: torch.Tensor, where: str) -> None:
        """Any map will do, nothing is read from it."""

    def from_map(self, feature_map: torch.Tensor, scale: float, info: ImageInfo,
                 annotations: list[Annotation] | None = None,
                 input_size: tuple[int, int] | None = None) -> ImageFeatures:
        return self.features(np.empty((0, 0, 3), np.uint8), info, annotations)


def detector_with(regions: int) -> None:
    """From now on the detector gives so many regions per image."""
    Drawn._regions = regions


def empty_maps(sizes: Mapping[int, tuple[int, int]]) -> Callable[[int], StoredMap]:
    """What stands for stored maps of images, given each image's height and width."""
    nothing = torch.zeros(1, 1, 1, 1)
    return lambda image_id: StoredMap(nothing, 1., sizes[image_id], 'nothing is stored')


def draw(rng: np.random.Generator, regions: int, classes: int, info: ImageInfo) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes ``(R, K, 4)`` xyxy within the image, and confidences ``(R, K)``: per region a few classes share most of
    what the background leaves, as after a softmax."""
    objects = int(rng.integers(10, OBJECTS + 1))
    centres, sides = rng.random((objects, 2)), rng.uniform(*SIZES, (objects, 2))
    of = rng.integers(0, objects, regions)
    centre = centres[of] + rng.normal(0, 0.25, (regions, 2)) * sides[of]
    side = sides[of] * np.exp(rng.normal(0, 0.2, (regions, 2)))
    corners = np.concatenate([centre - side / 2, centre + side / 2], axis=1)
    jitter = 0.03 * rng.standard_normal((regions, classes, 4), np.float32)
    refined = corners[:, None] + jitter * np.tile(side, 2)[:, None]
    pixels = np.array([info.width, info.height] * 2)
    boxes = np.clip(np.sort(refined.reshape(regions, classes, 2, 2), axis=2).reshape(regions, classes, 4), 0, 1)

    scores = rng.random((regions, classes)) * 1e-4
    seen = rng.choice(classes, SEEN, replace=False)
    likely = np.stack([rng.choice(seen, LIKELY, replace=False) for _ in range(objects)])[of]
    shares = rng.dirichlet([4., 1., 0.3], regions) * rng.beta(0.6, 1., regions)[:, None]
    np.put_along_axis(scores, likely, shares, axis=1)
    return torch.from_numpy((boxes * pixels).astype(np.float32)), torch.from_numpy(scores.astype(np.float32))
