"""Excerpts: expressions with proposals of their own in one JSON list, as MAttNet's detections are passed around.

A row has ``sent, gt_box`` (xywh), ``pred_boxes`` (xywh) and ``pred_boxes_img_id``, whose 12 digits are the COCO image
id. It names neither dataset nor split nor the image's size: the dataset is called as the file, the split ``all``.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json

_COCO_ID = re.compile(r'(?<!\d)\d{12}(?!\d)')


def is_excerpt(data: bytes) -> bool:
    """Whether a file's content is one list, by its first sign."""
    return data.lstrip(b'\xef\xbb\xbf \t\r\n').startswith(b'[')


def excerpt_rows(data: bytes, path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Number from 1, place for messages, and the row in the names of plain expressions, ``pred_boxes`` kept.

    A row without proposals does not say its image; it has one of its own, numbered below zero.

    Raises:
        InputError: the file is not such a list, or a row's proposals are of no or of two images.
    """
    rows = parse_json(data, str(path))
    if not isinstance(rows, list):
        raise InputError(f'{path}: must be a list of expressions, not {fields.kind(rows)}')
    for number, row in enumerate(rows, start=1):
        where = f'{path}: row {number}'
        fields.items(row, 'pred_boxes', where)
        image_ids = _image_ids(row, where) or [-number]
        yield number, where, {
            'dataset': path.name.split('.')[0], 'split': 'all', 'image_id': image_ids[0], **row,
            'bbox': fields.required(row, 'gt_box', where),
        }


def _image_ids(row: Any, where: str) -> list[int]:
    names = fields.words(row, 'pred_boxes_img_id', where)
    ids = [_COCO_ID.search(name) for name in names]
    if None in ids or len({match.group() for match in ids if match}) > 1:
        raise InputError(f"{where}: 'pred_boxes_img_id' must name one image by 12 digits")
    return [int(match.group()) for match in ids if match]
