"""MDETR's files, which GLIP, Ferret and mmdet's ``MDETRStyleRefCocoDataset`` read too."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.data.form_records import NO_TARGET, SEVERAL_TARGETS, of_form, optional_id
from harness.errors import InputError
from harness.files import fields
from harness.files.json_stream import every_list
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_IMAGE = ('file_name', 'height', 'width', 'id', 'caption')
_ANNOTATION = ('image_id', 'bbox')


@DATA_FORMS.register_module(name='mdetr')
class MDETR(DataForm):
    """MDETR's ``finetune_*.json``: COCO's lists, with an image and an annotation for each sentence.

    Boxes are xywh. ``annotations.original_id`` is COCO's annotation, ``images.original_id`` COCO's image. The form
    lacks ref_id, sent_id and mask; the split is in the file's name alone. Files of gRefCOCO have sentences without
    target, whose annotation is ``empty``, and with several, which have an annotation each: REC is not defined for
    these. In Ref-L4's reviewed files a ``caption_quality`` of 0 marks a faulty label.

    Source: ``scripts/fine-tuning/refexp_coco_format.py`` of ashkamath/mdetr,
    ``mdetr/scripts/fine-tuning/grefexp_coco_format.py`` of henghuiding/gRefCOCO, JierunChen/Ref-L4.
    """

    boxes = 'xywh'

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'lists' and sample.has(*_IMAGE, key='images')

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        lists, seen = _Lists(), Counter[str]()
        for key, record in every_list(path):
            lists.add(key, record, f'{path}: {key}[{seen[key]}]')
            seen[key] += 1
        return lists.rows()


@dataclass
class _Annotation:
    """What an annotation says; ``image_id`` is that of the sentence's image."""

    where: str
    image_id: int
    box: Any
    ann_id: int | None
    category_id: Any
    undefined: str | None
    faulty: bool | None


@dataclass
class _Lists:
    """The lists of a file, in whatever order they stand.

    Attributes:
        sentences: by the image that each has of its own, without what its annotation says.
        annotations: the first of each sentence.
        categories: names by id.
    """

    sentences: dict[int, FormRow] = field(default_factory=dict)
    annotations: dict[int, _Annotation] = field(default_factory=dict)
    categories: dict[int, str] = field(default_factory=dict)

    def add(self, key: str, record: Any, where: str) -> None:
        """Take in a record of a list."""
        if key == 'images':
            image = of_form(record, _IMAGE, where, MDETR.name)
            self.sentences[fields.integer(image, 'id', where)] = _sentence(image, where)
        elif key == 'annotations':
            mine = _annotation(of_form(record, _ANNOTATION, where, MDETR.name), where)
            if self.annotations.setdefault(mine.image_id, mine) is not mine:
                self.annotations[mine.image_id].undefined = SEVERAL_TARGETS
        elif key == 'categories' and isinstance(record, Mapping) and {'id', 'name'} <= record.keys():
            self.categories[fields.integer(record, 'id', where)] = fields.name(record, 'name', where)

    def rows(self) -> Iterator[FormRow]:
        """The sentences in the order of their annotations, then those without any."""
        for image_id, mine in self.annotations.items():
            if image_id not in self.sentences:
                raise InputError(f"{mine.where}: its image {image_id} is not among the file's images")
            category = self.categories.get(mine.category_id) if type(mine.category_id) is int else None
            yield replace(self.sentences[image_id], where=mine.where, box=mine.box, ann_id=mine.ann_id,
                          category=category, undefined=mine.undefined, faulty=mine.faulty)
        yield from (row for image_id, row in self.sentences.items() if image_id not in self.annotations)


def _sentence(image: Mapping[str, Any], where: str) -> FormRow:
    dataset = None if image.get('dataset_name') is None else fields.name(image, 'dataset_name', where)
    return FormRow(where, fields.text(image, 'caption', where), None, fields.name(image, 'file_name', where),
                   fields.image_size(image, where), dataset=dataset, undefined=NO_TARGET,
                   image_id=optional_id(image, 'original_id', where))


def _annotation(record: Mapping[str, Any], where: str) -> _Annotation:
    return _Annotation(where, fields.integer(record, 'image_id', where), record['bbox'],
                       optional_id(record, 'original_id', where), record.get('category_id'),
                       NO_TARGET if record.get('empty') else None,
                       None if record.get('caption_quality') is None else record['caption_quality'] == 0)
