"""Intervals by drawing images again, and exact paired tests."""
from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from reports.statistics.intervals import (
    FEWEST_IMAGES,
    RESAMPLES,
    Interval,
    image_sums,
    interval,
    mcnemar,
    paired_interval,
    swap_test,
)

ROW = st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
ROWS = st.lists(ROW, min_size=1, max_size=40)
few = settings(max_examples=25, deadline=None)


def columns(rows: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, ...]:
    """Images, intersections and unions of A and of B."""
    images, union, a, b = np.array(rows).T
    return images, np.minimum(a, union), union, np.minimum(b, union), union


def test_sums_are_by_image() -> None:
    sums = image_sums(np.array([7, 3, 7]), np.array([1., 2, 4]), np.array([1, 1, 1]))
    assert sums.tolist() == [[2, 1], [5, 2]]


def test_overall_iou_is_a_ratio_of_sums_and_not_a_mean_of_ratios() -> None:
    images, intersection, union = np.arange(3), np.array([90., 0, 0]), np.array([100., 10, 10])
    assert interval(images, intersection, union).estimate == 0.75


def test_an_interval_is_as_wide_as_theory_says() -> None:
    """A mean of 0 and 1 in 400 images: 1.96 times the root of p (1 - p) / 400, and no wider with repeated rows."""
    images, right = np.arange(400), (np.arange(400) < 120).astype(float)
    expected = 1.96 * math.sqrt(0.3 * 0.7 / 400)
    once = interval(images, right, np.ones(400))
    repeated = interval(images.repeat(5), right.repeat(5), np.ones(2000))
    for found in (once, repeated):
        assert found.estimate == pytest.approx(0.3) and found.images == 400
        assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.1)
    assert once == repeated, 'five expressions of one image, all alike, tell no more than one'


def test_a_paired_difference_is_surer_than_two_figures_apart() -> None:
    images, whole = np.arange(200), np.ones(200)
    a = (np.arange(200) % 2).astype(float)
    b = np.where(np.arange(200) < 10, 1, a)
    found = paired_interval(images, b, whole, a, whole)
    alone = interval(images, a, whole)
    assert found.estimate == pytest.approx(0.025) and 0 < found.low < found.high < 0.06
    assert alone.high - alone.low > 0.1


@few
@given(ROWS)
def test_an_interval_contains_its_estimate(rows: list) -> None:
    images, a, whole, b, _ = columns(rows)
    for found in (interval(images, a, whole), paired_interval(images, a, whole, b, whole)):
        seen = len(set(images[whole > 0]))
        assert found.images == seen
        if seen > 1:
            assert found.low <= found.estimate <= found.high
        else:
            assert math.isnan(found.low) and math.isnan(found.high), 'one image tells nothing'
        assert found.too_small, 'up to six images are too few'


@few
@given(ROWS, st.randoms())
def test_the_order_of_rows_changes_nothing(rows: list, random: object) -> None:
    before = columns(rows)
    random.shuffle(rows)  # type: ignore[attr-defined]
    after = columns(rows)
    thirds = [(c[0], c[1] / 3, c[2] / 3, c[3] / 3, c[4] / 3) for c in (before, after)]
    assert str(paired_interval(*thirds[0])) == str(paired_interval(*thirds[1]))
    assert str(swap_test(*thirds[0])) == str(swap_test(*thirds[1]))


@few
@given(ROWS)
def test_swapping_a_and_b_turns_the_sign(rows: list) -> None:
    images, a, whole, b, _ = columns(rows)
    one, other = (paired_interval(images, x, whole, y, whole) for x, y in ((a, b), (b, a)))
    mirrored = Interval(-other.estimate, -other.high, -other.low, other.images)
    assert np.allclose(one, mirrored, equal_nan=True)
    assert np.allclose(swap_test(images, a, whole, b, whole), swap_test(images, b, whole, a, whole), equal_nan=True)


def test_the_seed_decides() -> None:
    images, part, whole = np.arange(50), np.arange(50.), np.ones(50)
    assert interval(images, part, whole) == interval(images, part, whole) != interval(images, part, whole, seed=1)


def test_images_are_drawn_as_scipy_s_bootstrap_draws_pairs() -> None:
    rng = np.random.default_rng(3)
    images, part, whole = np.arange(200), rng.integers(0, 50, 200), rng.integers(50, 90, 200)
    expected = bootstrap((part, whole), lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True,
                         n_resamples=RESAMPLES, method='percentile', rng=0)
    found = interval(images.repeat(2), part.repeat(2), whole.repeat(2))
    in_order = np.sort(expected.bootstrap_distribution)
    assert (found.low, found.high) == (in_order[50], in_order[-51])
    assert np.allclose((found.low, found.high), expected.confidence_interval, atol=1e-4)


def test_many_images_are_drawn_in_pieces_and_enough_are_not_too_few() -> None:
    images = np.arange(30_000)
    found = interval(images, np.ones(30_000), np.full(30_000, 2.), resamples=300)
    assert found == (0.5, 0.5, 0.5, 30_000) and not found.too_small
    assert interval(images[:FEWEST_IMAGES - 1], np.ones(29), np.ones(29)).too_small


def test_mcnemar_is_the_two_sided_sign_test() -> None:
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1
    assert mcnemar(0, 5) == mcnemar(5, 0) == 2 / 32
    assert mcnemar(2, 8) == pytest.approx(0.109375)


@given(st.integers(0, 5), st.integers(0, 5))
def test_mcnemar_counts_all_ways_to_divide(a: int, b: int) -> None:
    ways = [abs(2 * sum(way) - (a + b)) >= abs(a - b) for way in product((0, 1), repeat=a + b)]
    assert mcnemar(a, b) == pytest.approx(sum(ways) / len(ways))


def test_mcnemar_is_exact_for_any_number() -> None:
    assert mcnemar(24_900, 25_100) == pytest.approx(math.erfc(199 / math.sqrt(2 * 50_000)), rel=1e-3)
    assert mcnemar(0, 3_000) == 0, 'less than a double can hold'


def test_exchanging_images_finds_a_difference_and_none_where_there_is_none() -> None:
    images, union = np.arange(20), np.full(20, 10.)
    better, worse = np.full(20, 8.), np.full(20, 6.)
    assert swap_test(images, better, union, worse, union) == 1 / 2000
    assert swap_test(images, better, union, better, union) == 1
    mixed = np.where(images % 2, better, worse)
    assert swap_test(images, mixed, union, mixed[::-1].copy(), union) > 0.9


def test_exchanging_two_images_has_four_ways() -> None:
    """Differences of 2 and 1 add up to 3, 1, -1 or -3: half of the ways are as extreme as 3."""
    found = swap_test(np.array([1, 2]), np.array([3., 2]), np.ones(2), np.ones(2), np.ones(2))
    assert found == pytest.approx(0.5, abs=0.04)
