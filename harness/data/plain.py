"""Plain expressions: one JSON object a line, nothing but what a sentence and its referent's box need.

A row has ``dataset, split, image_id, height, width, bbox`` (xywh) and ``sent``, and may have ``sent_id, ref_id, ann_id,
tokens`` and ``file_name``, the image's. Equal rows are separate expressions. Masks, categories and contextual objects
are not available.
"""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.data.box_forms import check_truth
from harness.data.excerpt import excerpt_rows, is_excerpt
from harness.data.form_records import optional_id
from harness.data.image_files import ImageFolders, folders_of_images
from harness.errors import InputError
from harness.files import fields
from harness.files.image_header import Unusable, read_header
from harness.files.reading import parse_json, read_bytes
from harness.types import Dataset, Expression, ImageInfo

_WORD = re.compile(r'[^\W_]+|[^\s]')


def load_expressions(path: str | Path, images: Path | None = None) -> dict[str, Dataset]:
    """The datasets of a file by name, expressions in file order.

    Args:
        path: JSONL, also packed by gzip; or an excerpt (:mod:`harness.data.excerpt`), which is one JSON list.
        images: the folder of the images, by ``file_name`` or one of COCO's names
            (:mod:`harness.data.image_files`).

    Returns:
        ``{name: Dataset}`` in order of first appearance. A row without ``sent_id`` has its line number, from 1. An
        image of unknown size, as an excerpt has them, is 0 by 0 pixels where
        its file does not say.

    Raises:
        InputError: with file, line and field, where a row is not as described or an id comes twice in a dataset; or
            the boxes as a whole are of another form (:mod:`harness.data.box_forms`).
    """
    data = read_bytes(path)
    excerpt = is_excerpt(data)
    rows = excerpt_rows(data, Path(path)) if excerpt else _lines(data, path)
    expressions: dict[str, list[Expression]] = {}
    infos: dict[str, dict[int, ImageInfo]] = {}
    files = images and ImageFolders(folders_of_images(images))
    for number, where, row in rows:
        expression = _expression(row, number, where)
        expressions.setdefault(expression.dataset, []).append(expression)
        size = (0, 0) if excerpt and 'height' not in row else fields.image_size(row, where)
        name = None if row.get('file_name') is None else fields.file_name(row, 'file_name', where)
        info = files.info(expression.image_id, *size, name) if files else ImageInfo(expression.image_id, *size)
        known = infos.setdefault(expression.dataset, {}).setdefault(expression.image_id, info)
        if known != info:
            what = "'file_name' differs" if known.path != info.path else "'height' or 'width' differ"
            raise InputError(f'{where}: {what} from an earlier row of image {info.image_id}')
    if not expressions:
        raise InputError(f'{path}: holds no expressions')
    for name, members in expressions.items():
        fields.unique((e.sent_id for e in members), f'in {name} sent_id', str(path))
    if excerpt and files:
        infos = {name: {i: measured(info) for i, info in mine.items()} for name, mine in infos.items()}
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


def measured(info: ImageInfo) -> ImageInfo:
    """An image of unknown size with that of its file."""
    if info.height or info.path is None:
        return info
    try:
        height, width = read_header(info.path).upright
    except Unusable:  # it will be counted when it is to be read
        return info
    return replace(info, height=height, width=width)


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
        ref_id=optional_id(row, 'ref_id', where),
        ann_id=optional_id(row, 'ann_id', where),
    )
