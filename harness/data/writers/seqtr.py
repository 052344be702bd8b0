"""SeqTR's and SimREC's annotations."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.data.form_files import (
    Record,
    Splits,
    annotations_by_id,
    file_name,
    json_lists,
    numbers,
    referents,
    size_of,
)
from harness.data.masks import text_mask
from harness.plugins import FormWriter
from harness.registry import FORM_WRITERS
from harness.types import Annotation, Dataset, Expression


@FORM_WRITERS.register_module(name='seqtr')
class SeqTRWriter(FormWriter):
    """SeqTR's and SimREC's ``refcoco/instances.json``: the referents of all splits, with their masks where known.

    Source: as of :mod:`harness.data.forms.seqtr`.
    """

    holds = ('masks',)

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        known = annotations_by_id(dataset)
        yield file_name('{dataset}/instances.json', dataset.name), json_lists({
            split: _rows(dataset, expressions, known) for split, expressions in splits.items()})


def _rows(dataset: Dataset, expressions: Sequence[Expression], known: Mapping[int, Annotation]) -> Iterator[Record]:
    yield from (_row(dataset, e, mine, known) for e, mine in referents(expressions))


def _row(dataset: Dataset, e: Expression, mine: list[Expression], known: Mapping[int, Annotation]) -> Record:
    annotation = known.get(e.ann_id) if e.ann_id is not None else None
    mask = {} if annotation is None or annotation.segmentation is None else {'mask': text_mask(annotation.segmentation)}
    return {'image_id': e.image_id, **size_of(dataset, e.image_id), 'bbox': numbers(e.gt_xywh),
            'expressions': [one.sent for one in mine], **mask}
