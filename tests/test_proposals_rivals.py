"""The rules that could explain Ref-NMS's gain away, on boxes worked out by hand; the laws that they obey."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.ops import soft_nms

from harness.boxes import best_iou, xywh_to_xyxy
from harness.errors import InputError
from harness.proposals.category_name import CategoryName
from harness.proposals.class_agnostic import ClassAgnostic
from harness.proposals.confidence import Confidence
from harness.proposals.greedy import Greedy, Greedy100
from harness.proposals.greedy_top_n import GreedyTopN
from harness.proposals.nms import class_wise_nms
from harness.proposals.oracle import Oracle
from harness.proposals.soft_nms import SoftNMS
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures, ImageInfo
from harness.words.vectors import WordVectors

CLASSES = ('cup', 'dog')
RULES = {'greedy-top-n': GreedyTopN, 'soft-nms': SoftNMS, 'class-agnostic': ClassAgnostic, 'confidence': Confidence,
         'category-name': CategoryName, 'oracle': Oracle}

WHOLE, THIRD, HALF, FAR = [0., 0, 9, 9], [0., 0, 2, 9], [0., 0, 4, 9], [50., 50, 59, 59]  # 100, 30, 50 and 100 pixels


def image(boxes, scores):
    """``boxes`` ``(R, 4)`` or ``(R, 2, 4)``, ``scores`` ``(R, 2)``: a cup and a dog a region."""
    boxes = torch.as_tensor(boxes, dtype=torch.float32)
    if boxes.dim() == 2:
        boxes = boxes[:, None].expand(-1, 2, -1)
    scores = torch.as_tensor(scores, dtype=torch.float32).reshape(-1, 2)
    return ImageFeatures(ImageInfo(7, 480, 640), 1.0, None, boxes, scores, CLASSES, None)


def expression(sent='left cup', gt_xywh=(0, 0, 9, 9), sent_id=0):
    return Expression('mini', 'val', 7, sent_id, sent, tuple(sent.split()), gt_xywh)


def shown(proposals):
    """Boxes' right edges, labels and scores."""
    return [(int(b[2]), int(label), round(float(s), 4))
            for b, label, s in zip(proposals.bboxes, proposals.labels, proposals.scores, strict=True)]


def test_the_rules_are_found_by_name():
    assert {name: PROPOSAL_RULES.get(name) for name in RULES} == RULES


# ---------------------------------------------------------------------------------------------- the cut

def test_without_threshold_and_number_there_are_eight_proposals():
    many = image([[20 * i, 0, 20 * i + 9, 9] for i in range(12)], [[0.5, 0]] * 12)
    for rule in RULES.values():
        assert len(rule()(many, [expression()])[0]) == 8
        assert len(rule(top=3)(many, [expression()])[0]) == 3
        assert len(rule(threshold=0.4)(many, [expression()])[0]) == 12
        assert len(rule(threshold=0.4, top=3)(many, [expression()])[0]) == 3
        assert len(rule(threshold=5)(many, [expression()])[0]) == 1, 'the best one stays'


def test_without_regions_there_is_nothing_to_propose():
    for rule in RULES.values():
        proposals, again = rule()(image(torch.zeros(0, 2, 4), []), [expression(), expression(sent_id=1)])
        assert proposals.bboxes.shape == again.bboxes.shape == (0, 4)


@pytest.mark.parametrize('options, said', [
    (dict(top=0), 'soft-nms.top=0'), (dict(top=2.5), 'soft-nms.top=2.5'), (dict(threshold='high'), 'threshold=high'),
    (dict(method='cubic'), 'method=cubic: must be \'linear\' or \'gaussian\''), (dict(sigma=0), 'sigma=0'),
    (dict(nms_iou=1.5), 'nms_iou=1.5: must be less than or equal to 1'), (dict(delta=float('nan')), 'delta=nan'),
])
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(InputError, match=said.replace('.', r'\.')):
        SoftNMS(**options)


def test_confidences_that_are_not_numbers_are_refused():
    for rule in RULES.values():
        with pytest.raises(InputError, match='image 7: .*not numbers'):
            rule()(image([WHOLE], [[float('nan'), 0.9]]), [expression()])


# ---------------------------------------------------------------------------------------------- by confidence

