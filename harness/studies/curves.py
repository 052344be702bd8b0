"""Recall against the number of proposals: what the first N boxes of every ranking hit."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.types import XYWH

DEEPEST = 100
ALL = 'all'


class RankedHits(NamedTuple):
    """The first hits in the ranking of one rule for one expression; ranks count from 0, and -1 means no hit.

    Attributes:
        sent: the expression.
        xywh: the referent's box.
        length: number of boxes in the ranking.
        referent: rank of the first box that hits the referent.
        context: the same of each contextual object; ``None`` where they are not known.
    """

    sent: str
    xywh: XYWH
    length: int
    referent: int
    context: tuple[int, ...] | None


class Point(NamedTuple):
    """Recall of the first ``n`` boxes of the rankings of one rule.

    Recalls are in percent; ``context_recall`` is a mean over the expressions that have contextual objects, ``None``
    where there are none. ``proposals`` is the mean number of boxes, which is below n where rankings are shorter.
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
    """One point of the recall curve per N.

    Args:
        rankings: of one rule, at least one.
        numbers: the values of N.
    """
    length = np.array([found.length for found in rankings])
    referent = np.array([found.referent for found in rankings])
    places, share = _context(rankings)
    return [Point(n, len(rankings), float(np.minimum(length, n).mean()), 100 * float(_first(referent, n).mean()),
                  100 * float(share @ _first(places, n)) if len(share) else None) for n in numbers]


def _first(places: np.ndarray, n: int) -> np.ndarray:
    return (places >= 0) & (places < n)


def _context(rankings: Sequence[RankedHits]) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of all contextual objects, and how much each hit adds to the mean over expressions."""
    known = [found.context for found in rankings if found.context]
    places = np.array([place for context in known for place in context], dtype=np.int64)
    share = np.array([1 / len(context) / len(known) for context in known for _ in context])
    return places, share


def by_part(rankings: Sequence[RankedHits]) -> Iterator[tuple[str, list[RankedHits]]]:
    """The parts of :data:`PARTS` that have expressions."""
    for name, belongs in PARTS.items():
        if mine := [found for found in rankings if belongs(found)]:
            yield name, mine
