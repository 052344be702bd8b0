"""Mean and standard deviation of a few runs, and of the differences between runs that are paired by seed."""
from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1) of ``n`` values; ``None`` is the deviation of a single value."""

    mean: float
    deviation: float | None
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of some values; ``None`` if there are none."""
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def paired(a: Sequence[float], b: Sequence[float]) -> Spread | None:
    """The spread of a - b, seed by seed; a single value is paired with every value of the other side."""
    if not a or not b:
        return None
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError(f'{len(a)} and {len(b)} values: they must be paired one by one')
    n = max(len(a), len(b))
    a, b = ([*values] * n if len(values) == 1 else values for values in (a, b))
    return spread([x - y for x, y in zip(a, b, strict=True)])
