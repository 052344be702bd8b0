"""gRefCOCO's refs, whose boxes stand in ``instances.json``."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.data.form_records import of_form, undefined_with
from harness.data.forms.refer import FIELDS, refs_of, row_of
from harness.errors import InputError
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample


@DATA_FORMS.register_module(name='grefcoco')
class GRefCOCO(DataForm):
    """gRefCOCO's ``grefs(unc).json``: REFER's refs with none, one or several annotations each.

    ``ann_id`` is a list; ``[-1]`` means that there is no target. REC is defined for the sentences with one target,
    which are read; the others are counted. As with REFER, boxes, masks, categories and sizes are in ``instances.json``,
    and the dataset is in the folder's name alone.

    Source: ``mdetr/scripts/fine-tuning/grefexp_coco_format.py`` of henghuiding/gRefCOCO.
    """

    def fits(self, sample: Sample) -> bool:
        return (sample.layout in ('pickle', 'list') and sample.has(*FIELDS)
                and isinstance(sample.first['']['ann_id'], list))

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, item in refs_of(path, sample):
            ref = of_form(item, FIELDS, where, self.name)
            targets = _targets(ref['ann_id'], where)
            for i, sentence in enumerate(fields.items(ref, 'sentences', where)):
                yield row_of({**ref, 'ann_id': targets[0] if targets else None}, sentence, f'{where}: sentences[{i}]',
                             undefined_with(len(targets)))


def _targets(ann_id: Any, where: str) -> list[int]:
    """The annotations that are meant."""
    ids = ann_id if isinstance(ann_id, list) else [ann_id]
    if not all(type(one) is int for one in ids):
        raise InputError(f"{where}: 'ann_id' must be a list of integers, [-1] where there is no target")
    return [one for one in ids if one != -1]
