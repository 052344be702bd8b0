"""Answers of any program: JSON lines, each with ``text``, the model's raw words, and what it was asked.

Beside ``text`` a line may have ``sent_id``, ``ann_id``, ``dataset``, ``split``, ``image`` (a file name or COCO's id),
``sent``, ``bbox`` (the referent's, x, y, w, h in pixels), ``width`` and ``height``. It needs as many as tell the
expression: ``sent_id``; or ``image`` and ``sent``, with ``bbox`` where a sentence is said of two objects; or ``ann_id``
with ``sent``. What the words' numbers are is said by their notation or by ``--coordinates``.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.answers.reading import json_lines
from harness.answers.records import Asked, RawAnswer, optional, said
from harness.answers.signs import require_signs
from harness.boxes import corners
from harness.files import fields
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS


@ANSWER_FORMS.register_module(name='jsonl')
class JsonLines(AnswerForm):
    """JSON lines of any program: ``text`` is the model's raw words, with ``sent_id``, or ``image`` and ``sent``, …"""

    signs = ('text',)

    def read(self, path: Path) -> Iterator[RawAnswer]:
        for row, record in json_lines(path):
            where = f'{path}: {row}'
            require_signs(self, record, where)
            yield RawAnswer(row, said(record['text'], where), _asked(record, where))


def _asked(record: Any, where: str) -> Asked:
    box = optional(record, 'bbox', where, fields.box)
    size = None if record.get('width') is None else fields.image_size(record, where)[::-1]
    image = record.get('image')
    if isinstance(image, int) and not isinstance(image, bool):
        image = str(fields.integer(record, 'image', where))
    elif image is not None:
        image = fields.name(record, 'image', where)
    return Asked(sent_id=optional(record, 'sent_id', where, fields.integer),
                 ann_id=optional(record, 'ann_id', where, fields.integer),
                 dataset=optional(record, 'dataset', where, fields.name),
                 split=optional(record, 'split', where, fields.name), image=image,
                 sent=optional(record, 'sent', where, fields.text),
                 truth=None if box is None else corners(box), size=size)