def test_confidence_suppresses_over_0_3_of_plain_areas():
    # Plain areas: 81, 18 and 36, so IoUs of 0.22 and 0.44 with the whole. (Inclusive ones are 0.3 and 0.5.)
    boxes = image([WHOLE, THIRD, HALF], [[0.9, 0], [0.8, 0], [0.7, 0]])
    assert shown(*Confidence()(boxes, [expression()])) == [(9, 0, 0.9), (2, 0, 0.8)]
    assert shown(*GreedyTopN()(boxes, [expression()]))[0] == (9, 0, 0.9)
    assert (2, 0, 0.8) not in shown(*GreedyTopN()(boxes, [expression()])), 'greedy suppresses at 0.3'


def test_greedy_top_n_takes_boxes_of_any_confidence():
    boxes = image([WHOLE, FAR], [[0.9, 0.001], [0.02, 0.001]])
    assert shown(*GreedyTopN(top=2)(boxes, [expression()])) == [(9, 0, 0.9), (59, 0, 0.02)]


def test_class_agnostic_leaves_one_label_on_a_thing():
    boxes = image([WHOLE, FAR], [[0.9, 0.8], [0.3, 0.7]])
    assert shown(*ClassAgnostic()(boxes, [expression()])) == [(9, 0, 0.9), (59, 1, 0.7)]
    assert len(Confidence()(boxes, [expression()])[0]) == 4


# ---------------------------------------------------------------------------------------------- Soft-NMS

def test_linear_soft_nms_takes_off_the_overlap_from_0_3_on():
    # WHOLE overlaps THIRD by 0.3, 0.8 · 0.7 = 0.56, and HALF by 0.5, 0.7 · 0.5 = 0.35. Now THIRD is better, and
    # overlaps HALF by 0.6: 0.35 · 0.4 = 0.14. The dog at WHOLE's place is of another class.
    boxes = image([WHOLE, THIRD, HALF], [[0.9, 0.1], [0.8, 0], [0.7, 0]])
    assert shown(*SoftNMS()(boxes, [expression()])) == [(9, 0, 0.9), (2, 0, 0.56), (4, 0, 0.14), (9, 1, 0.1)]
    assert SoftNMS()(boxes, [expression()])[0].det_scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.1])


def test_gaussian_soft_nms_takes_off_by_the_square_of_the_overlap():
    boxes = image([WHOLE, HALF], [[0.9, 0], [0.7, 0]])
    proposals, = SoftNMS(method='gaussian', sigma=0.5)(boxes, [expression()])
    assert proposals.scores.tolist() == pytest.approx([0.9, 0.7 * np.exp(-0.25 / 0.5)])


@pytest.mark.parametrize('options, left', [({}, 0.25), (dict(method='gaussian'), 0.5 * np.exp(-0.5))])
def test_among_equal_scores_the_earlier_box_is_taken_whatever_was_taken_before(options, left):
    for first, second in ((WHOLE, HALF), (HALF, WHOLE)):
        boxes = image([first, second, FAR], [[0.5, 0], [0.5, 0], [0.9, 0]])
        assert shown(*SoftNMS(**options)(boxes, [expression()])) == [
            (59, 0, 0.9), (int(first[2]), 0, 0.5), (int(second[2]), 0, round(left, 4))]


@pytest.mark.parametrize('method', ['linear', 'gaussian'])
@pytest.mark.parametrize('seed', range(5))
def test_where_no_scores_are_equal_soft_nms_is_mmcv_s(method, seed):
    generator = torch.Generator().manual_seed(seed)
    corners = 30 * torch.rand(80, 2, generator=generator)
    boxes = torch.cat((corners, corners + 5 + 60 * torch.rand(80, 2, generator=generator)), dim=1)
    scores = 0.06 + 0.9 * torch.rand(80, generator=generator)
    rule = SoftNMS(method=method, sigma=0.1, **ANYTHING)
    ours, = rule(image(boxes, torch.stack((scores, torch.zeros(80)), dim=1)), [expression()])
    theirs, index = soft_nms(boxes, scores, 0.3, 0.1, 1e-3, method, offset=1)
    assert torch.equal(ours.index, index) and len(index) < 80
    torch.testing.assert_close(ours.scores, theirs[:, 4], rtol=0 if method == 'linear' else 1e-6, atol=0)


