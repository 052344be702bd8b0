"""Qwen-VL's and InternVL's evaluation files."""
from __future__ import annotations

from collections.abc import Iterator

from harness.data.form_files import Splits, corner_numbers, file_name, image_name, json_lines, size_of
from harness.plugins import FormWriter
from harness.registry import FORM_WRITERS
from harness.types import Dataset


@FORM_WRITERS.register_module(name='qwen-vl')
class QwenVLWriter(FormWriter):
    """Qwen-VL's and InternVL's ``refcoco_val.jsonl``; ``image`` is the bare name of the image's file.

    Source: as of :mod:`harness.data.forms.qwen_vl`.
    """

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        for split, expressions in splits.items():
            yield file_name('{dataset}_{split}.jsonl', dataset.name, split), json_lines(
                {'image': image_name(dataset, e.image_id), 'sent': e.sent, 'bbox': corner_numbers(e.gt_xywh),
                 **size_of(dataset, e.image_id)} for e in expressions)
