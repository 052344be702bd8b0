"""The passport of rows: which published partition they are, and what of it is missing, extra or double.

Two tools may both say "RefCOCO val" and mean other rows. What the rows are is told by comparing them with the
fingerprints of all published evaluation expressions (:mod:`harness.data.fingerprints`), not by a file's name.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Le
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from harness.data.fingerprints import (
    Fingerprints,
    corners_before_cutting,
    of_annotation,
    of_box,
    of_image,
    of_sentence,
    of_unnamed,
    published,
    whole_corners,
)
from harness.types import Dataset, Expression, ImageInfo

#: A partition is named where at least so much of it is there, or of the rows; less is what several have in common.
NAMED = 0.5, 0.1
#: Referents of partitions that no fingerprints are known of, by dataset (``data/README.md`` of lichengunc/refer).
GOOGLE = {'refcoco': {'val': 5000, 'test': 5000}}
TITLES = {'refcoco': 'RefCOCO', 'refcoco+': 'RefCOCO+', 'refcocog': 'RefCOCOg'}
MAKERS = {'unc': 'UNC', 'umd': 'UMD', 'google': 'Google'}
#: Who made the splits of the embedded benchmark.
EMBEDDED_BY = 'embedded'
_BESIDE: tuple[Literal['double', 'reworded'], ...] = ('double', 'reworded')
_Count = Annotated[int, Ge(0), Le(10 ** 15)]
_STRICT = ConfigDict(strict=True, frozen=True)


@with_config(_STRICT)
class Part(TypedDict):
    """What of a published partition is there: expressions and referents, and of how many; ``double`` rows are those
    that come more often than they were published, ``reworded`` ones have another sentence for a referent of it."""

    dataset: str
    split: str
    by: str
    expressions: _Count
    of_expressions: _Count
    referents: _Count
    of_referents: _Count
    double: _Count
    reworded: _Count


@with_config(_STRICT)
class Passport(TypedDict):
    """What some rows are.

    ``parts`` are the partitions that they are of; ``other`` are rows and ``other_referents`` referents beyond these,
    double ones among them where others are there too: two partitions in one file may have referents in common;
    ``google`` of those referents are in RefCOCOg's val by Google; ``shared_images`` are images that other partitions
    evaluate too, by dataset and split.
    """

    expressions: _Count
    referents: _Count
    images: _Count
    parts: list[Part]
    other: _Count
    other_referents: _Count
    google: _Count
    shared_images: dict[str, _Count]


class Row(NamedTuple):
    """What a row is known by: ``image_id`` is COCO's, ``None`` where the form has none."""

    image_id: int | None
    ann_id: int | None
    sent: str
    xywh: tuple[float, float, float, float]
    width: int
    height: int


#: Passports by dataset and split.
Passports = dict[str, dict[str, Passport]]


def passports(datasets: Mapping[str, Dataset],
              expressions: Mapping[tuple[str, str], Sequence[Expression]]) -> Passports:
    """The passport of each (dataset, split); those of the embedded benchmark are counted against its own splits."""
    found: Passports = {}
    for (name, split), members in expressions.items():
        dataset = datasets[name]
        found.setdefault(name, {})[split] = (
            _embedded(dataset, split, members) if dataset.embedded else
            passport([row_of(e, dataset.images[e.image_id], dataset) for e in members]))
    return found


def _embedded(dataset: Dataset, split: str, members: Sequence[Expression]) -> Passport:
    whole = dataset.split(split)
    referents, of_referents = ({e.ann_id for e in es} for es in (members, whole))
    part = Part(dataset=dataset.name, split=split, by=EMBEDDED_BY, expressions=len(members), of_expressions=len(whole),
                referents=len(referents), of_referents=len(of_referents), double=0, reworded=0)
    return Passport(expressions=len(members), referents=len(referents), images=len({e.image_id for e in members}),
                    parts=[part], other=0, other_referents=0, google=0, shared_images={})


def row_of(expression: Expression, info: ImageInfo, dataset: Dataset) -> Row:
    """An expression as a row; image ids that a reader made up are no names."""
    image_id = None if dataset.numbered_images else expression.image_id
    return Row(image_id, expression.ann_id, expression.sent, expression.gt_xywh, info.width, info.height)


