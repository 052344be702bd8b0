"""Location features and context slots, worked out by hand."""
import functools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.modular.place_features import gather_context, last_pixel_corners, place_features
from harness.boxes import xyxy_to_xywh


def test_lfeats_of_one_box_count_the_last_pixel_inside():
    got = place_features(torch.tensor([[10., 20., 30., 40.]]), torch.tensor([1]), (100, 200))
    torch.testing.assert_close(got.lfeats, torch.tensor([[.1, .1, .39, .295, 1200 / 20000]]))
    assert (got.cxt_index == -1).all()
    assert (got.dif_lfeats == 0).all() and (got.cxt_lfeats == 0).all()


def test_a_neighbour_is_seen_from_the_centre_in_units_of_the_box():
    boxes = torch.tensor([[0., 0., 10., 20.], [15., 10., 20., 10.]])
    got = place_features(boxes, torch.tensor([1, 1]), (100, 100))
    # Centre (5, 10): corners 10, 0, 30, 10 away, over 10 and 20; areas 200 and 200.
    torch.testing.assert_close(got.dif_lfeats[0, :5], torch.tensor([1., 0., 3., .5, 1.]))
    assert (got.dif_lfeats[0, 5:] == 0).all()


def row(*xs):
    """Unit boxes on one line."""
    return torch.tensor([[float(x), 0., 1., 1.] for x in xs])


def test_context_takes_other_categories_by_distance_and_then_the_same():
    categories = torch.tensor([7, 7, 8, 7, 9])
    got = place_features(row(0, 1, 9, 3, 5), categories, (10, 1))
    assert got.cxt_index[0].tolist() == [4, 2, 1, 3, -1]
    without = place_features(row(0, 1, 9, 3, 5), categories, (10, 1), with_same_category=False)
    assert without.cxt_index[0].tolist() == [4, 2, -1, -1, -1]
    assert torch.equal(got.dif_lfeats, without.dif_lfeats)


def test_five_slots_at_most():
    got = place_features(row(0, 1, 2, 3, 4, 5, 6), torch.arange(7), (10, 1))
    assert got.cxt_index[0].tolist() == [1, 2, 3, 4, 5]


def test_of_equally_near_boxes_the_later_comes_first():
    got = place_features(row(5, 4, 6, 4), torch.tensor([0, 1, 2, 3]), (10, 1))
    assert got.cxt_index[0].tolist() == [3, 2, 1, -1, -1]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=90))
def test_ties_come_as_from_a_sort_whose_comparison_says_before_for_equals(xs):
    order = sorted(range(len(xs)), key=functools.cmp_to_key(lambda a, b: -1 if abs(xs[a]) <= abs(xs[b]) else 1))
    expected = [i + 1 for i in order][:5]
    got = place_features(row(0, *xs), torch.tensor([0, *[1] * len(xs)]), (10, 1)).cxt_index[0].tolist()
    assert got == expected + [-1] * (5 - len(expected))


def test_absent_boxes_are_nobodys_neighbours():
    present = torch.tensor([True, False, True])
    got = place_features(row(0, 1, 2), torch.tensor([1, 2, 3]), (10, 1), present=present)
    assert got.cxt_index[0].tolist() == [2, -1, -1, -1, -1]


def test_batches_know_nothing_of_each_other():
    one, two = row(0, 1, 2), row(5, 1, 3)
    categories = torch.tensor([[1, 2, 1], [3, 3, 3]])
    both = place_features(torch.stack([one, two]), categories, (10, 1))
    for i, boxes in enumerate((one, two)):
        alone = place_features(boxes, categories[i], (10, 1))
        assert all(torch.equal(a[i], b) for a, b in zip(both, alone, strict=True))


def test_no_boxes_at_all():
    got = place_features(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), (10, 10))
    assert [tuple(x.shape) for x in got] == [(0, 5), (0, 25), (0, 5, 5), (0, 5)]


def test_a_box_without_width_gives_finite_numbers():
    got = place_features(torch.tensor([[0., 0., 0., 2.], [3., 0., 1., 1.]]), torch.tensor([1, 1]), (10, 10))
    assert all(x.isfinite().all() for x in got)


def test_empty_slots_gather_zeros():
    fc7 = torch.tensor([[1., 2.], [3., 4.]])
    assert gather_context(fc7, torch.tensor([[1, -1], [-1, 0]])).tolist() == [[[3, 4], [0, 0]], [[0, 0], [1, 2]]]


def test_corners():
    boxes = torch.tensor([[1., 2., 4., 8.]])
    assert xyxy_to_xywh(boxes).tolist() == [[1, 2, 3, 6]]
    assert last_pixel_corners(boxes).tolist() == [[1, 2, 3, 7]]
