"""MiniGPT-v2's evaluation files."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.form_records import records_of
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_FIELDS = ('img_id', 'sents', 'bbox', 'height', 'width')


@DATA_FORMS.register_module(name='minigpt')
class MiniGPT(DataForm):
    """MiniGPT-v2's ``refcoco_val.json``: a list of sentences.

    Boxes are xywh. ``img_id`` is the image's name without ending, with a number of REFER's behind it. The form lacks
    ids but the image's, category and mask; dataset and split are in the file's name alone.

    Source: ``eval_scripts/eval_ref.py`` of Vision-CAIR/MiniGPT-4.
    """

    boxes = 'xywh'

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'list' and sample.has(*_FIELDS)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, record in records_of(path, sample.layout, _FIELDS, self.name):
            yield FormRow(where, fields.text(record, 'sents', where), record['bbox'],
                          f'{fields.name(record, "img_id", where)}.jpg', fields.image_size(record, where))
