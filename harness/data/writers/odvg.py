"""ODVG, the form of mmdet's GroundingDINO."""
from __future__ import annotations

from collections.abc import Iterator

from harness.data.form_files import Record, Splits, corner_numbers, file_name, image_name, json_lines, size_of
from harness.plugins import FormWriter
from harness.registry import FORM_WRITERS
from harness.types import Dataset, Expression


@FORM_WRITERS.register_module(name='odvg')
class ODVGWriter(FormWriter):
    """ODVG for mmdet's GroundingDINO, a sentence a line with one region (``refcoco_val.jsonl``).

    The region's phrase is the whole sentence. Boxes are not clipped. Source: as of :mod:`harness.data.forms.odvg`.
    """

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        for split, expressions in splits.items():
            yield file_name('{dataset}_{split}.jsonl', dataset.name, split), json_lines(
                {'filename': image_name(dataset, e.image_id), **size_of(dataset, e.image_id),
                 'grounding': {'caption': e.sent, 'regions': [_region(e)]}} for e in expressions)


def _region(e: Expression) -> Record:
    return {'bbox': corner_numbers(e.gt_xywh), 'phrase': e.sent, 'tokens_positive': [[0, len(e.sent)]]}
