"""Qwen-VL's evaluation files, which InternVL reads too."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.form_records import records_of
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_FIELDS = ('image', 'sent', 'bbox', 'height', 'width')


@DATA_FORMS.register_module(name='qwen-vl')
class QwenVL(DataForm):
    """Qwen-VL's and InternVL's ``refcoco_val.jsonl``: a sentence a line.

    Boxes are xyxy in pixels. ``image`` is a path. The form lacks ids but the image's, category and mask; dataset and
    split are in the file's name alone.

    Source: ``eval_mm/evaluate_grounding.py`` of QwenLM/Qwen-VL, ``internvl_chat/eval/refcoco/evaluate_grounding.py`` of
    OpenGVLab/InternVL.
    """

    boxes = 'xyxy'

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'lines' and sample.has(*_FIELDS) and not sample.has('image_id')

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, record in records_of(path, sample.layout, _FIELDS, self.name):
            yield FormRow(where, fields.text(record, 'sent', where), record['bbox'],
                          fields.name(record, 'image', where), fields.image_size(record, where))
