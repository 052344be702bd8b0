"""COCO's detection results: boxes with categories and confidences that any detector can write, as candidates of rules.

``[{"image_id": 1, "category_id": 3, "bbox": [x, y, w, h], "score": 0.9}, …]``, also packed by gzip. A row may say
``category``, the name, in the place of ``category_id``.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from numpy.typing import NDArray

from harness.boxes import xywh_to_xyxy
from harness.data.box_forms import check_form
from harness.data.coco_categories import COCO_IDS
from harness.errors import InputError, shown
from harness.files import fields
from harness.files.reading import parse_json, read_bytes
from harness.types import Expression, ImageInfo

_COCO_NAMES = {number: name for name, number in COCO_IDS.items()}


@dataclass(frozen=True)
class Detections:
    """The n boxes of one image, best first, list order among equals: ``xyxy`` (n, 4) in image pixels, never clipped,
    ``labels`` (n,) into the file's names, ``scores`` (n,)."""

    xyxy: NDArray[np.float64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]


NOTHING = Detections(np.empty((0, 4)), np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True)
class DetectionResults:
    """The detections of a file by image id, and the names of its categories."""

    by_image: Mapping[int, Detections]
    classes: tuple[str, ...]

    def of(self, image_id: int) -> Detections:
        """An image's detections; an image that the file lacks has none."""
        return self.by_image.get(image_id, NOTHING)

    def for_expression(self, expression: Expression) -> InstanceData | None:
        """What the rule ``given`` proposes, ``None`` where the file lacks the image.

        Returns:
            ``bboxes`` (n, 4) xyxy, ``scores`` (n,) and category ``names``.
        """
        found = self.by_image.get(expression.image_id)
        if found is None:
            return None
        return InstanceData(bboxes=torch.from_numpy(found.xyxy), scores=torch.from_numpy(found.scores),
                            names=[self.classes[label] for label in found.labels.tolist()])

    def count_outside(self, images: Mapping[Any, ImageInfo]) -> int:
        """How many boxes reach outside their image, of those whose image's size is known.

        Raises:
            InputError: the boxes as a whole are of another form than ``xywh`` pixels.
        """
        known = [(found.xyxy, images[key]) for key, found in self.by_image.items()
                 if key in images and images[key].width]
        xywh = [np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1) for xyxy, _ in known]
        check_form(np.concatenate([np.empty((0, 4)), *xywh]), [(info.width, info.height) for xyxy, info in known
                                                                for _ in xyxy], '--candidates')
        return sum(int(((xyxy[:, :2] < 0) | (xyxy[:, 2:] > (info.width, info.height))).any(1).sum())
                   for xyxy, info in known)


def load_detection_results(path: Path, categories: Mapping[int, str]) -> DetectionResults:
    """Read COCO's detection results.

    Args:
        path: the file.
        categories: the names of category ids, of the datasets that are evaluated; others are COCO's.

    Raises:
        InputError: the file is not as described, or a category has no name.
    """
    rows = parse_json(read_bytes(path), str(path))
    if not isinstance(rows, list):
        raise InputError(f'{path}: must hold a list of detections, not {fields.kind(rows)}')
    names: dict[str, int] = {}
    found: dict[int, list[tuple[Any, int, float]]] = {}
    for number, row in enumerate(rows, start=1):
        where = f'{path}: detection {number}'
        image_id, box = fields.integer(row, 'image_id', where), fields.box(row, 'bbox', where, may_be_empty=True)
        if 'score' not in row:
            raise InputError(f'{where}: has no score, by which rules suppress boxes; add it, or give boxes by image id '
                             'as {image_id: [[x, y, w, h], …]}')
        label = names.setdefault(_category(row, categories, where), len(names))
        found.setdefault(image_id, []).append((box, label, fields.number(row, 'score', where)))
    return DetectionResults({image_id: _ranked(mine) for image_id, mine in found.items()}, tuple(names))


def _category(row: Mapping[str, Any], categories: Mapping[int, str], where: str) -> str:
    if 'category' in row:
        return fields.name(row, 'category', where)
    number = fields.integer(row, 'category_id', where)
    name = categories.get(number) or _COCO_NAMES.get(number)
    if name is None:
        raise InputError(f'{where}: category_id {shown(str(number))} is none of the dataset\'s and none of COCO\'s; '
                         'write the name as "category"')
    return name


def _ranked(rows: Iterable[tuple[Any, int, float]]) -> Detections:
    boxes, labels, scores = zip(*rows, strict=True)
    score = np.array(scores, np.float64)
    order = np.argsort(-score, kind='stable')
    xyxy = xywh_to_xyxy(np.array(boxes, np.float64))
    return Detections(xyxy[order], np.array(labels, np.int64)[order], score[order])
