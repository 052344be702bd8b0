"""lmms-lab's RefCOCO, RefCOCOplus and RefCOCOg, which lmms-eval reads."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.assembly.names import bare_name
from harness.data.parquet_images import named_images
from harness.errors import InputError
from harness.files import fields
from harness.files.parquet import rows
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_WANTED = {'question_id': 'text', 'answer': ['text'], 'segmentation': ['number'], 'bbox': ['number'],
           'file_name': 'text'}


@DATA_FORMS.register_module(name='lmms-lab')
class LmmsLab(DataForm):
    """lmms-lab's parquet files: one row a referent, with its sentences and the image.

    Boxes are xywh, stored in 32 bits. ``question_id`` is COCO's annotation, ``segmentation`` one polygon, ``file_name``
    the image's name with a number of REFER's behind it. The form lacks ref_id, sent_id, category and the image's size;
    the split is in the file's name alone, and its val and test mix partitions, which the passport tells.

    Source: the cards of lmms-lab/RefCOCO, RefCOCOplus and RefCOCOg; ``lmms_eval/tasks/refcoco/utils_rec.py`` of
    EvolvingLMMs-Lab/lmms-eval.
    """

    boxes = 'xywh'
    columns = ('question_id', 'answer', 'segmentation', 'bbox', 'file_name', 'image')

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'parquet' and sample.has(*self.columns)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, row in rows(path, _WANTED):
            number = fields.text(row, 'question_id', where)
            if not (number.isascii() and number.isdigit() and len(number) < 19):
                raise InputError(f"{where}: 'question_id' must be the number of an annotation")
            box = fields.four_numbers(row, 'bbox', where, 'x, y, width, height')
            segmentation = fields.items(row, 'segmentation', where) or None
            name = bare_name(fields.name(row, 'file_name', where))
            for sent in fields.words(row, 'answer', where):
                yield FormRow(where, sent, box, name, ann_id=int(number), segmentation=segmentation)

    def pictures(self, path: Path) -> Iterator[tuple[str, bytes]]:
        return named_images(path)
