"""The index files of ReSC, TransVG and LBYL."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

#: Where image, box and sentence stand in a record, by its length.
_PLACES = {5: (0, 2, 3), 3: (0, 1, 2)}
_RECORD = '(image, _, box, sentence, attributes), or (image, box, sentence) of Flickr30K'


@DATA_FORMS.register_module(name='transvg')
class TransVG(DataForm):
    """``unc_val.pth`` of ReSC, TransVG and LBYL: a list of sentences, which ``torch.save`` wrote.

    Boxes are xywh in ``unc``, ``unc+``, ``gref`` (Google's RefCOCOg) and ``gref_umd``, and xyxy in ``referit`` and
    ``flickr``; nothing in a file says which, so that the whole file or ``--boxes`` settles it. TransVG itself cuts the
    numbers to whole pixels before it adds them, which is not done here. The form lacks the images' sizes, ids but the
    image's, category and mask; dataset and split are in the file's name alone.

    Source: ``datasets/data_loader.py`` of djiajunustc/TransVG.
    """

    boxes = ''

    def fits(self, sample: Sample) -> bool:
        return sample.layout == 'torch' and _is_record(sample.first[''])

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        from harness.files import torch_file  # takes a second to import

        for number, record in enumerate(torch_file.load(path), start=1):
            where = f'{path}: row {number}'
            if not _is_record(record):
                raise InputError(f'{where}: is no record {_RECORD}, of which the form transvg is a list')
            image, box, sent = (record[place] for place in _PLACES[len(record)])
            yield FormRow(where, fields.text({'sentence': sent}, 'sentence', where),
                          fields.four_numbers({'box': box}, 'box', where),
                          fields.name({'image': image}, 'image', where))


def _is_record(record: Any) -> bool:
    if not isinstance(record, list | tuple) or len(record) not in _PLACES:
        return False
    image, box, sent = (record[place] for place in _PLACES[len(record)])
    return isinstance(image, str) and isinstance(sent, str) and not isinstance(box, str) and hasattr(box, '__len__')
