"""Plain expressions: the harness's own form without annotations."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.form_records import of_form, optional_id
from harness.files import fields
from harness.files.reading import parse_json, read_lines
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_FIELDS = ('dataset', 'split', 'image_id', 'height', 'width', 'bbox', 'sent')


@DATA_FORMS.register_module(name='jsonl')
class PlainExpressions(DataForm):
    """The harness's own plain expressions, which ``--expressions`` reads too: a sentence a line.

    Boxes are xywh. ``sent_id``, ``ref_id``, ``ann_id``, ``tokens`` and ``file_name`` may be there; a row without
    ``sent_id`` has its line number. The form lacks category and mask.

    Source: :mod:`harness.data.plain`.
    """

    boxes = 'xywh'

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'lines' and sample.has(*_FIELDS)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for number, line in enumerate(read_lines(path), start=1):
            if line.strip():
                where = f'{path}: line {number}'
                yield _row(parse_json(line, where), number, where)


def _row(record: object, number: int, where: str) -> FormRow:
    row = of_form(record, _FIELDS, where, PlainExpressions.name)
    sent_id, image_id = optional_id(row, 'sent_id', where), fields.integer(row, 'image_id', where)
    return FormRow(
        where, fields.text(row, 'sent', where), row['bbox'],
        image_id if row.get('file_name') is None else fields.file_name(row, 'file_name', where),
        fields.image_size(row, where), image_id=image_id, dataset=fields.name(row, 'dataset', where),
        split=fields.name(row, 'split', where), sent_id=number if sent_id is None else sent_id,
        ref_id=optional_id(row, 'ref_id', where), ann_id=optional_id(row, 'ann_id', where),
        tokens=None if row.get('tokens') is None else fields.words(row, 'tokens', where))
