"""Moondream's refcoco-m: RefCOCO's val with finer masks."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.assembly.names import bare_name, image_id_of
from harness.data.parquet_images import named_images
from harness.errors import InputError
from harness.files import fields
from harness.files.parquet import rows
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_WANTED = {'image_id': 'integer', 'file_name': 'text', 'samples': [{
    'id': 'integer', 'category': 'text', 'sentences': ['text'], 'bbox': ['number'],
    'mask': {'counts': 'text', 'size': ['integer']}}]}


@DATA_FORMS.register_module(name='refcoco-m')
class RefCOCOM(DataForm):
    """moondream/refcoco-m: one row an image, with its referents, their sentences and finer masks.

    Boxes are xywh, stored in 32 bits; masks are COCO's compressed run lengths, whose ``size`` is the image's.
    ``samples.id`` is taken for the annotation. The form lacks ref_id and sent_id; the split is in the file's name.

    Source: the card of moondream/refcoco-m.
    """

    boxes = 'xywh'
    columns = ('image_id', 'file_name', 'samples', 'image')

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'parquet' and sample.has(*self.columns)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, row in rows(path, _WANTED):
            name, image_id = bare_name(fields.name(row, 'file_name', where)), fields.integer(row, 'image_id', where)
            if image_id_of(name) != image_id:
                raise InputError(f"{where}: 'image_id' {image_id} is not the image {name}; fetch the file again")
            for i, referent in enumerate(fields.items(row, 'samples', where)):
                yield from _sentences(referent, name, f'{where}: samples[{i}]')

    def pictures(self, path: Path) -> Iterator[tuple[str, bytes]]:
        return named_images(path)


def _sentences(referent: object, image: str, where: str) -> Iterator[FormRow]:
    mask = fields.required(referent, 'mask', where)
    sides = fields.items(mask, 'size', f"{where}: 'mask'")
    height, width = sides if len(sides) == 2 else (None, None)
    size = fields.image_size({'height': height, 'width': width}, f"{where}: 'mask'")
    segmentation = {'counts': fields.text(mask, 'counts', f"{where}: 'mask'"), 'size': list(size)}
    ann_id, category = fields.integer(referent, 'id', where), fields.name(referent, 'category', where)
    box = fields.four_numbers(referent, 'bbox', where, 'x, y, width, height')
    for sent in fields.words(referent, 'sentences', where):
        yield FormRow(where, sent, box, image, size, ann_id=ann_id, category=category, segmentation=segmentation)
