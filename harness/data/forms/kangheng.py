"""Kangheng's refcoco, refcocop and refcocog."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.data.parquet_images import own_images, own_names
from harness.files import fields
from harness.files.parquet import rows
from harness.files.reading import parse_json
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_WANTED = {'question': 'text', 'bbox': 'text', 'image_size': ['integer']}


@DATA_FORMS.register_module(name='kangheng')
class Kangheng(DataForm):
    """Kangheng's parquet files: one row a sentence, with the image.

    ``bbox`` is JSON in text; its readers disagree whether it is xywh or xyxy, so the whole file settles it, or
    ``--boxes`` does. ``image_size`` is width, height. The form lacks all ids; where the images' paths are not COCO's
    names either, images are told apart by their bytes, all of which are read for it. Dataset and split are in the
    names of folder and file alone.

    Source: the cards of Kangheng/refcoco, refcocop and refcocog, and scripts that read them.
    """

    boxes = ''
    columns = ('question', 'bbox', 'image_size', 'image')

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'parquet' and sample.has(*self.columns)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for (where, row), name in zip(rows(path, _WANTED), own_names(path), strict=True):
            written = parse_json(fields.text(row, 'bbox', where).encode(), f"{where}: 'bbox'")
            box = fields.four_numbers({'bbox': written}, 'bbox', where)
            yield FormRow(where, fields.text(row, 'question', where), box, name, _size(row, where))

    def pictures(self, path: Path) -> Iterator[tuple[str, bytes]]:
        return own_images(path)


def _size(row: Any, where: str) -> tuple[int, int]:
    sides = fields.items(row, 'image_size', where)
    width, height = sides if len(sides) == 2 else (None, None)
    return fields.image_size({'height': height, 'width': width}, f"{where}: 'image_size'")
