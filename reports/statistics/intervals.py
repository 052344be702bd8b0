"""How sure a figure is: intervals by bootstrap over images, and exact paired tests.

Expressions of one image are not independent, they share its objects and its proposals, so whole images are drawn again.
A figure is a ratio of two sums (:mod:`reports.statistics.outcomes`), and both sums are drawn together: a mean
has a whole of 1 per expression, overall IoU a whole of as many pixels as the union has.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0
#: With fewer images, or with an interval that contains 0 and is wider than this many points, nothing is concluded.
FEWEST_IMAGES = 30
WIDEST = 10.0
#: Images drawn per batch, which bounds the memory.
_AT_ONCE = 4_000_000


class Interval(NamedTuple):
    """An estimate with its 95 % interval, from the number of images it was measured on.

    ``low`` and ``high`` are NaN where there is only one image.
    """

    estimate: float
    low: float
    high: float
    images: int

    @property
    def too_small(self) -> bool:
        """Whether there are too few images for the interval to be trusted."""
        return self.images < FEWEST_IMAGES


def interval(images: np.ndarray, part: np.ndarray, whole: np.ndarray, resamples: int = RESAMPLES,
             seed: int = SEED) -> Interval:
    """The interval of the ratio of two sums.

    Args:
        images: ``(n,)`` the image of each row.
        part, whole: ``(n,)`` the numbers to sum, numerator and denominator.
        resamples: how often the images are drawn again.
        seed: of the random draws; the order of the rows changes nothing.
    """
    sums = image_sums(images, part, whole)
    sums = sums[sums[:, 1] > 0]
    return _interval(_ratio(sums.sum(0)), _resampled(sums, resamples, seed), len(sums))


def intervals(images: np.ndarray, parts: np.ndarray, whole: np.ndarray, resamples: int = RESAMPLES,
              seed: int = SEED) -> list[Interval]:
    """The intervals of several ratios with the same denominator, images drawn for all together: a curve with its band.

    Args:
        images, whole: as of :func:`interval`.
        parts: ``(n, k)`` the numerators of k ratios.
    """
    sums = image_sums(images, whole, *parts.T)
    sums = sums[sums[:, 0] > 0]
    drawn = _drawn(sums, resamples, seed)
    ratios = _ratio(np.stack(np.broadcast_arrays(drawn[:, 1:], drawn[:, :1]), axis=-1))
    total = sums.sum(0)
    return [_interval(_ratio(total[[k, 0]]), ratios[:, k - 1], len(sums)) for k in range(1, len(total))]


def intervals_of(images: np.ndarray, columns: np.ndarray, figures: Callable[[np.ndarray], np.ndarray],
                 resamples: int = RESAMPLES, seed: int = SEED) -> list[Interval]:
    """The intervals of any figures of sums, images drawn for all together.

    Args:
        images: ``(n,)`` the image of each row.
        columns: ``(n, c)`` the numbers to sum.
        figures: ``(..., c)`` sums to ``(..., k)`` figures.
    """
    sums = image_sums(images, *columns.T)
    drawn, measured = figures(_drawn(sums, resamples, seed)), figures(sums.sum(0))
    return [_interval(value, drawn[..., k], len(sums)) for k, value in enumerate(measured)]


def paired_interval(images: np.ndarray, part_a: np.ndarray, whole_a: np.ndarray, part_b: np.ndarray,
                    whole_b: np.ndarray, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """The interval of the difference A minus B of two ratios on the same expressions, images drawn for both together.

    Args: as of :func:`interval`, for A and B row by row.
    """
    sums = image_sums(images, part_a, whole_a, part_b, whole_b)
    sums = sums[(sums[:, 1] > 0) | (sums[:, 3] > 0)]
    return _interval(_difference(sums.sum(0)), _resampled(sums, resamples, seed), len(sums))


def image_sums(images: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """``(images, columns)`` the sum of each column by image, images in order.

    The addends of a sum are sorted by size, so that the order of the rows changes not even its last digit.
    """
    _, index = np.unique(images, return_inverse=True)
    return np.stack([_sums(index, np.asarray(column, float)) for column in columns], axis=1)


def _sums(index: np.ndarray, column: np.ndarray) -> np.ndarray:
    order = np.argsort(column, kind='stable')
    return np.bincount(index[order], column[order])


def _resampled(sums: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The figure in each resample: ``(resamples,)`` from ``(images, 2)`` or, as a difference, ``(images, 4)``."""
    drawn = _drawn(sums, resamples, seed)
    return _ratio(drawn) if sums.shape[1] == 2 else _difference(drawn)


