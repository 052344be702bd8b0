"""VLMEvalKit's prediction files for RefCOCO, ``.xlsx`` or ``.tsv``.

Columns are ``index``, ``question``, ``prediction`` and whatever the benchmark's own table has beside the images:
``split`` (``RefCOCO_val``) or ``category``, ``width``, ``height`` and ``bbox_x1`` to ``bbox_y2`` in pixels;
``…_detail`` files also have ``pred_bbox``, ``iou`` and ``hit``, which are not read. The sentence is what stands between
``<ref>`` tags or behind ``describes:``, or else the whole question.

VLMEvalKit takes an answer for fractions where no number of it is over 1.5, for thousandths where none is over 1000, and
for pixels otherwise. Right pixels are rescaled by that, so nothing of it is done here: ``--coordinates`` says what the
words are. What the form lacks: ids, and the image's name.

Source: ``vlmeval/dataset/refcoco.py`` and ``vlmeval/inference.py`` of open-compass/VLMEvalKit.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.answers.forms.vlm_r1 import sentence_in
from harness.answers.reading import table
from harness.answers.records import Asked, RawAnswer, said, true_box
from harness.answers.signs import require_signs
from harness.boxes import XYXY
from harness.data.assembly.names import dataset_in, split_in
from harness.errors import InputError
from harness.files import fields
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS

_TAGGED = re.compile(r'(?s)<ref>(.*?)</ref>')
_CORNERS = ('bbox_x1', 'bbox_y1', 'bbox_x2', 'bbox_y2')


@ANSWER_FORMS.register_module(name='vlmevalkit')
class VlmEvalKit(AnswerForm):
    """VLMEvalKit's predictions for RefCOCO, ``.xlsx`` or ``.tsv``."""

    signs = ('index', 'question', 'prediction')

    def read(self, path: Path) -> Iterator[RawAnswer]:
        for row, cells in table(path):
            where = f'{path}: {row}'
            require_signs(self, cells, where)
            told = cells.get('split') or cells.get('category') or ''
            dataset, split = dataset_in(told), split_in(told)
            size = _numbers(cells, ('width', 'height'), where)
            asked = Asked(dataset=dataset, split=split, image=cells.get('image_path') or None,
                          sent=_sentence(cells['question']), truth=_truth(cells, where),
                          size=None if size is None else (int(size[0]), int(size[1])))
            yield RawAnswer(row, said(cells['prediction'], where), asked)


def _sentence(question: str) -> str:
    tagged = _TAGGED.search(question)
    return tagged[1].strip() if tagged else sentence_in(question)


def _truth(cells: Mapping[str, str], where: str) -> XYXY | None:
    numbers = _numbers(cells, _CORNERS, where)
    return None if numbers is None else true_box({'bbox_x1': numbers}, 'bbox_x1', where)


def _numbers(cells: Mapping[str, str], columns: tuple[str, ...], where: str) -> list[float] | None:
    """The numbers of some columns; ``None`` where one of them is missing or empty."""
    if not all(cells.get(column) for column in columns):
        return None
    try:
        numbers = [float(cells[column]) for column in columns]
    except ValueError:
        raise InputError(f'{where}: {columns[0]!r} to {columns[-1]!r} must be numbers') from None
    if not all(abs(number) <= fields.MAX_COORDINATE for number in numbers):
        raise InputError(f'{where}: {columns[0]!r} to {columns[-1]!r} hold a number that is not finite or beyond a '
                         'million')
    return numbers
