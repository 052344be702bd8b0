"""VLM-R1's training files, which are conversations."""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.form_records import of_form, records_of
from harness.data.forms.vlm_r1 import sentence_in
from harness.errors import InputError
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_FIELDS = ('image', 'conversations')
_NUMBER = r'\s*-?\d{1,9}(?:\.\d{0,30})?\s*'
_BOX = re.compile(rf'\s*(?:<answer>)?\s*\[({_NUMBER}(?:,{_NUMBER}){{3}})\]\s*(?:</answer>)?\s*')


@DATA_FORMS.register_module(name='vlm-r1-conversations')
class VLMR1Conversations(DataForm):
    """VLM-R1's ``rec_jsons_processed/refcoco_train.jsonl``: a conversation a line, with a question and its answer.

    Boxes are xyxy in pixels, as numbers or as text. The form lacks the images' sizes, ids but the image's, category and
    mask; dataset and split are in the file's name alone.

    Source: ``src/open-r1-multimodal/src/open_r1/grpo_jsonl.py`` and README of om-ai-lab/VLM-R1.
    """

    boxes = 'xyxy'

    def fits(self, sample: Sample) -> bool:
        return sample.layout in ('list', 'lines') and sample.has(*_FIELDS)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, record in records_of(path, sample.layout, _FIELDS, self.name):
            question, answer = _turns(record, where)
            sent = sentence_in(fields.text(question, 'value', where), where)
            yield FormRow(where, sent, _box(answer['value'], where), fields.name(record, 'image', where))


def _turns(record: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    turns = fields.items(record, 'conversations', where)
    if len(turns) != 2:
        raise InputError(f"{where}: its 'conversations' must be a question and an answer, there are {len(turns)}")
    return [of_form(turn, ('value',), f"{where}: 'conversations'", VLMR1Conversations.name) for turn in turns]


def _box(answer: Any, where: str) -> Any:
    """The box of an answer, which may be text."""
    if not isinstance(answer, str):
        return answer
    if (match := _BOX.fullmatch(answer)) is None:
        raise InputError(f'{where}: its answer must be a box, [x1, y1, x2, y2]')
    return [float(number) for number in match[1].split(',')]
