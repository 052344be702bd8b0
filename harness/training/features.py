"""What the trainings of Ref-NMS and the grounders share: the fixed detector's view of every image of a split, once."""
from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.boxes import corners_to_last_pixel
from harness.detection.crop import to_cells, whole_map
from harness.detection.pictures import read_recorded
from harness.errors import InputError
from harness.plugins import Detector
from harness.progress import track
from harness.training.runner import console
from harness.types import Annotation, Dataset, ImageFeatures, ImageInfo


def check_images(dataset: str, images: Sequence[ImageInfo]) -> None:
    """Look for all images that a training is about to see: to see them can take hours.

    Raises:
        InputError: some are missing.
    """
    missing = [info.path for info in images if info.path is None or not info.path.is_file()]
    if None in missing:
        raise InputError(f'{dataset}: training needs its images; give the image folder')
    if missing:
        raise InputError(f'{missing[0]}: this image and {len(missing) - 1} more of {len(images)} are missing; fetch '
                         'COCO\'s train2014 images')


def described_images(dataset: Dataset, split: str, detector: Detector,
                     except_for: Container[int] = ()) -> Iterator[ImageFeatures]:
    """Detect the images of a split one by one, in order of first appearance; those in ``except_for`` are skipped."""
    infos = [info for info, _ in dataset.by_image(dataset.split(split)) if info.image_id not in except_for]
    check_images(dataset.name, infos)
    for info in track(infos, f'images of {dataset.name} {split}', console):
        annotations = None if dataset.annotations is None else dataset.annotations.get(info.image_id, [])
        yield detector.features(read_recorded(info).pixels, info, annotations)


@torch.inference_mode()
def annotated_features(image: ImageFeatures, annotations: Sequence[Annotation]) -> tuple[Tensor, Tensor, Tensor]:
    """Of one image, in float16 on the CPU: ``pool5`` (A, C, 7, 7) and ``fc7`` (A, F, s, s) of annotated boxes, and
    ``image_pool5`` (1, C, 7, 7) of the whole image. Crops of more cells are averaged to 7 × 7, as grounders see them.
    """
    boxes = corners_to_last_pixel(torch.tensor([a.xywh for a in annotations], dtype=torch.float32).reshape(-1, 4))
    crops = image.pool(torch.cat((boxes, whole_map(image.feature_map).cpu() / image.scale)))
    fc7 = image.head(crops[:-1])
    pool5 = to_cells(crops)
    return pool5[:-1].half().cpu(), fc7.half().cpu(), pool5[-1:].half().cpu()


class AnnotatedFeatures:
    """Collects what grounders learn from: features of all annotated boxes, and of whole images, in float16.

    Boxes are pooled from x, y to their last pixel x + w - 1, y + h - 1, as ``lib/loaders/gt_mrcn_loader.py`` of
    lichengunc/MAttNet does; whole images from the centre of the map's first cell to that of its last.
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {'pool5': [], 'fc7': [], 'image_pool5': []}
        self._ann_ids: list[int] = []
        self._image_ids: list[int] = []

    def add(self, image: ImageFeatures) -> None:
        """Pool one image's annotated boxes and the image itself."""
        annotations = image.annotations or []
        for name, features in zip(self._parts, annotated_features(image, annotations), strict=True):
            self._parts[name].append(features)
        self._ann_ids += [a.ann_id for a in annotations]
        self._image_ids.append(image.info.image_id)

    def collected(self) -> dict[str, Any]:
        """``pool5`` (A, C, 7, 7), ``fc7`` (A, F, s, s), ``image_pool5`` (I, C, 7, 7), ``ann_ids``, ``image_ids``."""
        return {**{name: torch.cat(parts) for name, parts in self._parts.items()},
                'ann_ids': self._ann_ids, 'image_ids': self._image_ids}
