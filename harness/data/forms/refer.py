"""REFER's refs, whose boxes stand in ``instances.json``."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.data.form_records import of_form
from harness.files import fields, safe_pickle
from harness.files.json_stream import records
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

FIELDS = ('ref_id', 'ann_id', 'image_id', 'sentences', 'split')


@DATA_FORMS.register_module(name='refer')
class Refer(DataForm):
    """REFER's ``refs(unc).p``, or the same as JSON: a list of referents with their sentences.

    The form has all ids but no boxes, masks, categories or sizes of images: these are in COCO's ``instances.json``,
    which has to lie beside it or to be given as well. The dataset is in the folder's name alone.

    Source: ``refer.py`` of lichengunc/refer.
    """

    def fits(self, sample: Sample) -> bool:
        return (sample.layout in ('pickle', 'list') and sample.has(*FIELDS)
                and not isinstance(sample.first['']['ann_id'], list))

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, item in refs_of(path, sample):
            ref = of_form(item, FIELDS, where, self.name)
            for i, sentence in enumerate(fields.items(ref, 'sentences', where)):
                yield row_of(ref, sentence, f'{where}: sentences[{i}]')


def refs_of(path: Path, sample: Sample) -> Iterator[tuple[str, Any]]:
    """The refs of a pickle or of JSON, each with its place for messages."""
    if sample.layout != 'pickle':
        yield from records(path, sample.layout)
        return
    refs = {'refs': safe_pickle.load(path)}
    yield from ((f'{path}: refs[{i}]', ref) for i, ref in enumerate(fields.items(refs, 'refs', str(path))))


def row_of(ref: Any, sentence: Any, where: str, undefined: str | None = None) -> FormRow:
    """A sentence of a ref; where REC is ``undefined`` for it, no annotation is asked for."""
    return FormRow(
        where, fields.text(sentence, 'sent', where), None, fields.integer(ref, 'image_id', where),
        split=fields.name(ref, 'split', where), sent_id=fields.integer(sentence, 'sent_id', where),
        ref_id=fields.integer(ref, 'ref_id', where), undefined=undefined,
        ann_id=None if undefined else fields.integer(ref, 'ann_id', where),
        tokens=fields.words(sentence, 'tokens', where) if 'tokens' in sentence else None)
