"""What holds for boxes as arrays and as tensors, beside what :mod:`tests.test_metrics_iou` works out by hand."""
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.boxes import (
    annotated_iou,
    corners,
    corners_to_last_pixel,
    iou,
    pairwise_iou,
    plain_iou,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

places, sides = st.floats(-50, 50, allow_subnormal=False), st.floats(0.01, 80)
lists = st.lists(st.tuples(places, places, sides, sides), min_size=1, max_size=5).map(np.array)


@given(lists, lists)
def test_arrays_and_tensors_agree_to_the_last_bit(first: np.ndarray, second: np.ndarray) -> None:
    a, b = xywh_to_xyxy(first), xywh_to_xyxy(second)
    assert xywh_to_xyxy(torch.from_numpy(first)).tolist() == a.tolist() == [list(corners(box)) for box in first]
    assert xyxy_to_xywh(torch.from_numpy(a)).tolist() == xyxy_to_xywh(a).tolist()
    assert pairwise_iou(torch.from_numpy(a), torch.from_numpy(b)).tolist() == plain_iou(a, b).tolist()
    assert iou(a[:, None], b).tolist() == plain_iou(a, b).tolist()


@given(lists, lists)
def test_annotated_boxes_share_what_their_corners_do_but_for_rounding(first: np.ndarray, second: np.ndarray) -> None:
    pairs = plain_iou(xywh_to_xyxy(first[:1]), xywh_to_xyxy(second[:1]))
    assert annotated_iou(first[0], second[0]) == pytest.approx(pairs[0, 0], abs=1e-9)


def test_tensors_keep_their_leading_dimensions() -> None:
    boxes = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    assert xywh_to_xyxy(boxes).shape == xyxy_to_xywh(boxes).shape == (2, 3, 4)
    assert xywh_to_xyxy(boxes).dtype == torch.float64


def test_side_by_side_in_their_own_precision() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 4], [10, 0, 12, 9]], np.float32)
    assert iou(boxes[0], boxes, offset=1).tolist() == [1, 0.5, 0]
    assert iou(boxes[0], boxes).dtype == np.float32


def test_boxes_without_an_area_have_no_iou_but_count_as_0_for_recall() -> None:
    point = torch.tensor([[3., 3., 3., 3.]])
    assert pairwise_iou(point, point).isnan().all()
    assert plain_iou(point, point).tolist() == [[0]]


def test_the_last_pixel_of_an_annotated_box_is_pooled() -> None:
    boxes = torch.tensor([[1., 2., 3., 4.]])
    assert corners_to_last_pixel(boxes).tolist() == [[1, 2, 3, 5]]
    assert boxes.tolist() == [[1, 2, 3, 4]]
