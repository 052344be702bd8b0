"""MDETR's files."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.data.form_files import (
    Record,
    Splits,
    category_ids,
    file_name,
    image_name,
    json_lists,
    numbers,
    size_of,
)
from harness.plugins import FormWriter
from harness.registry import FORM_WRITERS
from harness.types import Dataset, Expression

#: An id that no category has, for readers that ask for one.
NO_CATEGORY = 0


@FORM_WRITERS.register_module(name='mdetr')
class MDETRWriter(FormWriter):
    """MDETR's ``finetune_refcoco_val.json``; ids run on over the splits of a dataset, as MDETR's do.

    The whole sentence is its positive tokens, while MDETR's own files name those of its root. ``area`` is that of the
    box. Source: as of :mod:`harness.data.forms.mdetr`.
    """

    holds = ('annotation ids', 'categories')

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        first = 0
        for split, expressions in splits.items():
            yield file_name('finetune_{dataset}_{split}.json', dataset.name, split), json_lists({
                'images': _images(dataset, expressions, first),
                'annotations': _annotations(dataset, expressions, first),
                'categories': ({'id': number, 'name': name} for name, number in category_ids(dataset).items())})
            first += len(expressions)


def _images(dataset: Dataset, expressions: Sequence[Expression], first: int) -> Iterator[Record]:
    for number, e in enumerate(expressions, start=first):
        yield {'file_name': image_name(dataset, e.image_id), **size_of(dataset, e.image_id), 'id': number,
               'original_id': e.image_id, 'caption': e.sent, 'dataset_name': dataset.name,
               'tokens_negative': [[0, len(e.sent)]]}


def _annotations(dataset: Dataset, expressions: Sequence[Expression], first: int) -> Iterator[Record]:
    ids = category_ids(dataset)
    for number, e in enumerate(expressions, start=first):
        original = {} if e.ann_id is None else {'original_id': e.ann_id}
        yield {'area': e.gt_xywh[2] * e.gt_xywh[3], 'iscrowd': 0, 'image_id': number,
               'category_id': NO_CATEGORY if e.category is None else ids[e.category], 'id': number,
               'bbox': numbers(e.gt_xywh), **original, 'tokens_positive': [[0, len(e.sent)]]}
