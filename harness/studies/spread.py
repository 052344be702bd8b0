"""Mean and standard deviation of a few runs, and of their differences where runs belong together by seed."""
from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """Of ``n`` values; the deviation is the sample's (n - 1), ``None`` for a single value."""

    mean: float
    deviation: float | None
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """``None`` without a value."""
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def paired(a: Sequence[float], b: Sequence[float]) -> Spread | None:
    """Of a - b, seed by seed; a single value stands beside every one of the others."""
    if not a or not b:
        return None
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError(f'{len(a)} and {len(b)} values: they belong together one by one')
    n = max(len(a), len(b))
    a, b = ([*values] * n if len(values) == 1 else values for values in (a, b))
    return spread([x - y for x, y in zip(a, b, strict=True)])
