"""SeqTR's and SimREC's annotations."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from harness.data.assembly.names import dataset_in, split_in
from harness.data.form_records import of_form
from harness.files import fields
from harness.files.json_stream import every_list
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_FIELDS = ('image_id', 'height', 'width', 'bbox', 'expressions')


@DATA_FORMS.register_module(name='seqtr')
class SeqTR(DataForm):
    """SeqTR's and SimREC's ``instances.json``: a list of referents for each split, with their expressions.

    Boxes are xywh. ``mask`` is COCO's, polygons or run lengths. The form lacks ids but the image's, and the category;
    for RES, which knows masks by ann_id, REFER's ``instances.json`` is needed as well. The dataset is in the folder's
    name, in mixed files in the names of the splits.

    Source: ``seqtr/datasets/base.py`` and ``pipelines/loading.py`` there, of seanzhuh/SeqTR.
    """

    boxes = 'xywh'

    def fits(self, sample: Sample) -> bool:
        return (sample.layout == 'lists' and len(sample.first) > 0
                and all(sample.has(*_FIELDS, key=split) for split in sample.first))

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        seen: Counter[str] = Counter()
        for split, item in every_list(path):
            where = f'{path}: {split}[{seen[split]}]'
            seen[split] += 1
            record = of_form(item, _FIELDS, where, self.name)
            for sent in fields.words(record, 'expressions', where):
                yield FormRow(
                    where, sent, record['bbox'], fields.integer(record, 'image_id', where),
                    fields.image_size(record, where), dataset=dataset_in(split), split=split_in(split) or split,
                    segmentation=record.get('mask'))