def test_linear_and_gaussian_do_not_share_a_ranking():
    boxes = image([WHOLE, HALF], [[0.9, 0], [0.7, 0]])
    linear, gaussian = SoftNMS()(boxes, [expression()]), SoftNMS(method='gaussian')(boxes, [expression()])
    assert linear[0].scores[1] != gaussian[0].scores[1]


# ---------------------------------------------------------------------------------------------- category names

VECTORS = WordVectors('by hand', ('cup', 'mug', 'dog', 'man'), torch.tensor(
    [[1., 0, 0], [0.8, 0.6, 0], [0, 0, 1], [0, 1, 0]]), gamma=0.7)
CUP_AND_DOG = ([WHOLE, FAR], [[0.5, 0.1], [0.2, 0.9]])


@pytest.mark.parametrize('sent, proposed', [
    ('red mug', [(9, 0, 0.5), (59, 0, 0.2)]),  # 0.8 of a cup
    ('the dog', [(59, 1, 0.9), (9, 1, 0.1)]),
    ('dog by the cup', [(59, 1, 0.9), (9, 0, 0.5), (59, 0, 0.2), (9, 1, 0.1)]),
    ('man on the left', [(59, 1, 0.9), (9, 0, 0.5), (59, 0, 0.2), (9, 1, 0.1)]),  # nothing is named
    ('giraffe', [(59, 1, 0.9), (9, 0, 0.5), (59, 0, 0.2), (9, 1, 0.1)]),  # no vector
    ('', [(59, 1, 0.9), (9, 0, 0.5), (59, 0, 0.2), (9, 1, 0.1)]),
])
def test_boxes_of_named_classes_are_proposed_and_all_where_none_is_named(sent, proposed):
    assert shown(*CategoryName(vectors=VECTORS)(image(*CUP_AND_DOG), [expression(sent)])) == proposed


def test_all_boxes_are_proposed_where_the_named_class_has_none():
    only_a_dog = image([WHOLE], [[0.01, 0.9]])
    assert shown(*CategoryName(vectors=VECTORS)(only_a_dog, [expression('cup')])) == [(9, 1, 0.9)]


def test_other_classes_may_lose_confidence_instead():
    proposals, = CategoryName(vectors=VECTORS, others=0.5)(image(*CUP_AND_DOG), [expression('cup')])
    assert shown(proposals) == [(9, 0, 0.5), (59, 1, 0.45), (59, 0, 0.2), (9, 1, 0.05)]


def test_gamma_can_be_set():
    assert len(CategoryName(vectors=VECTORS, gamma=0.9)(image(*CUP_AND_DOG), [expression('mug')])[0]) == 4


def test_each_expression_has_its_own_proposals():
    first, second = CategoryName(vectors=VECTORS)(image(*CUP_AND_DOG), [expression('cup'), expression('dog')])
    assert set(first.labels.tolist()) == {0} and set(second.labels.tolist()) == {1}


# ---------------------------------------------------------------------------------------------- the oracle

def test_the_oracle_puts_the_best_box_first_and_suppresses_its_neighbours():
    boxes = image([WHOLE, HALF, FAR], [[0.9, 0], [0.3, 0], [0.6, 0]])
    proposals, = Oracle()(boxes, [expression(gt_xywh=(0, 0, 4, 9))])
    assert shown(proposals) == [(4, 0, 1.3), (59, 0, 0.6)]
    proposals, = Oracle()(boxes, [expression(gt_xywh=(50, 50, 9, 9))])
    assert shown(proposals) == [(59, 0, 1.6), (9, 0, 0.9)]


def test_the_oracle_prefers_a_label_that_the_detector_believes():
    boxes = torch.tensor([[WHOLE, [0., 0, 9, 8]]])
    assert shown(Oracle()(image(boxes, [[0.01, 0.8]]), [expression()])[0])[0] == (9, 1, 1.8)
    missed = torch.tensor([[WHOLE, FAR]])
    assert shown(Oracle()(image(missed, [[0.01, 0.8]]), [expression()])[0])[0] == (9, 0, 1.01), 'but a hit first'


