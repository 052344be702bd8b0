"""What the writers of forms share: names of files and images, numbers, and text in pieces."""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any

from harness.boxes import corners
from harness.data.box_forms import as_written
from harness.data.coco_categories import COCO_IDS
from harness.data.counts import SPLIT_BY
from harness.data.image_files import STEMS
from harness.errors import InputError
from harness.files import fields
from harness.types import XYWH, Annotation, Dataset, Expression

#: What each split holds.
Splits = Mapping[str, Sequence[Expression]]
Record = dict[str, Any]


def file_name(pattern: str, dataset: str, split: str = '') -> str:
    """The name of a file, from those of its dataset and split.

    Raises:
        InputError: one of the two leads to another folder.
    """
    record = {'dataset': dataset, 'split': split}
    for key in ('dataset', 'split') if split else ('dataset',):
        fields.file_name(record, key, f'{dataset} {split}'.strip())
    return pattern.format(**record)


def image_name(dataset: Dataset, image_id: int) -> str:
    """The name of an image's file: as it is known, else COCO's, else its id."""
    path = dataset.images[image_id].path
    if path is not None:
        return path.name
    return f'{STEMS[0 if dataset.name in SPLIT_BY else -1].format(image_id)}.jpg'


def size_of(dataset: Dataset, image_id: int) -> Record:
    """``height`` and ``width`` of an image.

    Raises:
        InputError: they are not known.
    """
    info = dataset.images[image_id]
    if not info.height or not info.width:
        raise InputError(f'{dataset.name}: the size of image {image_id} is not known, and this form has to say it; add '
                         '--images DIR')
    return {'height': info.height, 'width': info.width}


def numbers(box: Iterable[float]) -> list[float]:
    """A box as a file has it, whole numbers without a point."""
    return [int(number) if float(number).is_integer() else float(number) for number in box]


def corner_numbers(xywh: XYWH) -> list[float]:
    """The corners of a box with as many digits as its own numbers have, so that ``xywh`` comes back from them."""
    return numbers(map(as_written, corners(xywh)))


def referents(expressions: Iterable[Expression]) -> Iterator[tuple[Expression, list[Expression]]]:
    """Each referent by its first expression, with all of them; those of one referent stand together."""
    for _, mine in groupby(expressions, key=lambda e: (e.image_id, e.ref_id, e.ann_id, e.gt_xywh)):
        members = list(mine)
        yield members[0], members


def annotations_by_id(dataset: Dataset) -> dict[int, Annotation]:
    """All annotations that are known, those of referents alone where there are no others."""
    return {a.ann_id: a for a in chain.from_iterable(dataset.with_masks().values())}


def category_ids(dataset: Dataset) -> dict[str, int]:
    """The ids of categories by name: the files' own, else COCO's, else counted from 1."""
    if dataset.category_ids:
        return {name: number for number, name in dataset.category_ids.items()}
    names = dict.fromkeys([*dataset.categories, *(e.category for e in dataset.expressions if e.category is not None)])
    return COCO_IDS if names.keys() <= COCO_IDS.keys() else {name: i for i, name in enumerate(names, start=1)}


def json_lines(records: Iterable[Record]) -> Iterator[bytes]:
    """A record a line."""
    yield from (f'{as_json(record)}\n'.encode() for record in records)


def json_list(records: Iterable[Record]) -> Iterator[bytes]:
    """A list, a record a line."""
    yield b'['
    for i, record in enumerate(records):
        yield f'{"," if i else ""}\n{as_json(record)}'.encode()
    yield b'\n]\n'


def json_lists(lists: Mapping[str, Iterable[Record]]) -> Iterator[bytes]:
    """A record of lists."""
    for i, (name, records) in enumerate(lists.items()):
        yield f'{"," if i else "{"}{json.dumps(name)}: '.encode()
        yield from json_list(records)
    yield b'}\n'


def as_json(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False)
