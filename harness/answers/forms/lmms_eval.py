"""lmms-eval's samples of its grounding tasks: ``…_samples_refcoco_bbox_rec_val.jsonl`` and the like.

A line has ``doc_id``, ``target``, the words in ``resps`` or, where both are the same, in ``filtered_resps`` alone, and
under each metric a record ``{answer, pred, ann_id, bbox}``; files of earlier versions also have ``doc``. Two tasks are
told by the names of their metrics:

- ``refcoco_IoU``, …: one line a sentence; words and ``bbox`` are fractions x1, y1, x2, y2.
- ``refcoco_grounding_IoU``, …: one line a referent, asked with all of its sentences, whose answer counts for each of
  them; ``bbox`` is x1, y1, x2, y2 in pixels. The task reads the words both as pixels and as thousandths and keeps what
  is nearer to the truth; here ``--coordinates`` says which they are.

Reasoning that lmms-eval strips from ``filtered_resps`` is still in ``resps``, which is read where it is there. What the
form lacks: the image, and its size, unless ``doc`` has it; dataset and split, which stand in the file's name.

Source: ``lmms_eval/tasks/refcoco/utils_rec.py``, ``tasks/refcoco_grounding/utils.py`` and
``loggers/evaluation_tracker.py`` of EvolvingLMMs-Lab/lmms-eval.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.answers.reading import json_lines
from harness.answers.records import Asked, RawAnswer, optional, said, true_box
from harness.answers.signs import require_signs
from harness.boxes import XYXY
from harness.errors import InputError
from harness.files import fields
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS

_BY_REFERENT, _BY_SENTENCE = 'refcoco_grounding_IoU', 'refcoco_IoU'


@ANSWER_FORMS.register_module(name='lmms-eval')
class LmmsEval(AnswerForm):
    """lmms-eval's ``samples_*.jsonl``, a line a sentence (``bbox_rec``) or a referent (``grounding``)."""

    signs = ('doc_id', 'filtered_resps')

    def read(self, path: Path) -> Iterator[RawAnswer]:
        for row, record in json_lines(path):
            where = f'{path}: {row}'
            require_signs(self, record, where)
            yield _answer(record, row, where)


def _answer(record: Any, row: str, where: str) -> RawAnswer:
    by_referent = _BY_REFERENT in record
    metric = record.get(_BY_REFERENT if by_referent else _BY_SENTENCE)
    if not isinstance(metric, dict):
        raise InputError(f'{where}: has neither {_BY_SENTENCE!r} nor {_BY_REFERENT!r}, so it is of no grounding task')
    document = record['doc'] if isinstance(record.get('doc'), dict) else {}
    size = _size(document, where)
    ann_id = fields.required(metric, 'ann_id', where)
    if isinstance(ann_id, str) and ann_id.isdecimal() and len(ann_id) < 19:
        ann_id = int(ann_id)
    sentences = fields.required(metric, 'answer', where)
    asked = Asked(ann_id=fields.integer({'ann_id': ann_id}, 'ann_id', where),
                  sent='; '.join(fields.words(metric, 'answer', where)) if isinstance(sentences, list)
                  else fields.text(metric, 'answer', where),
                  image=optional(document, 'file_name', where, fields.name), size=size,
                  truth=_truth(metric, size, by_referent, where), whole=by_referent)
    return RawAnswer(row, said(_words(record), where), asked, None if by_referent else 'fraction')


def _words(record: Any) -> Any:
    """The first words of what may be a list in a list."""
    words = record.get('resps', record['filtered_resps'])
    while isinstance(words, list):
        words = words[0] if words else None
    return words


def _size(document: Any, where: str) -> tuple[int, int] | None:
    if document.get('image_width') is None or document.get('image_height') is None:
        return None
    height, width = fields.image_size({'height': document['image_height'], 'width': document['image_width']}, where)
    return width, height


def _truth(metric: Any, size: tuple[int, int] | None, by_referent: bool, where: str) -> XYXY | None:
    if by_referent:
        return true_box(metric, 'bbox', where)
    if size is None:
        return None
    x1, y1, x2, y2 = true_box(metric, 'bbox', where)
    return x1 * size[0], y1 * size[1], x2 * size[0], y2 * size[1]
