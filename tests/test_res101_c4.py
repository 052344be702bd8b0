"""The originals' detector, part by part: anchors, deltas, suppression, sizes, masks and names, worked out by hand."""
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv.ops import batched_nms
from mmdet.registry import TASK_UTILS

from harness.data.coco_categories import COCO_CLASSES, COCO_IDS
from harness.detection.detector import detector_config, input_pipeline
from harness.detection.inclusive_boxes import InclusiveBoxCoder
from harness.detection.original_names import DROPPED, ORIGINAL_SHAPES, PAIRS, rename
from harness.detection.painted_masks import paint_masks
from harness.detection.resizing import FitShortSide
from harness.errors import InputError

CONFIG = detector_config('res101_c4')


def test_anchors_of_the_first_two_cells() -> None:
    """16 × 16 pixels at ratio 0.5 are 22.6 → 23 wide and 11.5 → 12 high, at ratio 2 11.3 → 11 and 22, then scaled.

    A side of n pixels around the centre 7.5 goes from 7.5 - (n - 1) / 2 to 7.5 + (n - 1) / 2.
    """
    anchors = TASK_UTILS.build(CONFIG.model.rpn_head.anchor_generator).grid_priors([(1, 2)], device='cpu')[0]
    first = [
        [-38, -16, 53, 31], [-84, -40, 99, 55], [-176, -88, 191, 103], [-360, -184, 375, 199],
        [-24, -24, 39, 39], [-56, -56, 71, 71], [-120, -120, 135, 135], [-248, -248, 263, 263],
        [-14, -36, 29, 51], [-36, -80, 51, 95], [-80, -168, 95, 183], [-168, -344, 183, 359],
    ]
    assert anchors[:12].tolist() == first
    assert torch.equal(anchors[12:], anchors[:12] + torch.tensor([16, 0, 16, 0])), 'the next cell to the right'


@pytest.mark.parametrize(('delta', 'expected'), [
    ((0, 0, 0, 0), (0, 0, 16, 16)),  # 16 pixels wide, around 8
    ((.5, -.25, 0, 0), (8, -4, 24, 12)),
    ((0, 0, math.log(2), -math.log(2)), (-8, 4, 24, 12)),
])
def test_deltas_are_of_inclusive_widths(delta: tuple[float, ...], expected: tuple[float, ...]) -> None:
    box = torch.tensor([[0., 0., 15., 15.]])
    assert torch.allclose(InclusiveBoxCoder().decode(box, torch.tensor([delta])), torch.tensor([expected]).float())


def test_class_deltas_are_scaled_down_and_many_classes_stand_side_by_side() -> None:
    coder = TASK_UTILS.build(CONFIG.model.roi_head.bbox_head.bbox_coder)
    deltas = torch.tensor([[5., 0, 0, 0, 0, 0, 5 * math.log(2), 0]])
    decoded = coder.decode(torch.tensor([[0., 0., 15., 15.]]), deltas)
    assert torch.allclose(decoded, torch.tensor([[8., 0, 24, 16, -8, 0, 24, 16]]))


def test_regions_are_cut_at_both_ends_and_class_boxes_at_the_near_one() -> None:
    box, to_the_right = torch.tensor([[0., 0., 15., 15.]]), torch.tensor([[6., 0, 0, 0]])
    size = (12, 50)
    regions = TASK_UTILS.build(CONFIG.model.rpn_head.bbox_coder)
    assert regions.decode(box, to_the_right, max_shape=size).tolist() == [[49, 0, 49, 11]]
    classes = TASK_UTILS.build(CONFIG.model.roi_head.bbox_head.bbox_coder)
    assert classes.decode(box, 10 * to_the_right, max_shape=size).tolist() == [[96, 0, 49, 11]]


def test_decoding_ends_one_pixel_after_what_was_encoded() -> None:
    coder = InclusiveBoxCoder((.1, .1, .2, .2))
    boxes, truth = torch.tensor([[0., 0., 15., 15.]]), torch.tensor([[8., 0., 39., 7.]])
    deltas = coder.encode(boxes, truth)
    assert torch.allclose(deltas, torch.tensor([[10., -2.5, 5 * math.log(2), -5 * math.log(2)]]))
    assert torch.allclose(coder.decode(boxes, deltas), truth + torch.tensor([0, 0, 1, 1]), atol=1e-5)


def test_suppression_counts_both_end_pixels() -> None:
    """4 × 4 and 4 × 3 pixels overlap by 12 / 16 > 0.7; as plain areas by 6 / 9 < 0.7."""
    boxes, scores = torch.tensor([[0., 0., 3., 3.], [0., 0., 3., 2.]]), torch.tensor([.9, .8])
    suppression = CONFIG.model.test_cfg.rpn.nms
    assert batched_nms(boxes, scores, torch.zeros(2).long(), suppression)[1].tolist() == [0]
    assert batched_nms(boxes, scores, torch.zeros(2).long(), {**suppression, 'offset': 0})[1].tolist() == [0, 1]


@pytest.mark.parametrize(('height', 'width', 'factor'), [
    (480, 640, 600 / 480),
    (640, 480, 600 / 480),
    (300, 1200, 1000 / 1200),
    (1199, 1999, 600 / 1199),  # the long side becomes 1000.3, which rounds to 1000
    (599, 999, 1000 / 999),  # the long side would become 1000.7
])
def test_the_short_side_becomes_600_unless_the_long_one_passes_1000(height: int, width: int, factor: float) -> None:
    assert FitShortSide(600, 1000).factor(height, width) == factor


