"""How many referents, expressions and images the real datasets have, and whether a copy has as many.

Sources: J. Yu et al. 2016 (RefCOCO: 142,210 expressions of 50,000 objects in 19,994 images; RefCOCO+: 141,564 of 49,856
in 19,992), V. Nagaraja et al. 2016 for RefCOCOg's splits (UMD: 95,010 of 49,822 in 25,799), and the data release of
lichengunc/refer, whose splits add up to these totals.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.types import Dataset, Expression


class Counts(NamedTuple):
    """Of one split."""

    referents: int
    expressions: int
    images: int


#: Who made the splits that are counted here.
SPLIT_BY = {'refcoco': 'unc', 'refcoco+': 'unc', 'refcocog': 'umd'}
#: By dataset and split; RefCOCO and RefCOCO+ as UNC divides them, RefCOCOg as UMD does.
PUBLISHED: dict[str, dict[str, Counts]] = {
    'refcoco': {
        'train': Counts(42404, 120624, 16994), 'val': Counts(3811, 10834, 1500),
        'testA': Counts(1975, 5657, 750), 'testB': Counts(1810, 5095, 750),
    },
    'refcoco+': {
        'train': Counts(42278, 120191, 16992), 'val': Counts(3805, 10758, 1500),
        'testA': Counts(1975, 5726, 750), 'testB': Counts(1798, 4889, 750),
    },
    'refcocog': {
        'train': Counts(42226, 80512, 21899), 'val': Counts(2573, 4896, 1300), 'test': Counts(5023, 9602, 2600),
    },
}


def count(expressions: list[Expression]) -> Counts:
    """Count the expressions of one split; referents by their ref, or by annotation or box where there is none."""
    return Counts(
        referents=_distinct(expressions, _referent),
        expressions=len(expressions),
        images=_distinct(expressions, lambda e: e.image_id),
    )


def check_counts(dataset: Dataset) -> list[str]:
    """One line for every count of a known dataset that differs from the published one; none for an unknown dataset."""
    return [line for lines in _differences(dataset) for line in lines]


def counts_note(dataset: Dataset) -> list[str]:
    """One line in all, or none: of each split that differs one count, the number of expressions if that is among
    them."""
    told = [next((line for line in lines if ' expressions, ' in line), lines[0]) for lines in _differences(dataset)]
    return [f'{dataset.name}: counts differ from the published ones: {"; ".join(told)}'] if told else []


def _differences(dataset: Dataset) -> list[list[str]]:
    """The lines of each split that differs."""
    published = PUBLISHED.get(dataset.name, {})
    lines = []
    for split, expected in published.items():
        found = count(dataset.split(split))
        lines.append([f'{dataset.name} {split}: {have:,} {what}, published are {want:,}'
                      for what, have, want in zip(Counts._fields, found, expected, strict=True) if have != want])
    extra = [split for split in dataset.splits if published and split not in published]
    lines += [[f'{dataset.name} {split}: this split is not among the published ones'] for split in extra]
    return [of_split for of_split in lines if of_split]


def _referent(expression: Expression) -> tuple[object, ...]:
    for known in (expression.ref_id, expression.ann_id):
        if known is not None:
            return (known,)
    return expression.image_id, expression.gt_xywh


def _distinct(expressions: list[Expression], key: Callable[[Expression], object]) -> int:
    return len({key(e) for e in expressions})
