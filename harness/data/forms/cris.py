"""CRIS's annotations, which later models of referring segmentation read too."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.coco_categories import COCO_CLASSES
from harness.data.form_records import of_form, records_of
from harness.errors import InputError
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_FIELDS = ('bbox', 'cat', 'segment_id', 'img_name', 'sentences')


@DATA_FORMS.register_module(name='cris')
class CRIS(DataForm):
    """CRIS's ``anns/refcoco/val.json``: a list of referents with their sentences.

    Boxes are xyxy, each of x, y, width and height cut to whole pixels first, so that IoU with the published box is
    below 1. ``segment_id`` is REFER's ref_id, ``cat`` COCO's category counted from 0. The form lacks ann_id and the
    images' sizes. Masks are in pictures beside it, which are not read. The dataset is in the folder's name, the split
    in the file's.

    Source: ``tools/data_process.py`` of DerrickWang005/CRIS.pytorch.
    """

    boxes = 'xyxy'

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'list' and sample.has(*_FIELDS)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, record in records_of(path, sample.layout, _FIELDS, self.name):
            image, ref_id = fields.name(record, 'img_name', where), fields.integer(record, 'segment_id', where)
            for sentence in fields.items(record, 'sentences', where):
                said = of_form(sentence, ('sent_id', 'sent'), f"{where}: 'sentences'", self.name)
                yield FormRow(where, fields.text(said, 'sent', where), record['bbox'], image,
                              sent_id=fields.integer(said, 'sent_id', where), ref_id=ref_id,
                              category=_category(record, where))


def _category(record: Mapping[str, Any], where: str) -> str:
    number = fields.integer(record, 'cat', where)
    if not 0 <= number < len(COCO_CLASSES):
        raise InputError(f"{where}: 'cat' must be from 0 to {len(COCO_CLASSES) - 1}, it is {number}")
    return COCO_CLASSES[number]