@given(st.integers(20, 3000), st.integers(20, 3000))
def test_one_side_meets_its_mark_and_none_passes_it(height: int, width: int) -> None:
    factor = FitShortSide(600, 1000).factor(height, width)
    short, long = round(min(height, width) * factor), round(max(height, width) * factor)
    assert short <= 600 and long <= 1000 and (short == 600 or long == 1000)


def test_means_are_off_before_the_image_is_resized() -> None:
    ready = input_pipeline(CONFIG)(dict(img=np.full((30, 60, 3), 255, np.uint8)))
    assert ready['img_shape'] == ready['img'].shape[:2] == (500, 1000)
    assert ready['scale_factor'] == (1000 / 60, 1000 / 60)
    blue, green, red = 152.0199, 139.0535, 132.2283
    np.testing.assert_allclose(ready['img'], np.broadcast_to([blue, green, red], (500, 1000, 3)), atol=1e-3)


def test_an_image_that_would_vanish_is_refused() -> None:
    with pytest.raises(InputError, match='3000 × 1 pixels'):
        input_pipeline(CONFIG)(dict(img=np.zeros((1, 3000, 3), np.uint8)))


def test_masks_are_stretched_to_full_contrast_and_fill_their_pixels() -> None:
    halves = torch.full((14, 14), 0.2)
    halves[:, 7:] = 0.4  # below one half, but the highest that there is
    mask = paint_masks(halves[None], torch.tensor([[10., 20., 23., 33.]]), 40, 50)[0]
    assert mask[20:34, 17:24].all() and mask.sum() == 14 * 7


def test_a_flat_mask_is_empty() -> None:
    assert not paint_masks(torch.full((1, 14, 14), 0.9), torch.tensor([[1., 1., 9., 9.]]), 20, 20).any()


def test_boxes_are_clipped_to_the_image_and_lose_fractions() -> None:
    """In an image 40 wide -5 to 27.9 are the 28 pixels from 0; 30.2 to 100 are 8.8 + 1, so the 9 from 30; a box outside
    is the pixel at the edge. Two pixels a cell: the 14th is 6.25 / 13 of the way, 123 of 255, and the first over 122.
    """
    left_to_right = torch.linspace(0, 1, 14).expand(3, 14, 14)
    boxes = torch.tensor([[-5., 2., 27.9, 3.], [30.2, 2., 100., 3.], [60., 2., 90., 3.]])
    masks = paint_masks(left_to_right, boxes, 30, 40)
    columns = [mask.any(0).nonzero()[:, 0].tolist() for mask in masks]
    assert columns[0] == list(range(13, 28)) and columns[1] == list(range(34, 39)) and columns[2] == [39]
    assert all(mask.any(1).nonzero()[:, 0].tolist() == [2, 3] for mask in masks)


def test_classes_are_coco_s_in_the_order_of_their_ids() -> None:
    assert len(set(COCO_CLASSES)) == 80 and COCO_CLASSES[0] == 'person' and COCO_CLASSES[79] == 'toothbrush'
    known = {'person': 1, 'fire hydrant': 11, 'stop sign': 13, 'toothbrush': 90}
    assert known.items() <= COCO_IDS.items()
    assert list(COCO_IDS.values()) == sorted(COCO_IDS.values())


def original(**given: torch.Tensor) -> dict[str, torch.Tensor]:
    """A state dict of the original's shapes without numbers, but for those given."""
    return {**{name: torch.empty(shape, device='meta') for name, shape in ORIGINAL_SHAPES.items()}, **given}


def test_every_name_has_one_place_or_is_dropped_by_name() -> None:
    assert DROPPED == ('resnet.fc.weight', 'resnet.fc.bias')
    assert {name for name, _ in PAIRS} == ORIGINAL_SHAPES.keys() - set(DROPPED)
    assert len({ours for _, ours in PAIRS}) == len(PAIRS)
    assert list(rename(original())) == [ours for _, ours in PAIRS]


def test_rows_change_places_with_the_classes() -> None:
    renamed = rename(original(**{
        'cls_score_net.bias': torch.arange(81), 'bbox_pred_net.bias': torch.arange(324),
        'mask_pred_net.bias': torch.arange(81), 'rpn_cls_score_net.bias': torch.arange(24)}))
    assert renamed['roi_head.bbox_head.fc_cls.bias'].tolist() == [*range(1, 81), 0], 'the background goes last'
    assert renamed['roi_head.bbox_head.fc_reg.bias'].tolist() == list(range(4, 324)), 'it has no box'
    assert renamed['roi_head.mask_head.conv_logits.bias'].tolist() == list(range(1, 81)), 'and no mask'
    pairs = renamed['rpn_head.rpn_cls.bias'].reshape(12, 2).tolist()
    assert pairs == [[12 + anchor, anchor] for anchor in range(12)], 'foreground, background, anchor by anchor'


def test_counters_and_the_classifier_may_be_absent() -> None:
    lacking = {n: t for n, t in original().items() if not n.endswith('num_batches_tracked') and 'resnet.fc' not in n}
    assert list(rename(lacking)) == [ours for _, ours in PAIRS if not ours.endswith('num_batches_tracked')]


def test_whatever_does_not_fit_is_listed() -> None:
    state = original(**{'rpn_net.weight': torch.empty(512, 1024, 1, 1), 'mask_net.weight': torch.empty(1)})
    del state['cls_score_net.bias'], state['resnet.layer3.22.conv3.weight']
    with pytest.raises(InputError) as error:
        rename(state)
    for part in ('cls_score_net.bias is missing', 'resnet.layer3.22.conv3.weight is missing',
                 'mask_net.weight is not part of this network',
                 'rpn_net.weight is (512, 1024, 1, 1), not (512, 1024, 3, 3)'):
        assert part in str(error.value)
    assert '\n' not in str(error.value)
