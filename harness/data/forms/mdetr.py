"""MDETR's files, which GLIP, Ferret and mmdet's ``MDETRStyleRefCocoDataset`` read too."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import InputError
from harness.files import fields
from harness.files.json_stream import records
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_IMAGE = ('file_name', 'height', 'width', 'id', 'caption')


class _Captioned(NamedTuple):
    caption: str
    file_name: str
    size: tuple[int, int]
    dataset: str | None


@DATA_FORMS.register_module(name='mdetr')
class MDETR(DataForm):
    """MDETR's ``finetune_*.json``: COCO's lists, with an image and an annotation for each sentence.

    Boxes are xywh. ``annotations.original_id`` is COCO's annotation. The form lacks ref_id, sent_id and mask; the split
    is in the file's name alone. A row without target has an empty box. In Ref-L4's reviewed files a ``caption_quality``
    of 0 marks a faulty label.

    Sources: ``scripts/fine-tuning/refexp_coco_format.py`` of ashkamath/mdetr; JierunChen/Ref-L4.
    """

    boxes = 'xywh'

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'lists' and sample.has(*_IMAGE, key='images')

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        images = dict(_image(record, where) for where, record in records(path, 'lists', 'images'))
        for where, record in records(path, 'lists', 'annotations'):
            yield _row(record, images, where)


def _image(record: Any, where: str) -> tuple[int, _Captioned]:
    dataset = record.get('dataset_name') if isinstance(record, Mapping) else None
    return fields.integer(record, 'id', where), _Captioned(
        fields.text(record, 'caption', where), fields.name(record, 'file_name', where),
        fields.image_size(record, where), None if dataset is None else fields.name(record, 'dataset_name', where))


def _row(record: Any, images: Mapping[int, _Captioned], where: str) -> FormRow:
    image = images.get(fields.integer(record, 'image_id', where))
    if image is None:
        raise InputError(f"{where}: its image {record['image_id']} is not among the file's images")
    ann_id = None if record.get('original_id') is None else fields.integer(record, 'original_id', where)
    return FormRow(where, image.caption, fields.required(record, 'bbox', where), image.file_name, image.size,
                   dataset=image.dataset, ann_id=ann_id, undefined='no target' if record.get('empty') else None,
                   faulty=None if record.get('caption_quality') is None else record['caption_quality'] == 0)
