"""VLM-R1's result files: read anew, or as they were filed.

``{"accuracy", "results": [{"image", "question", "ground_truth", "model_output", "extracted_answer", "correct"}]}``. The
sentence stands in ``question`` behind ``describes:`` and before the last full stop; ``ground_truth`` is x1, y1, x2, y2
in pixels. Newer files also have ``input_size`` and ``image_size`` (height, width): then the words are in pixels of the
input, and ``extracted_answer`` in pixels of the image. Without them the words are taken for pixels of the image, whose
sides differ by a few pixels at most from those of the input. What the form lacks: ids, and dataset and split, which
stand in the file's name.

Source: ``src/eval/test_rec_r1.py`` and ``test_rec_baseline.py`` of om-ai-lab/VLM-R1.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.answers.notations import Reading
from harness.answers.reading import json_value
from harness.answers.records import Asked, RawAnswer, given, said, size_of, true_box
from harness.answers.signs import of_form, require_signs
from harness.files import fields
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS

_SENTENCE = re.compile(r'(?s).*?describes:\s*(.*?)\.?\s*')


def sentence_in(question: str) -> str:
    """The sentence of a question.

    >>> sentence_in('Please provide the box of the region this sentence describes: man in orange.')
    'man in orange'
    """
    match = _SENTENCE.fullmatch(question)
    return match[1] if match else question.strip()


class _VlmR1(AnswerForm):
    signs = ('image', 'question', 'ground_truth', 'model_output')

    def read(self, path: Path) -> Iterator[RawAnswer]:
        value = of_form(self, "a record with 'results'", json_value(path), dict, str(path))
        for i, record in enumerate(fields.items(value, 'results', str(path))):
            where = f'{path}: results[{i}]'
            require_signs(self, record, where)
            yield self.answer(record, f'results[{i}]', where)

    def answer(self, record: Any, row: str, where: str) -> RawAnswer:
        raise NotImplementedError


def _asked(record: Any, where: str) -> Asked:
    size = None if record.get('image_size') is None else size_of(record, 'image_size', where)
    return Asked(image=fields.name(record, 'image', where), sent=sentence_in(fields.text(record, 'question', where)),
                 truth=true_box(record, 'ground_truth', where), size=size)


@ANSWER_FORMS.register_module(name='vlm-r1')
class VlmR1(_VlmR1):
    """VLM-R1's result file, its ``model_output`` read anew."""

    coordinates = 'pixels'
    signs = ('image', 'question', 'ground_truth', 'model_output')

    def answer(self, record: Any, row: str, where: str) -> RawAnswer:
        resized = None if record.get('input_size') is None else size_of(record, 'input_size', where)
        return RawAnswer(row, said(record['model_output'], where), _asked(record, where),
                         None if resized is None else 'resized', resized)


@ANSWER_FORMS.register_module(name='vlm-r1-filed')
class VlmR1Filed(_VlmR1):
    """VLM-R1's result file as filed: the ``extracted_answer`` that its script found, zeros where it found none."""

    coordinates = 'pixels'
    signs = ('image', 'question', 'ground_truth', 'extracted_answer')

    def answer(self, record: Any, row: str, where: str) -> RawAnswer:
        reading = given(record, 'extracted_answer', where)
        if reading.kind == 'empty':
            reading = Reading('unreadable', 'filed as four zeros: the script found no box')
        return RawAnswer(row, reading, _asked(record, where))
