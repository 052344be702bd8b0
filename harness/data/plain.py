"""Plain expressions: one JSON object a line, nothing but what a sentence and its referent's box need.

A row has ``dataset, split, image_id, height, width, bbox`` (xywh) and ``sent``, and may have ``sent_id, ref_id, ann_id,
tokens``. Equal rows are separate expressions. Masks, categories and contextual objects are not available.
"""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.data import fields
from harness.data.box_forms import check_truth
from harness.data.excerpt import excerpt_rows, is_excerpt
from harness.data.files import parse_json, read_bytes
from harness.errors import InputError
from harness.types import Dataset, Expression, ImageInfo

_WORD = re.compile(r'[^\W_]+|[^\s]')


def load_expressions(path: str | Path, images: Path | None = None) -> dict[str, Dataset]:
    """The datasets of a file by name, expressions in file order.

    Args:
        path: JSONL, also packed by gzip; or an excerpt (:mod:`harness.data.excerpt`), which is one JSON list.
        images: a folder with ``COCO_train2014_<image_id, 12 digits>.jpg``.

    Returns:
        ``{name: Dataset}`` in order of first appearance. A row without ``sent_id`` has its line number, from 1. An
        image of unknown size, as an excerpt has them, is 0 by 0 pixels.

    Raises:
        InputError: with file, line and field, where a row is not as described or an id comes twice in a dataset; or
            the boxes as a whole are of another form (:mod:`harness.data.box_forms`).
    """
    data = read_bytes(path)
    excerpt = is_excerpt(data)
    rows = excerpt_rows(data, Path(path)) if excerpt else _lines(data, path)
    expressions: dict[str, list[Expression]] = {}
    infos: dict[str, dict[int, ImageInfo]] = {}
    for number, where, row in rows:
        expression = _expression(row, number, where)
        expressions.setdefault(expression.dataset, []).append(expression)
        height, width = (0, 0) if excerpt and 'height' not in row else fields.image_size(row, where)
        info = ImageInfo(expression.image_id, height, width, images and image_path(images, expression.image_id))
        known = infos.setdefault(expression.dataset, {}).setdefault(expression.image_id, info)
        if known != info:
            raise InputError(f"{where}: 'height' or 'width' differ from an earlier row of image {info.image_id}")
    if not expressions:
        raise InputError(f'{path}: holds no expressions')
    for name, members in expressions.items():
        fields.unique((e.sent_id for e in members), f'in {name} sent_id', str(path))
    digest = hashlib.sha256(data).hexdigest()
    datasets = {name: Dataset(name=name, images=infos[name], expressions=members, data_hash=digest)
                for name, members in expressions.items()}
    for dataset in datasets.values():
        check_truth(dataset, str(path))
    return datasets


def tokenize(sent: str) -> tuple[str, ...]:
    """Lower-cased words and signs, as REFER's sentences are already divided: ``t - shirt``, ``man ' s hat``.

    >>> tokenize("Man's T-shirt, left")
    ('man', "'", 's', 't', '-', 'shirt', ',', 'left')
    """
    return tuple(_WORD.findall(sent.lower()))


def image_path(folder: Path, image_id: int) -> Path:
    """Where COCO's train2014 has an image."""
    return Path(folder) / f'COCO_train2014_{image_id:012d}.jpg'


def _lines(data: bytes, path: str | Path) -> Iterable[tuple[int, str, Any]]:
    for number, line in enumerate(data.split(b'\n'), start=1):
        if line.strip():
            where = f'{path}: line {number}'
            yield number, where, parse_json(line, where)


def _expression(row: Any, number: int, where: str) -> Expression:
    sent = fields.text(row, 'sent', where)
    return Expression(
        dataset=fields.name(row, 'dataset', where),
        split=fields.name(row, 'split', where),
        image_id=fields.integer(row, 'image_id', where),
        sent_id=number if row.get('sent_id') is None else fields.integer(row, 'sent_id', where),
        sent=sent,
        tokens=tokenize(sent) if row.get('tokens') is None else fields.words(row, 'tokens', where),
        gt_xywh=fields.box(row, 'bbox', where),
        ref_id=_optional_id(row, 'ref_id', where),
        ann_id=_optional_id(row, 'ann_id', where),
    )


def _optional_id(row: Any, key: str, where: str) -> int | None:
    return None if row.get(key) is None else fields.integer(row, key, where)
