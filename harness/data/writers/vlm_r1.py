"""VLM-R1's evaluation files."""
from __future__ import annotations

from collections.abc import Iterator
from math import floor

from harness.data.form_files import Record, Splits, corner_numbers, file_name, image_name, json_list, size_of
from harness.plugins import FormWriter
from harness.registry import FORM_WRITERS
from harness.types import Dataset, Expression

_QUESTION = 'Please provide the bounding box coordinate of the region this sentence describes: {}.'


@FORM_WRITERS.register_module(name='vlm-r1')
class VLMR1Writer(FormWriter):
    """VLM-R1's ``refcoco_val.json``: a question and its solution, in pixels and in thousandths rounded down.

    Source: as of :mod:`harness.data.forms.vlm_r1`.
    """

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        for split, expressions in splits.items():
            yield (file_name('{dataset}_{split}.json', dataset.name, split),
                   json_list(_row(dataset, e) for e in expressions))


def _row(dataset: Dataset, e: Expression) -> Record:
    size, solution = size_of(dataset, e.image_id), corner_numbers(e.gt_xywh)
    sides = (size['width'], size['height']) * 2
    return {'dataset': f'{dataset.name}_{e.split}', 'text_type': 'caption', **size, 'normal_caption': e.sent,
            'image': image_name(dataset, e.image_id), 'problem': _QUESTION.format(e.sent), 'solution': solution,
            'normalized_solution': [floor(1000 * x / side) for x, side in zip(solution, sides, strict=True)]}