# ---------------------------------------------------------------------------------------------- laws

corners = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20))
confidence = st.integers(1, 999).map(lambda n: n / 1000)
scenes = st.lists(st.tuples(corners, confidence, confidence), min_size=1, max_size=8).map(
    lambda rows: image([[x, y, x + w, y + h] for (x, y, w, h), _, _ in rows], [[a, b] for _, a, b in rows]))
ANYTHING = dict(threshold=-1.)


def recall_hits(proposals, top, referent):
    return best_iou(xywh_to_xyxy([referent]), proposals.bboxes[:top].double().numpy())[0] > 0.5


@settings(deadline=None, max_examples=25)
@given(scenes)
def test_suppressing_again_changes_nothing(scene):
    for rule, options in ((Confidence, {}), (ClassAgnostic, dict(offset=1, suppress_equal=True))):
        proposals, = rule(**ANYTHING)(scene, [expression()])
        labels = proposals.labels * (rule is Confidence)
        assert bool(class_wise_nms(proposals.bboxes, labels, proposals.scores, 0.3, **options).all())


@settings(deadline=None, max_examples=25)
@given(scenes)
def test_class_agnostic_boxes_are_those_of_greedy_if_there_were_one_class(scene):
    for_all, = ClassAgnostic(delta=0., **ANYTHING)(scene, [expression()])
    alike = replace(scene, class_boxes=scene.class_boxes.transpose(0, 1).reshape(-1, 1, 4),
                    class_scores=scene.class_scores.T.reshape(-1, 1), classes=('thing',))
    one_class, = GreedyTopN(**ANYTHING)(alike, [expression()])
    assert torch.equal(for_all.bboxes, one_class.bboxes) and torch.equal(for_all.scores, one_class.scores)


@settings(deadline=None, max_examples=25)
@given(scenes)
def test_gaussian_soft_nms_of_a_tiny_sigma_is_nms_at_any_overlap(scene):
    soft, = SoftNMS(method='gaussian', sigma=1e-9, delta=0., **ANYTHING)(scene, [expression()])
    assert shown(soft) == shown(Greedy100(nms_iou=1e-6).propose(scene))


@settings(deadline=None, max_examples=25)
@given(scenes)
def test_soft_nms_where_only_full_overlap_counts_keeps_every_different_candidate(scene):
    soft, = SoftNMS(nms_iou=1., delta=0., **ANYTHING)(scene, [expression()])
    assert torch.equal(soft.scores, soft.det_scores)
    labels = torch.arange(2).expand(scene.class_scores.shape)
    different = torch.cat((scene.class_boxes, labels[..., None]), dim=2).flatten(0, 1).unique(dim=0)
    assert len(soft) == len(different)


@settings(deadline=None, max_examples=25)
@given(scenes)
def test_soft_nms_only_ever_takes_confidence_off(scene):
    for method in ('linear', 'gaussian'):
        soft, = SoftNMS(method=method, **ANYTHING)(scene, [expression()])
        assert bool((soft.scores <= soft.det_scores).all())
        assert soft.scores[0] == soft.det_scores.max(), 'the most confident box loses nothing'


@settings(deadline=None, max_examples=25)
@given(scenes, corners, st.integers(1, 5))
def test_no_rule_finds_a_referent_that_the_oracle_does_not(scene, referent, top):
    asked = [expression('cup', referent)]
    oracle = recall_hits(Oracle(top=top)(scene, asked)[0], top, referent)
    rivals = [GreedyTopN(top=top), SoftNMS(top=top), ClassAgnostic(top=top), Confidence(top=top),
              CategoryName(top=top, vectors=VECTORS), Greedy()]
    assert oracle >= max(recall_hits(rule(scene, asked)[0], top, referent) for rule in rivals)


@settings(deadline=None, max_examples=25)
@given(scenes, st.lists(confidence, min_size=2, max_size=2).map(sorted))
def test_a_higher_threshold_proposes_the_first_of_the_same_boxes(scene, thresholds):
    for rule in (GreedyTopN, SoftNMS, ClassAgnostic, Confidence, Oracle):
        more, fewer = (rule(threshold=t)(scene, [expression()])[0] for t in thresholds)
        assert shown(more)[:len(fewer)] == shown(fewer)
