"""Results of Google's Refexp toolbox: ``[{"annotation_id", "predicted_bounding_boxes", "refexp_id"}, …]``.

Boxes are x, y, w, h in pixels, ranked; the first counts (precision@1), and the others are kept beside it. ``refexp_id``
is an id of Google's own, so an answer is matched by its annotation, and among the referent's sentences by their order.
What the form lacks: sentences, true boxes, sizes, dataset and split.

The toolbox itself counts inclusive pixels and IoU ≥ 0.5.

Source: ``evaluation/format_comprehension_eval.md`` and ``google_refexp_py_lib/refexp_eval.py`` of
mjhucla/Google_Refexp_toolbox.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.answers.notations import MOST_BOXES, Reading, read_numbers
from harness.answers.reading import json_value
from harness.answers.records import Asked, RawAnswer, four
from harness.answers.signs import of_form, require_signs
from harness.boxes import XYXY, corners
from harness.files import fields
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS

_BOXES = 'predicted_bounding_boxes'


@ANSWER_FORMS.register_module(name='google')
class Google(AnswerForm):
    """Google's Refexp toolbox: ranked boxes by ``annotation_id``, in pixels; the first counts."""

    coordinates = 'pixels'
    signs = ('annotation_id', _BOXES)

    def read(self, path: Path) -> Iterator[RawAnswer]:
        for i, record in enumerate(of_form(self, 'a list of answers', json_value(path), list, str(path))):
            row = f'[{i}]'
            where = f'{path}: {row}'
            require_signs(self, record, where)
            yield RawAnswer(row, _ranked([_corners(box, where) for box in
                                          fields.items(record, _BOXES, where)[:MOST_BOXES]]),
                            Asked(ann_id=fields.integer(record, 'annotation_id', where)))


def _corners(box: Any, where: str) -> XYXY:
    return corners(four({_BOXES: box}, _BOXES, where))


def _ranked(boxes: list[XYXY]) -> Reading:
    """A ranking is one answer: its first box."""
    reading = read_numbers(boxes)
    if reading.kind != 'several':
        return reading
    return replace(reading, kind='read', why=f'the first of {len(reading.boxes)} ranked boxes')
