"""IoU as recall and as REC measure it, and the overlap of masks."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.boxes import best_iou, plain_iou, rec_iou, xywh_to_xyxy
from harness.metrics.mask_overlap import mask_overlap

corners = st.floats(-50, 50, allow_subnormal=False)
sides = st.floats(0.01, 80)
xywh = st.tuples(corners, corners, sides, sides)


def test_a_box_of_x_y_w_h_reaches_to_x_plus_w_and_y_plus_h():
    assert xywh_to_xyxy([[1, 2, 3, 4.5], [-5, 0, 0, 10]]).tolist() == [[1, 2, 4, 6.5], [-5, 0, -5, 10]]
    assert xywh_to_xyxy([]).shape == (0, 4)


class TestPlain:
    """Plain areas: a box of 10 by 10 is 100, and boxes that touch do not overlap."""

    @pytest.mark.parametrize('gold, box, expected', [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),
        ([0, 0, 10, 10], [0, 0, 10, 5], 0.5),
        ([0, 0, 10, 10], [5, 0, 15, 10], 50 / 150),
        ([0, 0, 10, 10], [9, 9, 11, 11], 1 / 103),
        ([0, 0, 10, 10], [10, 0, 20, 10], 0.0),
        ([0, 0, 10, 10], [20, 20, 30, 30], 0.0),
        ([0, 0, 10, 10], [5, 20, 15, 30], 0.0),
        ([-10, -10, 0, 0], [-5, -10, 5, 0], 50 / 150),
        ([3, 3, 3, 3], [3, 3, 3, 3], 0.0),
        ([0, 0, 1, 1], [0, 0, 0.5, 1], 0.5),
    ])
    def test_by_hand(self, gold, box, expected):
        assert plain_iou([gold], [box]).tolist() == [[expected]]

    def test_every_gold_box_with_every_box(self):
        gold, boxes = [[0, 0, 2, 2], [4, 4, 6, 6]], [[0, 0, 2, 1], [4, 4, 6, 6], [9, 9, 10, 10]]
        assert plain_iou(gold, boxes).tolist() == [[0.5, 0, 0], [0, 1, 0]]
        assert best_iou(gold, boxes).tolist() == [0.5, 1.0]

    def test_without_boxes_the_best_is_0_and_without_gold_there_is_none(self):
        assert best_iou([[0, 0, 2, 2]], []).tolist() == [0.0]
        assert best_iou([], [[0, 0, 2, 2]]).tolist() == []

    @given(xywh, xywh)
    def test_is_symmetric_and_between_0_and_1(self, first, second):
        first, second = xywh_to_xyxy([first]), xywh_to_xyxy([second])
        iou = plain_iou(first, second)[0, 0]
        assert iou == plain_iou(second, first)[0, 0]
        assert 0 <= iou <= 1 + 1e-12

    @given(xywh, st.lists(xywh, max_size=5), st.lists(xywh, max_size=5))
    def test_the_best_never_falls_with_more_boxes(self, gold, boxes, more):
        gold = xywh_to_xyxy([gold])
        assert best_iou(gold, xywh_to_xyxy(boxes + more)) >= best_iou(gold, xywh_to_xyxy(boxes))

    def test_digits_that_float32_would_lose(self):
        """0.5 exactly is no hit, and a 10^-12th more is one."""
        assert best_iou([[0, 0, 10, 10]], [[0, 0, 10, 5]])[0] == 0.5
        assert best_iou([[0, 0, 10, 10]], [[0, 0, 10, 5 + 1e-12]])[0] > 0.5


class TestRec:
    """Both end pixels count, areas are w·h, and an overlap of one pixel or less in either direction is 0."""

    @pytest.mark.parametrize('predicted, gold, expected', [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),
        ([0, 0, 10, 10], [0, 0, 10, 5], 0.5),
        ([0, 0, 10, 10], [8, 0, 10, 10], 20 / 180),
        ([0, 0, 10, 10], [9, 0, 10, 10], 0.0),
        ([0, 0, 10, 10], [10, 0, 10, 10], 0.0),
        ([0, 0, 1, 10], [0, 0, 1, 10], 0.0),
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0),
        ([0, 0, 2, 0], [0, 0, 2, 0], 0.0),
    ])
    def test_by_hand(self, predicted, gold, expected):
        assert rec_iou([predicted], [gold]).tolist() == [expected]

    def test_pair_by_pair(self):
        assert rec_iou([[0, 0, 4, 4], [0, 0, 4, 4]], [[0, 0, 4, 4], [9, 9, 4, 4]]).tolist() == [1.0, 0.0]
        assert rec_iou([], []).tolist() == []


def test_masks_overlap_in_pixels():
    """9 pixels and 6, of which 4 are in both."""
    from harness.data.masks import to_rle
    square = to_rle([[0, 0, 3, 0, 3, 3, 0, 3]], 5, 6)
    bar = to_rle([[1, 1, 4, 1, 4, 3, 1, 3]], 5, 6)
    assert mask_overlap(square, bar) == (4, 11)
    assert np.divide(*mask_overlap(square, square)) == 1
