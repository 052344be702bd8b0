"""Shikra's referring expressions."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.data.assembly.names import dataset_in
from harness.data.form_records import records_of
from harness.errors import InputError
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_FIELDS = ('img_path', 'expression', 'bbox', 'height', 'width')


@DATA_FORMS.register_module(name='shikra')
class Shikra(DataForm):
    """Shikra's ``REC_refcoco_unc_val.jsonl``: a sentence a line.

    Boxes are xyxy, in pixels or, in some copies, as fractions of the image. The whole file settles which: where no
    number of it is over 1, all are fractions. The form lacks ids but the image's, category and mask; the split is in
    the file's name alone.

    Source: ``mllm/dataset/single_image_dataset/rec.py`` of shikras/shikra.
    """

    boxes = 'xyxy'

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'lines' and sample.has(*_FIELDS)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        rows = [_row(record, where) for where, record in records_of(path, sample.layout, _FIELDS, self.name)]
        return map(_in_pixels, rows) if _fractions(rows) else iter(rows)


def _row(record: Mapping[str, Any], where: str) -> FormRow:
    said = None if record.get('dataset_name') is None else fields.name(record, 'dataset_name', where)
    return FormRow(where, fields.text(record, 'expression', where),
                   fields.four_numbers(record, 'bbox', where, 'x1, y1, x2, y2'),
                   fields.name(record, 'img_path', where), fields.image_size(record, where),
                   dataset=said and (dataset_in(said) or said))


def _fractions(rows: Sequence[FormRow]) -> bool:
    """Whether all boxes of a file are fractions of their images.

    Raises:
        InputError: some are.
    """
    pixels = [row for row in rows if max(row.box) > 1]
    if pixels and len(pixels) < len(rows):
        fraction = next(row for row in rows if max(row.box) <= 1)
        raise InputError(f"{fraction.where}: its 'bbox' is a fraction of the image, while {pixels[0].where} has "
                         'pixels; a file has one or the other')
    return not pixels


def _in_pixels(row: FormRow) -> FormRow:
    height, width = row.size or (0, 0)
    x1, y1, x2, y2 = row.box
    return replace(row, box=(x1 * width, y1 * height, x2 * width, y2 * height))