def passport(rows: Sequence[Row], known: Fingerprints | None = None) -> Passport:
    """What rows are.

    Args:
        rows: in any order.
        known: fingerprints, by default the published ones.
    """
    known = known or published()
    left, doubles = Counter(range(len(rows))), set[int]()
    published_as, partitions = [_published_as(row, known) for row in rows], _partitions(known)
    counted = [_rows_of(published_as, partition) for partition in partitions]
    parts = []
    for part in sorted(range(len(counted)), key=lambda part: -sum(map(len, counted[part].values()))):
        whole = partitions[part].whole
        mine = {key: [i for i in indices if left[i]] for key, indices in counted[part].items()}
        n = sum(min(len(indices), whole[key]) for key, indices in mine.items())
        if not n or (n < NAMED[0] * whole.total() and n < NAMED[1] * len(rows)):
            continue
        parts.append(_part(part, mine, whole, known))
        for key, indices in mine.items():
            left.subtract(indices[:whole[key]])
            doubles.update(indices[whole[key]:])
        unknown = [i for i, n in left.items() if n > 0 and not published_as[i]]
        reworded = _on_referents([rows[i] for i in unknown], part, known)
        left.subtract(i for i, mine_too in zip(unknown, reworded, strict=True) if mine_too)
        parts[-1]['reworded'] = sum(reworded)
    beyond = [i for i, n in left.items() if n > 0]
    others = [] if doubles.issuperset(beyond) else [rows[i] for i in beyond]
    google = set(known.google.tolist())
    referents = {_referent(row) for row in others}
    return Passport(
        expressions=len(rows), referents=len({_referent(row) for row in rows}),
        images=len({_image(row) for row in rows}), parts=parts, other=len(others), other_referents=len(referents),
        google=len({row.ann_id for row in others if row.ann_id is not None and of_annotation(row.ann_id) in google}),
        shared_images=_shared(rows, parts, known))


def _image(row: Row) -> object:
    return (row.width, row.height, row.xywh, row.sent) if row.image_id is None else row.image_id


def _referent(row: Row) -> object:
    if row.image_id is None:
        return row.width, row.height, row.xywh
    return row.image_id, row.xywh if row.ann_id is None else row.ann_id


@cache
def _places(known: Fingerprints, name: str) -> dict[int, list[int]]:
    """Where each hash stands."""
    found: dict[int, list[int]] = {}
    for place, value in enumerate(getattr(known, name).tolist()):
        found.setdefault(value, []).append(place)
    return found


class _Partition(NamedTuple):
    """``first``: the first published expression that is equal to each; ``whole``: how often each such was published."""

    first: Mapping[int, int]
    whole: Counter[int]


@cache
def _partitions(known: Fingerprints) -> list[_Partition]:
    ends = np.cumsum([referents for *_, referents in known.splits])
    part_of = np.searchsorted(ends, known.referent, side='right')
    found = []
    for part in range(len(ends)):
        same: dict[tuple[int, int], int] = {}
        first = {place: same.setdefault((int(known.sentences[place]), int(known.referent[place])), place)
                 for place in np.flatnonzero(part_of == part).tolist()}
        found.append(_Partition(first, Counter(first.values())))
    return found


def _published_as(row: Row, known: Fingerprints) -> list[int]:
    """The published expressions that a row may be, all of its own referent."""
    if row.image_id is None:
        unnamed = of_unnamed(row.width, row.height, row.sent, whole_corners(row.xywh))
        return _places(known, 'unnamed').get(unnamed, [])
    places = _places(known, 'sentences').get(of_sentence(row.image_id, row.sent), [])
    if not places:
        return []
    mine = {of_box(row.image_id, corners) for corners in corners_before_cutting(row.xywh)}
    return [place for place in places if int(known.boxes[known.referent[place]]) in mine]


def _rows_of(published_as: Sequence[Sequence[int]], partition: _Partition) -> dict[int, list[int]]:
    """The rows that are each of a partition's expressions."""
    there: dict[int, list[int]] = {}
    for number, places in enumerate(published_as):
        key = next((partition.first[place] for place in places if place in partition.first), None)
        if key is not None:
            there.setdefault(key, []).append(number)
    return there


