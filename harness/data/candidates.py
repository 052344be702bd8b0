"""Outside candidates: boxes that another program found, for the rule ``given``.

Either ``{image_id: [[x, y, w, h] or [x, y, w, h, score], …]}``, also packed by gzip, or an excerpt
(:mod:`harness.data.excerpt`), where each expression has candidates of its own.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from numpy.typing import NDArray

from harness.boxes import xywh_to_xyxy
from harness.data.box_forms import check_form
from harness.data.excerpt import excerpt_rows, is_excerpt
from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes
from harness.types import Expression, ImageInfo

_IMAGE_ID = re.compile(r'-?[0-9]{1,18}')
Key = int | tuple[str, int]


@dataclass(frozen=True)
class Candidates:
    """Candidates by image, or by ``(dataset, sent_id)`` where each expression has its own.

    ``boxes`` holds ``(n, 5)`` x, y, w, h, score in double precision, best score first, list order among equals;
    ``scored`` says whether the file has scores: without them all are 1. Boxes have no categories.
    """

    boxes: dict[Key, NDArray[np.float64]]
    scored: bool
    classes: tuple[str, ...] = ()

    def for_expression(self, expression: Expression) -> InstanceData | None:
        """An expression's proposals, ``None`` where the file lacks its image (an empty list is a miss, not ``None``).

        Returns:
            ``bboxes`` (n, 4) xyxy and ``scores`` (n,), float64, so that known answers come out to the last digit. Boxes
            that reach outside the image are not clipped.
        """
        boxes = self.boxes.get((expression.dataset, expression.sent_id), self.boxes.get(expression.image_id))
        if boxes is None:
            return None
        xyxy = xywh_to_xyxy(boxes[:, :4])
        return InstanceData(bboxes=torch.from_numpy(xyxy), scores=torch.from_numpy(boxes[:, 4].copy()))

    def count_outside(self, images: Mapping[Any, ImageInfo]) -> int:
        """How many boxes reach outside their image, of those whose image's size is known, by image or by
        ``(dataset, sent_id)``.

        Raises:
            InputError: the boxes as a whole are of another form than ``xywh`` pixels.
        """
        known = [(boxes, images[key]) for key, boxes in self.boxes.items() if key in images and images[key].width]
        check_form(np.concatenate([np.empty((0, 4)), *(boxes[:, :4] for boxes, _ in known)]),
                   [(info.width, info.height) for boxes, info in known for _ in boxes], '--candidates')
        return sum(int(_outside(boxes, info).sum()) for boxes, info in known)


def load_candidates(path: str | Path) -> Candidates:
    """Read candidates.

    Raises:
        InputError: the file is not as described, an image comes twice, a size is negative or a number not finite, or
            some boxes have a score and others none.
    """
    data = read_bytes(path)
    rows = _of_expressions(data, Path(path)) if is_excerpt(data) else _of_images(data, Path(path))
    boxes = {key: _checked(value, where) for key, value, where in rows}
    columns = {box.shape[1] for box in boxes.values() if len(box)}
    if len(columns) > 1:
        raise InputError(f'{path}: some boxes have a score and some have none; give one to all or to none')
    return Candidates({key: _ranked(value) for key, value in boxes.items()}, scored=columns == {5})


def _of_images(data: bytes, path: Path) -> Iterator[tuple[Key, Any, str]]:
    by_image = parse_json(data, str(path), pairs=lambda pairs: pairs)
    if not isinstance(by_image, list):
        raise InputError(f'{path}: must hold a list of boxes by image id, not {fields.kind(by_image)}')
    for image_id, _ in by_image:
        if not _IMAGE_ID.fullmatch(image_id):
            raise InputError(f'{path}: image ids must be whole numbers, one is {image_id[:40]!r}')
    fields.unique((int(image_id) for image_id, _ in by_image), 'image id', str(path))
    for image_id, boxes in by_image:
        yield int(image_id), boxes, f'{path}: image {image_id}'


def _of_expressions(data: bytes, path: Path) -> Iterator[tuple[Key, Any, str]]:
    for number, where, row in excerpt_rows(data, path):
        sent_id = number if row.get('sent_id') is None else fields.integer(row, 'sent_id', where)
        yield (fields.name(row, 'dataset', where), sent_id), row['pred_boxes'], where


def _checked(boxes: Any, where: str) -> NDArray[np.float64]:
    """``(n, 4)`` or ``(n, 5)`` numbers, ``(0, 5)`` where there are none."""
    if not isinstance(boxes, list) or not all(isinstance(box, list) for box in boxes):
        raise InputError(f'{where}: must be a list of boxes [x, y, w, h] or [x, y, w, h, score]')
    if not boxes:
        return np.empty((0, 5))
    columns = {len(box) for box in boxes}
    if columns not in ({4}, {5}):
        raise InputError(f'{where}: boxes must have 4 numbers x, y, w, h, or all of them 5 with a score')
    if not set(map(type, chain.from_iterable(boxes))) <= {int, float}:
        raise InputError(f'{where}: a box holds something that is no number')
    try:
        numbers = np.array(boxes, np.float64)
    except OverflowError:
        raise InputError(f'{where}: a box holds a number beyond all bounds') from None
    if not ((np.abs(numbers) < fields.MAX_NUMBER).all() and (np.abs(numbers[:, :4]) <= fields.MAX_COORDINATE).all()):
        raise InputError(f'{where}: a box holds a number that is not finite or beyond a million pixels')
    if (numbers[:, 2:4] < 0).any():
        raise InputError(f'{where}: a box has a negative width or height')
    return numbers


def _ranked(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    if boxes.shape[1] == 4:
        return np.concatenate([boxes, np.ones((len(boxes), 1))], axis=1)
    return boxes[np.argsort(-boxes[:, 4], kind='stable')]


def _outside(boxes: NDArray[np.float64], info: ImageInfo) -> NDArray[np.bool_]:
    far = boxes[:, :2] + boxes[:, 2:4] > (info.width, info.height)
    return np.any((boxes[:, :2] < 0) | far, axis=1)
