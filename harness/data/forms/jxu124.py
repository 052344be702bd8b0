"""jxu124's refcoco, refcocoplus and refcocog: REFER's refs with annotation and image as JSON in text."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.assembly.names import image_id_of
from harness.data.coco_categories import COCO_IDS
from harness.errors import InputError
from harness.files import fields
from harness.files.parquet import rows
from harness.files.reading import parse_json
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_WANTED = {'sentences': [{'sent': 'text', 'sent_id': 'integer', 'tokens': ['text']}], 'split': 'text',
           'ann_id': 'integer', 'ref_id': 'integer', 'image_id': 'integer', 'category_id': 'integer',
           'raw_anns': 'text', 'raw_image_info': 'text', 'bbox': ['number']}
_CATEGORIES = {number: name for name, number in COCO_IDS.items()}
#: How far ``bbox`` may be from the corners of ``raw_anns``, in pixels: rounding.
_ROUNDING = 1e-3


@DATA_FORMS.register_module(name='jxu124')
class Jxu124(DataForm):
    """jxu124's parquet files: one row a referent, with all of REFER's ids, and masks.

    A row has the box twice, ``bbox`` with corners and ``raw_anns`` as xywh, which must agree; the latter is taken. The
    form has all ids, categories and sizes, and lacks the images and other objects. The dataset is in the folder's name
    alone. The split ``test`` of RefCOCO and RefCOCO+ is testA: where the rows are known, they are called so.

    Source: the cards of jxu124/refcoco, refcocoplus and refcocog.
    """

    boxes = 'xywh'
    columns = ('sentences', 'ann_id', 'ref_id', 'image_id', 'raw_anns', 'raw_image_info', 'bbox')

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'parquet' and sample.has(*self.columns)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, ref in rows(path, _WANTED):
            annotation, image = _json(ref, 'raw_anns', where), _json(ref, 'raw_image_info', where)
            box, name, split = _box(ref, annotation, where), _image_name(ref, image, where), _split(ref, where)
            ann_id, ref_id = fields.integer(ref, 'ann_id', where), fields.integer(ref, 'ref_id', where)
            size = fields.image_size(image, f"{where}: 'raw_image_info'")
            category = _CATEGORIES.get(fields.integer(ref, 'category_id', where))
            for i, sentence in enumerate(fields.items(ref, 'sentences', where)):
                at = f'{where}: sentences[{i}]'
                yield FormRow(at, fields.text(sentence, 'sent', at), box, name, size, split=split,
                              sent_id=fields.integer(sentence, 'sent_id', at), ref_id=ref_id, ann_id=ann_id,
                              category=category, tokens=fields.words(sentence, 'tokens', at),
                              segmentation=annotation.get('segmentation') or None)


def _json(ref: Any, key: str, where: str) -> Mapping[str, Any]:
    value = parse_json(fields.text(ref, key, where).encode(), f'{where}: {key!r}')
    if not isinstance(value, Mapping):
        raise InputError(f'{where}: {key!r} must be a record, not {fields.kind(value)}')
    return value


def _box(ref: Any, annotation: Any, where: str) -> tuple[float, ...]:
    """The box of ``raw_anns``, once it is known to be that of ``bbox``."""
    x, y, width, height = box = fields.box(annotation, 'bbox', f"{where}: 'raw_anns'")
    corners = fields.four_numbers(ref, 'bbox', where, 'x1, y1, x2, y2')
    if any(abs(a - b) > _ROUNDING for a, b in zip(corners, (x, y, x + width, y + height), strict=True)):
        raise InputError(f"{where}: 'bbox' and the box in 'raw_anns' are not one; fetch the file again")
    return box


def _image_name(ref: Any, image: Any, where: str) -> str:
    name = fields.file_name(image, 'file_name', f"{where}: 'raw_image_info'")
    if image_id_of(name) != fields.integer(ref, 'image_id', where):
        raise InputError(f"{where}: 'image_id' {ref['image_id']} is not the image {name} of 'raw_image_info'; fetch "
                         'the file again')
    return name


def _split(ref: Any, where: str) -> str:
    split = fields.name(ref, 'split', where)
    return 'val' if split == 'validation' else split
