"""MiniGPT-v2's evaluation files."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from harness.data.form_files import Splits, file_name, image_name, json_list, numbers, size_of
from harness.plugins import FormWriter
from harness.registry import FORM_WRITERS
from harness.types import Dataset


@FORM_WRITERS.register_module(name='minigpt')
class MiniGPTWriter(FormWriter):
    """MiniGPT-v2's ``refcoco_val.json``; ``img_id`` is the name of the image's file without its ending.

    Source: as of :mod:`harness.data.forms.minigpt`.
    """

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        for split, expressions in splits.items():
            yield file_name('{dataset}_{split}.json', dataset.name, split), json_list(
                {'img_id': PurePosixPath(image_name(dataset, e.image_id)).stem, 'sents': e.sent,
                 'bbox': numbers(e.gt_xywh), **size_of(dataset, e.image_id)} for e in expressions)
