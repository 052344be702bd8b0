"""REFER's layout, as a pickle or as JSON."""
from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.data.counts import SPLIT_BY
from harness.data.form_files import (
    Record,
    Splits,
    annotations_by_id,
    category_ids,
    file_name,
    image_name,
    json_list,
    json_lists,
    numbers,
    size_of,
)
from harness.data.masks import area, text_mask, to_rle
from harness.data.rehearsal_mark import rehearsed
from harness.errors import InputError
from harness.plugins import FormWriter
from harness.registry import FORM_WRITERS
from harness.types import Annotation, Dataset, Expression

_HOLDS = ('sent_ids', 'ref_ids', 'annotation ids', 'categories', 'masks', 'other objects', 'truths of scenes')


@FORM_WRITERS.register_module(name='refer')
class ReferWriter(FormWriter):
    """REFER's ``refcoco/refs(unc).p``, a pickle of protocol 2, and ``refcoco/instances.json``.

    Where ref_ids are not known, referents are counted from 0. Source: as of :mod:`harness.data.refer`.
    """

    holds = _HOLDS

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        refs = _refs(dataset, splits)
        yield _name(dataset, 'p'), iter([_pickled(refs)])
        yield file_name('{dataset}/instances.json', dataset.name), _instances(dataset, refs)


@FORM_WRITERS.register_module(name='refer-json')
class ReferJSONWriter(FormWriter):
    """The same with ``refcoco/refs(unc).json`` in the place of the pickle."""

    holds = _HOLDS

    def files(self, dataset: Dataset, splits: Splits) -> Iterator[tuple[str, Iterator[bytes]]]:
        refs = _refs(dataset, splits)
        yield _name(dataset, 'json'), json_list(refs)
        yield file_name('{dataset}/instances.json', dataset.name), _instances(dataset, refs)


def _name(dataset: Dataset, ending: str) -> str:
    maker = SPLIT_BY.get(rehearsed(dataset.name).removeprefix('mini-'), 'unc')
    return file_name(f'{{dataset}}/refs({maker}).{ending}', dataset.name)


def _pickled(refs: Sequence[Record]) -> bytes:
    """The same bytes for the same content: a pickle also says which of its parts are one object, and what comes from
    JSON shares none."""
    return pickle.dumps(json.loads(json.dumps(refs)), protocol=2)


def _refs(dataset: Dataset, splits: Splits) -> list[Record]:
    """The referents in order.

    Raises:
        InputError: the dataset has no annotations.
    """
    if dataset.annotations is None:
        raise InputError(f'{dataset.name}: has no annotations of its images, which the form refer has in '
                         'instances.json; put the one of the same release beside the data, or choose another form')
    known, categories = annotations_by_id(dataset), category_ids(dataset)
    expressions = [e for members in splits.values() for e in members]
    together: dict[object, list[Expression]] = {}
    numbered = any(e.ref_id is None for e in expressions)
    for e in expressions:
        together.setdefault((e.split, e.ann_id) if numbered else e.ref_id, []).append(e)
    return [_ref(mine, number if numbered else mine[0].ref_id, dataset, known, categories)
            for number, mine in enumerate(together.values())]


def _ref(mine: Sequence[Expression], ref_id: int | None, dataset: Dataset, known: Mapping[int, Annotation],
         categories: Mapping[str, int]) -> Record:
    first = mine[0]
    return {'sent_ids': [e.sent_id for e in mine], 'file_name': image_name(dataset, first.image_id),
            'ann_id': first.ann_id, 'ref_id': ref_id, 'image_id': first.image_id, 'split': first.split,
            'sentences': [_sentence(e) for e in mine], 'category_id': categories[known[first.ann_id or 0].category]}


def _sentence(e: Expression) -> Record:
    return {'tokens': list(e.tokens), 'raw': e.sent, 'sent_id': e.sent_id, 'sent': e.sent, **(e.truth or {})}


def _instances(dataset: Dataset, refs: Iterable[Record]) -> Iterator[bytes]:
    """The images of the referents, with all their objects."""
    ids, annotations = dict.fromkeys(ref['image_id'] for ref in refs), dataset.annotations or {}
    categories = category_ids(dataset)
    return json_lists({
        'images': ({'id': i, 'file_name': image_name(dataset, i), **size_of(dataset, i)} for i in ids),
        'annotations': (_annotation(a, dataset, categories) for i in ids for a in annotations[i]),
        'categories': ({'id': number, 'name': name} for name, number in categories.items())})


def _annotation(a: Annotation, dataset: Dataset, categories: Mapping[str, int]) -> Record:
    info, mask = dataset.images[a.image_id], a.segmentation
    covered = a.xywh[2] * a.xywh[3] if mask is None else area(to_rle(mask, info.height, info.width, str(a.ann_id)))
    return {'id': a.ann_id, 'image_id': a.image_id, 'category_id': categories[a.category], 'bbox': numbers(a.xywh),
            'area': covered, 'iscrowd': 0, **({} if mask is None else {'segmentation': text_mask(mask)}),
            **({} if a.attributes is None else {'attributes': a.attributes})}
