"""ODVG, the form of mmdet's GroundingDINO."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.form_records import of_form, records_of, undefined_with
from harness.errors import InputError
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_IMAGE = ('filename', 'height', 'width')


@DATA_FORMS.register_module(name='odvg')
class ODVG(DataForm):
    """ODVG of mmdet and GroundingDINO: an image a line, with a caption and its regions, or with referring phrases.

    Boxes are xyxy in pixels, their far corner clipped to the image by the converter. ``grounding`` has a caption, which
    is the sentence where it has one box; ``referring`` has all phrases of a box, each a sentence, equal ones once and
    in no order. The form lacks ids but the image's, category and mask; dataset and split are in the file's name alone.

    Source: ``mmdet/datasets/odvg.py``, ``tools/dataset_converters/goldg2odvg.py`` and ``refcoco2odvg.py`` there, of
    open-mmlab/mmdetection.
    """

    boxes = 'xyxy'

    def fits(self, sample: Sample) -> bool:
        return (sample.layout == 'lines' and sample.has(*_IMAGE)
                and (sample.has('grounding') or sample.has('referring')))

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, record in records_of(path, sample.layout, _IMAGE, self.name):
            name, size = fields.name(record, 'filename', where), fields.image_size(record, where)
            for sent, boxes in _sentences(record, where):
                yield FormRow(where, sent, boxes[0] if boxes else None, name, size,
                              undefined=undefined_with(len(boxes)))


def _sentences(record: Mapping[str, Any], where: str) -> Iterator[tuple[str, list[Any]]]:
    """Each sentence with its boxes."""
    if 'grounding' in record:
        grounding = of_form(record['grounding'], ('caption', 'regions'), f"{where}: 'grounding'", ODVG.name)
        yield fields.text(grounding, 'caption', where), [
            box for region in fields.items(grounding, 'regions', where) for box in _boxes(region, where)]
    elif 'referring' in record:
        for region in fields.items(record, 'referring', where):
            boxes, phrases = _boxes(region, where), fields.required(region, 'phrase', where)
            for phrase in phrases if isinstance(phrases, list) else [phrases]:
                yield fields.text({'phrase': phrase}, 'phrase', where), boxes
    else:
        raise InputError(f"{where}: has neither 'grounding' nor 'referring', which the form odvg has beside "
                         f'{", ".join(_IMAGE)}; a file holds one form')


def _boxes(region: Any, where: str) -> list[Any]:
    """The boxes of a region, which has one or a list of them."""
    boxes = fields.items(region, 'bbox', where)
    return list(boxes) if boxes and isinstance(boxes[0], list) else [boxes]
