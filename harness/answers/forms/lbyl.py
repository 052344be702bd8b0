"""LBYL-Net's results: ``{"0": {"iou", "image_name", "pred_bbox", "gt_bbox"}, …}``.

Boxes are x1, y1, x2, y2 in pixels; ``gt_bbox`` is cut to whole pixels before the corners are added, so that it differs
from the annotated box by up to two pixels. Rows are sorted by image, and in the published files the last row of every
split is missing. What the form lacks: ids, sentences, sizes. An answer is matched by image and true box, and among the
sentences of that referent by their order.

Source: ``results/`` of svip-lab/LBYLNet.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.answers.reading import json_value
from harness.answers.records import Asked, RawAnswer, given, true_box
from harness.answers.signs import of_form, require_signs
from harness.errors import shown
from harness.files import fields
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS


@ANSWER_FORMS.register_module(name='lbyl')
class Lbyl(AnswerForm):
    """LBYL-Net's ``{"0": {iou, image_name, pred_bbox, gt_bbox}}``, in pixels."""

    coordinates = 'pixels'
    signs = ('image_name', 'pred_bbox', 'gt_bbox')

    def read(self, path: Path) -> Iterator[RawAnswer]:
        value = of_form(self, 'a record of records by number', json_value(path), dict, str(path))
        for number, record in value.items():
            row = f'record {shown(number)}'
            where = f'{path}: {row}'
            require_signs(self, record, where)
            asked = Asked(image=fields.name(record, 'image_name', where), truth=true_box(record, 'gt_bbox', where))
            yield RawAnswer(row, given(record, 'pred_bbox', where), asked)
