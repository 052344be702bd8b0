"""ReCLIP's input files."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.form_records import of_form, optional_id, records_of, undefined_with
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_FIELDS = ('image_id', 'file_name', 'ann_id', 'anns', 'sentences')


@DATA_FORMS.register_module(name='reclip')
class ReCLIP(DataForm):
    """ReCLIP's ``refcoco_val.jsonl``: a referent a line, with its sentences and the annotations of its image.

    Boxes are xywh, in ``anns``; ``ann_id`` is a number, text or a list. ReCLIP counts any of several as right, here REC
    is not defined for them. The form lacks the images' sizes, category and mask; the image's other objects are not
    read. ReCLIP itself grounds the lower-cased ``raw``, here the sentence is ``sent`` where there is one. Dataset and
    split are in the file's name, ids are read where they are there.

    Source: ``main.py`` of allenai/reclip.
    """

    boxes = 'xywh'

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'lines' and sample.has(*_FIELDS)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, record in records_of(path, sample.layout, _FIELDS, self.name):
            targets = _targets(record, where)
            ann_id = targets[0]['id'] if len(targets) == 1 else None
            for sentence in fields.items(record, 'sentences', where):
                yield FormRow(
                    where, _sent(sentence, where), targets[0]['bbox'] if targets else None,
                    fields.name(record, 'file_name', where), sent_id=optional_id(sentence, 'sent_id', where),
                    ref_id=optional_id(record, 'ref_id', where), ann_id=_number(ann_id),
                    image_id=_number(record['image_id']), undefined=undefined_with(len(targets)))


def _targets(record: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """The annotations that are meant."""
    meant = record['ann_id'] if isinstance(record['ann_id'], list) else [record['ann_id']]
    annotations = [of_form(a, ('id', 'bbox'), f"{where}: 'anns'", ReCLIP.name)
                   for a in fields.items(record, 'anns', where)]
    return [a for a in annotations if a['id'] in meant]


def _sent(sentence: Any, where: str) -> str:
    if isinstance(sentence, Mapping) and 'sent' in sentence:
        return fields.text(sentence, 'sent', where)
    return fields.text(sentence, 'raw', where).lower()


def _number(value: Any) -> int | None:
    """An id that may be text; ``None`` of what is no number."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 18:
        return int(value)
    return value if type(value) is int and abs(value) < 1 << 63 else None
