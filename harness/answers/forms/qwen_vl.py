"""The outputs of Qwen-VL's and InternVL's own evaluations: a list of ``{"answer", "gt_bbox", "hw"}``.

``gt_bbox`` is x1, y1, x2, y2 in pixels, ``hw`` the image's height and width. Qwen-VL's script does not write its list;
who saves it gives it here. Both ask sentence after sentence in the order of their data, and Qwen-VL drops what does
not fill a last batch. InternVL reads an answer as thousandths where its four numbers add up to 4 or more, and as
fractions otherwise; here ``--coordinates fraction`` says so of a whole file. What the forms lack: image and sentence.
An answer is matched by size and true box, and among the sentences of that referent by their order.

Source: ``eval_mm/evaluate_grounding.py`` of QwenLM/Qwen-VL and ``internvl_chat/eval/refcoco/evaluate_grounding.py`` of
OpenGVLab/InternVL.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.answers.reading import json_value
from harness.answers.records import Asked, RawAnswer, said, size_of, true_box
from harness.answers.signs import of_form, require_signs
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS


class _Listed(AnswerForm):
    signs = ('answer', 'gt_bbox', 'hw')

    def read(self, path: Path) -> Iterator[RawAnswer]:
        for i, record in enumerate(of_form(self, 'a list of answers', json_value(path), list, str(path))):
            row = f'[{i}]'
            where = f'{path}: {row}'
            require_signs(self, record, where)
            asked = Asked(truth=true_box(record, 'gt_bbox', where), size=size_of(record, 'hw', where))
            yield RawAnswer(row, said(record['answer'], where), asked)


@ANSWER_FORMS.register_module(name='qwen-vl')
class QwenVl(_Listed):
    """Qwen-VL's ``[{answer, gt_bbox, hw}]``, in steps of a 999th."""

    coordinates = 'over-999'
    signs = ('answer', 'gt_bbox', 'hw')


@ANSWER_FORMS.register_module(name='internvl')
class InternVl(_Listed):
    """InternVL's ``[{answer, gt_bbox, hw}]``, in thousandths."""

    coordinates = 'thousandths'
    signs = ('answer', 'gt_bbox', 'hw')
