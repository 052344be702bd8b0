"""OFA's and PolyFormer's tables."""
from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path

from harness.errors import InputError
from harness.files import fields
from harness.files.reading import read_lines
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

#: The columns before the image, or before PolyFormer's polygon.
_COLUMNS = ('uniq_id', 'image_id', 'text', 'region_coord')
_NUMBER = r'\s*-?[\d.]{1,30}(?:[eE][-+]?\d{1,3})?\s*'
_BOX = re.compile(rf'{_NUMBER}(?:,{_NUMBER}){{3}}')
_REFERENT = re.compile(r'(\d{1,18})_\d{1,18}')


@DATA_FORMS.register_module(name='ofa')
class OFA(DataForm):
    """OFA's and PolyFormer's ``refcoco_val.tsv``: a sentence a line, its fields between tabs, with the image in it.

    Boxes are xyxy in pixels. The columns are ``uniq_id`` (ref_id and number of the sentence), ``image_id``, the
    sentence, the box and the image in base64; PolyFormer has a simplified polygon before the image, and the mask as a
    picture and another polygon behind it, which are not read. The form lacks the images' sizes but in the images
    themselves, sent_id, ann_id and category; dataset and split are in the file's name alone.

    Source: ``data/mm_data/refcoco_dataset.py`` of OFA-Sys/OFA, ``data/create_finetuning_data.py`` of
    amazon-science/polygon-transformer.
    """

    boxes = 'xyxy'

    def fits(self, sample: Sample) -> bool:
        values = sample.first[''] if sample.layout == 'table' else []
        return len(values) > len(_COLUMNS) and _BOX.fullmatch(values[3]) is not None

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, line in _lines(path):
            values = _values(line, where)
            referent = _REFERENT.fullmatch(values['uniq_id'])
            yield FormRow(where, values['text'], _box(values['region_coord'], where), _image(values, where),
                          ref_id=int(referent[1]) if referent else None)

    def pictures(self, path: Path) -> Iterator[tuple[str, bytes]]:
        seen: set[str] = set()
        for where, line in _lines(path):
            name = _image(_values(line, where), where)
            if name not in seen:
                seen.add(name)
                yield name, _picture(line, where)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            yield f'{path}: line {number}', line


def _values(line: bytes, where: str) -> dict[str, str]:
    """The columns before the image."""
    columns = line.split(b'\t', len(_COLUMNS))
    if len(columns) <= len(_COLUMNS):
        raise InputError(f'{where}: has {len(columns)} columns; the form ofa has {", ".join(_COLUMNS)} and the image, '
                         'between tabs')
    try:
        return {name: value.decode() for name, value in zip(_COLUMNS, columns, strict=False)}
    except UnicodeDecodeError:
        raise InputError(f'{where}: is not UTF-8 text') from None


def _box(text: str, where: str) -> list[float]:
    try:
        return [float(number) for number in text.split(',')]
    except ValueError:
        raise InputError(f"{where}: 'region_coord' must be four numbers x1,y1,x2,y2") from None


def _image(values: dict[str, str], where: str) -> str:
    return f'{fields.file_name(values, "image_id", where)}.jpg'


def _picture(line: bytes, where: str) -> bytes:
    """The image: the first column behind the box that is no polygon, which has commas."""
    column = next((column for column in line.split(b'\t')[len(_COLUMNS):] if column and b',' not in column), b'')
    try:
        return base64.urlsafe_b64decode(column.rstrip(b'\r'))
    except binascii.Error:
        raise InputError(f'{where}: its image is not base64; give the images by --images DIR') from None