def _on_referents(rows: Sequence[Row], part: int, known: Fingerprints) -> list[bool]:
    """Whether the box of each row is that of a referent of a partition."""
    mine = _referents_of(part, known)
    boxes, images = set(known.boxes[mine].tolist()), set(known.images[known.image[mine]].tolist())
    there = {image_id for image_id in {row.image_id for row in rows} if image_id is not None
             and of_image(image_id) in images}
    return [row.image_id in there and any(of_box(int(row.image_id or 0), corners) in boxes
                                          for corners in corners_before_cutting(row.xywh)) for row in rows]


def _referents_of(part: int, known: Fingerprints) -> slice:
    """The places of a partition's referents."""
    first = sum(referents for *_, referents in known.splits[:part])
    return slice(first, first + known.splits[part][3])


def _part(part: int, mine: Mapping[int, Sequence[int]], whole: Counter[int], known: Fingerprints) -> Part:
    name, split, by, referents = known.splits[part]
    there = {key: len(indices) for key, indices in mine.items() if indices}
    return Part(dataset=name, split=split, by=by, expressions=sum(min(n, whole[key]) for key, n in there.items()),
                of_expressions=whole.total(), referents=len({int(known.referent[key]) for key in there}),
                of_referents=referents, double=sum(max(0, n - whole[key]) for key, n in there.items()), reworded=0)


def _shared(rows: Sequence[Row], parts: Iterable[Part], known: Fingerprints) -> dict[str, int]:
    mine = {of_image(image_id) for image_id in {row.image_id for row in rows} if image_id is not None}
    named = {(part['dataset'], part['split']) for part in parts}
    found = {}
    for number, (name, split, *_) in enumerate(known.splits):
        images = set(known.images[np.unique(known.image[_referents_of(number, known)])].tolist())
        if (name, split) not in named and (both := len(mine & images)):
            found[f'{name} {split}'] = both
    return found


def said(passport: Passport) -> str:
    """A passport in one line."""
    told = [_said_of_part(part) for part in passport['parts']]
    if passport['other']:
        told.append(_said_of_others(passport, told != []))
    return '; '.join(told) or 'no rows'


def titled(part: Part) -> str:
    """The name of a partition's dataset as papers write it."""
    return TITLES.get(part['dataset'], part['dataset'])


def maker(part: Part) -> str:
    """Who made a partition."""
    return MAKERS.get(part['by'], part['by'])


def is_whole(passport: Passport) -> bool:
    """Whether rows are one partition, whole, and nothing else."""
    part = passport['parts'][0] if len(passport['parts']) == 1 else None
    return (part is not None and part['expressions'] == part['of_expressions'] == passport['expressions'])


def _said_of_part(part: Part) -> str:
    n, of = part['expressions'], part['of_expressions']
    title = f'{titled(part)} {part["split"]} ({maker(part)})'
    referents = '' if part['referents'] == part['of_referents'] and n == of else (
        f', {part["referents"]:,} of {part["of_referents"]:,} referents')
    more = ''.join(f', {part[what]:,} {what}' for what in _BESIDE if part[what])
    return f'{title}, {n:,} of {of:,} expressions{referents}{more}'


def _said_of_others(passport: Passport, beside: bool) -> str:
    n, referents = passport['other'], passport['other_referents']
    counted = f'{n:,} {"other " if beside else ""}expressions of {referents:,} referents'
    return f'{counted}, {_whose(passport)}'


def _whose(passport: Passport) -> str:
    referents = passport['other_referents']
    if passport['google'] and passport['google'] * 2 >= referents:
        return f'{passport["google"]:,} of 5,000 referents of RefCOCOg val (Google)'
    for name, splits in GOOGLE.items():
        alike = [split for split, known in splits.items() if known == referents]
        if alike and any(part['dataset'] == name for part in passport['parts']):
            whose = f'{TITLES[name]} {" and ".join(alike)} (Google)'
            return f'as many referents as {whose} have, of which no fingerprints are known'
    return 'which no published evaluation split has'
