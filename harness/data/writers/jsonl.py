"""The harness's own plain expressions."""
from __future__ import annotations

from collections.abc import Iterator

from harness.data.form_files import Record, Splits, file_name, image_name, json_lines, numbers, size_of
from harness.plugins import FormWriter
from harness.registry import FORM_WRITERS
from harness.types import Dataset, Expression


@FORM_WRITERS.register_module(name='jsonl')
class PlainWriter(FormWriter):
    """Plain expressions, a line each, which ``--expressions`` and ``--data`` read (``refcoco_val.jsonl``).

    Source: :mod:`harness.data.plain`.
    """

    holds = ('sent_ids', 'ref_ids', 'annotation ids')

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        for split, expressions in splits.items():
            yield (file_name('{dataset}_{split}.jsonl', dataset.name, split),
                   json_lines(_row(dataset, e) for e in expressions))


def _row(dataset: Dataset, e: Expression) -> Record:
    ids = {'sent_id': e.sent_id, 'ref_id': e.ref_id, 'ann_id': e.ann_id}
    return {'dataset': e.dataset, 'split': e.split, 'image_id': e.image_id, **size_of(dataset, e.image_id),
            'file_name': image_name(dataset, e.image_id), **{name: one for name, one in ids.items() if one is not None},
            'bbox': numbers(e.gt_xywh), 'sent': e.sent, 'tokens': list(e.tokens)}
