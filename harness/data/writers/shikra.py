"""Shikra's referring expressions."""
from __future__ import annotations

from collections.abc import Iterator

from harness.data.form_files import Splits, corner_numbers, file_name, image_name, json_lines, size_of
from harness.plugins import FormWriter
from harness.registry import FORM_WRITERS
from harness.types import Dataset


@FORM_WRITERS.register_module(name='shikra')
class ShikraWriter(FormWriter):
    """Shikra's ``REC_refcoco_val.jsonl``, boxes in pixels; ``img_path`` is the bare name of the image's file.

    Source: as of :mod:`harness.data.forms.shikra`.
    """

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        for split, expressions in splits.items():
            yield file_name('REC_{dataset}_{split}.jsonl', dataset.name, split), json_lines(
                {'img_path': image_name(dataset, e.image_id), 'expression': e.sent, 'bbox': corner_numbers(e.gt_xywh),
                 'dataset_name': dataset.name, **size_of(dataset, e.image_id)} for e in expressions)