def _drawn(sums: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The sums of each resample ``(resamples, columns)``; of no resample where there is one image only.

    The draws are those of ``scipy.stats.bootstrap`` with this seed. That function adds up each column of every resample
    by itself, which takes up to ten times as long as one product with how often each image was drawn.
    """
    images = len(sums)
    if images < 2:
        return np.empty((0, sums.shape[1]))
    rng = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // images)
    counts = (min(step, resamples - start) for start in range(0, resamples, step))
    return np.concatenate([_times_drawn(rng, images, count) @ sums for count in counts])


def _times_drawn(rng: np.random.Generator, images: int, count: int) -> np.ndarray:
    """``(count, images)`` how often each image is drawn in ``count`` draws of as many images as there are."""
    chosen = rng.integers(0, images, (count, images))
    chosen += np.arange(count)[:, None] * images
    return np.bincount(chosen.ravel(), minlength=count * images).reshape(count, images).astype(float)


def _ratio(sums: np.ndarray) -> np.ndarray:
    part, whole = sums[..., 0], sums[..., 1]
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def _difference(sums: np.ndarray) -> np.ndarray:
    return _ratio(sums[..., :2]) - _ratio(sums[..., 2:])


def _interval(estimate: np.ndarray, drawn: np.ndarray, images: int) -> Interval:
    """The interval between order statistics: as many left out at both ends, widened to contain the estimate."""
    drawn = np.sort(drawn[~np.isnan(drawn)])
    middle = float(estimate)
    if not len(drawn):
        return Interval(middle, math.nan, math.nan, images)
    left_out = int(len(drawn) * (1 - LEVEL) / 2)
    low, high = float(drawn[left_out]), float(drawn[len(drawn) - 1 - left_out])
    return Interval(middle, min(low, middle), max(high, middle), images)


def mcnemar(only_a: int, only_b: int) -> float:
    """McNemar's exact test: the probability of a division at least as uneven, if both sides were equally likely.

    Args:
        only_a: expressions that A alone gets right.
        only_b: expressions that B alone gets right.

    Returns:
        The two-sided p, 1 where they do not differ at all. It treats expressions as independent.
    """
    from scipy.stats import binomtest  # takes a second to import, which intervals alone do not need

    n = only_a + only_b
    return float(binomtest(only_a, n).pvalue) if n else 1.0


def swap_test(images: np.ndarray, part_a: np.ndarray, whole_a: np.ndarray, part_b: np.ndarray, whole_b: np.ndarray,
              draws: int = 1_999, seed: int = SEED) -> float:
    """Randomisation test of the difference of two ratios: each image exchanges its A and B with probability 1/2.

    ``scipy.stats.permutation_test`` tests the same, but permutes each image by itself, twenty times as slowly.

    Returns:
        The two-sided p: the share of exchanges that differ as much as what was measured, that itself included.
    """
    sums = image_sums(images, part_a, whole_a, part_b, whole_b)
    change = sums[:, 2:] - sums[:, :2]
    if not change.any():
        return 1.0
    change_sums, total = np.concatenate([change, -change], axis=1), sums.sum(0)
    measured = abs(_difference(total))
    if np.isnan(measured):
        return math.nan
    rng = np.random.default_rng(seed)
    step, extreme = max(1, _AT_ONCE // len(sums)), 0
    for start in range(0, draws, step):
        swapped = rng.integers(0, 2, (min(step, draws - start), len(sums)), np.int8).astype(float)
        extreme += int((np.abs(_difference(total + swapped @ change_sums)) >= measured - 1e-9).sum())
    return (1 + extreme) / (1 + draws)
