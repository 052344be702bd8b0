"""Recall against the number of proposals: what the first N boxes of every ranking find."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.types import XYWH

DEEPEST = 100
ALL = 'all'


class RankedHits(NamedTuple):
    """Where one rule finds what one expression speaks of; places count from 0, -1 is nowhere.

    Attributes:
        sent: the expression.
        xywh: the referent's box.
        length: how many boxes the ranking has.
        referent: place of the first box that hits the referent.
        context: the same of each contextual object; ``None`` where they are not known.
    """

    sent: str
    xywh: XYWH
    length: int
    referent: int
    context: tuple[int, ...] | None


class Point(NamedTuple):
    """The first ``n`` boxes of one rule's rankings.

    Recalls are in percent; ``context_recall`` is a mean over the expressions that have contextual objects, ``None``
    where there are none. ``proposals`` is the mean number that rankings of fewer than n boxes leave.
    """

    n: int
    expressions: int
    proposals: float
    referent_recall: float
    context_recall: float | None


def _words(least: int, most: float) -> Callable[[RankedHits], bool]:
    return lambda found: least <= len(found.sent.split()) <= most


def _area(least: float, most: float) -> Callable[[RankedHits], bool]:
    return lambda found: least <= found.xywh[2] * found.xywh[3] < most


#: Expressions by their number of words, and referents by COCO's bounds on the area, here of the box.
PARTS: Mapping[str, Callable[[RankedHits], bool]] = {
    ALL: lambda found: True,
    '1-2 words': _words(1, 2), '3-4 words': _words(3, 4), '5-7 words': _words(5, 7), '8+ words': _words(8, np.inf),
    'small': _area(0, 32 ** 2), 'medium': _area(32 ** 2, 96 ** 2), 'large': _area(96 ** 2, np.inf),
}


def curve(rankings: Sequence[RankedHits], numbers: Sequence[int] = range(1, DEEPEST + 1)) -> list[Point]:
    """A point for each N.

    Args:
        rankings: of one rule, at least one.
        numbers: what N is.
    """
    length = np.array([found.length for found in rankings])
    referent = np.array([found.referent for found in rankings])
    places, share = _context(rankings)
    return [Point(n, len(rankings), float(np.minimum(length, n).mean()), 100 * float(_first(referent, n).mean()),
                  100 * float(share @ _first(places, n)) if len(share) else None) for n in numbers]


def _first(places: np.ndarray, n: int) -> np.ndarray:
    return (places >= 0) & (places < n)


def _context(rankings: Sequence[RankedHits]) -> tuple[np.ndarray, np.ndarray]:
    """Places of all contextual objects, and what finding each adds to the mean over expressions."""
    known = [found.context for found in rankings if found.context]
    places = np.array([place for context in known for place in context], dtype=np.int64)
    share = np.array([1 / len(context) / len(known) for context in known for _ in context])
    return places, share


def by_part(rankings: Sequence[RankedHits]) -> Iterator[tuple[str, list[RankedHits]]]:
    """The parts of :data:`PARTS` that have expressions."""
    for name, belongs in PARTS.items():
        if mine := [found for found in rankings if belongs(found)]:
            yield name, mine
