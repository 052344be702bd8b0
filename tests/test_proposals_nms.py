"""Greedy NMS: worked cases, and its laws against the definition spelt out box by box."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.boxes import pairwise_iou
from harness.proposals.nms import class_wise_nms


def keep(boxes, scores, threshold=0.3, labels=None, **options):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.zeros(len(boxes), dtype=torch.int64) if labels is None else torch.tensor(labels)
    return class_wise_nms(boxes, labels, torch.tensor(scores), threshold, **options).nonzero()[:, 0].tolist()


def by_definition(boxes, labels, scores, threshold, offset, suppress_equal):
    def area(x1, y1, x2, y2):
        return (x2 - x1 + offset) * (y2 - y1 + offset)

    def iou(a, b):
        width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + offset) for i in (0, 1))
        overlap = width * height
        return overlap / (area(*a) + area(*b) - overlap)

    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        rivals = [iou(boxes[i], boxes[j]) for j in kept if labels[i] == labels[j]]
        if not any(r > threshold or (suppress_equal and r == threshold) for r in rivals):
            kept.append(i)
    return sorted(kept)


# Ten pixels of 0..20 by 0..10; moved by d, two 10 × 10 boxes have an IoU of (10 - d) / (10 + d).
def test_a_box_that_overlaps_a_better_one_by_more_than_the_threshold_goes():
    assert keep([[0, 0, 10, 10], [5, 0, 15, 10]], [0.9, 0.8]) == [0]  # 5 / 15
    assert keep([[0, 0, 10, 10], [6, 0, 16, 10]], [0.9, 0.8]) == [0, 1]  # 4 / 16
    assert keep([[0, 0, 10, 10], [5, 0, 15, 10]], [0.8, 0.9]) == [1]


def test_exactly_at_the_threshold_it_stays_unless_equal_suppresses():
    boxes = [[0, 0, 10, 10], [0, 0, 3, 10]]  # 30 / 100, and 0.3 is no binary fraction
    assert keep(boxes, [0.9, 0.8], 0.3) == [0, 1]
    assert keep(boxes, [0.9, 0.8], 0.3, suppress_equal=True) == [0]


def test_inclusive_pixels_count_both_ends():
    boxes = [[0, 0, 9, 9], [9, 0, 18, 9]]  # share one column: 10 of 190 pixels
    assert keep(boxes, [0.9, 0.8], 0.05) == [0, 1]
    assert keep(boxes, [0.9, 0.8], 0.05, offset=1) == [0]


def test_a_suppressed_box_suppresses_nothing():
    assert keep([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], [0.9, 0.8, 0.7]) == [0, 2]


def test_classes_don_t_see_each_other():
    assert keep([[0, 0, 10, 10]] * 3, [0.7, 0.8, 0.9], labels=[1, 2, 1]) == [1, 2]


def test_among_equal_scores_the_earlier_box_wins():
    assert keep([[0, 0, 10, 10]] * 3, [0.5, 0.5, 0.5]) == [0]


def test_boxes_without_area_suppress_nothing():
    assert keep([[5, 5, 5, 5], [5, 5, 5, 5]], [0.9, 0.8]) == [0, 1]


def test_nothing_in_nothing_out():
    assert keep([], []) == []
    assert class_wise_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(3, 0), 0.3).shape == (3, 0)


def test_far_from_the_origin_nothing_is_rounded():
    far = 2 ** 20
    assert keep([[far, 0, far + 10, 10], [far + 5, 0, far + 15, 10]], [0.9, 0.8], labels=[80, 81]) == [0, 1]
    assert keep([[far, 0, far + 10, 10], [far, 0, far + 3, 10]], [0.9, 0.8]) == [0, 1]


coordinate = st.integers(0, 12)
box = st.tuples(coordinate, coordinate, st.integers(1, 8), st.integers(1, 8)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
score = st.sampled_from([k / 8 for k in range(9)])
scene = st.lists(st.tuples(box, st.integers(0, 2), score), max_size=25)
threshold = st.sampled_from([0.0, 0.2, 0.3, 1 / 3, 0.5, 0.7, 1.0])
convention = st.sampled_from([(0, False), (1, True), (0, True), (1, False)])


def run(members, scores, threshold, offset, suppress_equal):
    boxes = torch.tensor([m[0] for m in members], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([m[1] for m in members], dtype=torch.int64)
    return class_wise_nms(boxes, labels, torch.tensor(scores), threshold, offset, suppress_equal)


@settings(deadline=None)
@given(scene, threshold, convention)
def test_it_is_the_definition(members, threshold, convention):
    boxes, labels, scores = ([m[i] for m in members] for i in range(3))
    kept = run(members, scores, threshold, *convention).nonzero()[:, 0].tolist()
    assert kept == by_definition(boxes, labels, scores, threshold, *convention)


@settings(deadline=None)
@given(st.lists(st.tuples(box, st.integers(0, 2), score, score, score), min_size=1, max_size=25), threshold)
def test_many_score_vectors_at_once_are_each_alone(members, threshold):
    together = run(members, [[m[2 + e] for m in members] for e in range(3)], threshold, 0, False)
    for e in range(3):
        assert torch.equal(together[e], run(members, [m[2 + e] for m in members], threshold, 0, False))


@settings(deadline=None)
@given(scene, threshold, convention)
def test_twice_is_once(members, threshold, convention):
    kept = run(members, [m[2] for m in members], threshold, *convention).tolist()
    left = [m for m, k in zip(members, kept, strict=True) if k]
    assert run(left, [m[2] for m in left], threshold, *convention).all()


@settings(deadline=None)
@given(scene, threshold)
def test_kept_boxes_of_a_class_don_t_overlap_and_every_other_one_overlaps_a_better_kept_one(members, threshold):
    kept = run(members, [m[2] for m in members], threshold, 0, False)
    boxes = torch.tensor([m[0] for m in members], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([m[1] for m in members], dtype=torch.int64)
    scores = torch.tensor([m[2] for m in members])
    overlaps = (pairwise_iou(boxes, boxes) > threshold) & (labels[:, None] == labels) & ~torch.eye(len(boxes)).bool()
    assert not overlaps[kept][:, kept].any()
    better = scores[:, None] >= scores
    assert (overlaps & better & kept[:, None])[:, ~kept].any(dim=0).all()


@settings(deadline=None)
@given(scene.filter(bool), threshold)
def test_the_best_box_of_each_class_stays(members, threshold):
    scores = [m[2] for m in members]
    kept = run(members, scores, threshold, 0, False)
    for label in {m[1] for m in members}:
        best = max((i for i, m in enumerate(members) if m[1] == label), key=lambda i: (scores[i], -i))
        assert kept[best]


@settings(deadline=None)
@given(scene, st.randoms(use_true_random=False), threshold, convention)
def test_the_order_of_the_input_doesn_t_matter_when_scores_differ(members, random, threshold, convention):
    scores = [i / (len(members) + 1) for i in range(len(members))]
    random.shuffle(scores)
    rows = list(range(len(members)))
    random.shuffle(rows)
    kept = run(members, scores, threshold, *convention)
    shuffled = run([members[r] for r in rows], [scores[r] for r in rows], threshold, *convention)
    assert torch.equal(kept[rows], shuffled)


@pytest.mark.parametrize('limit', [1, 100])
def test_in_parts_as_in_one(monkeypatch, limit):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(30, 2, generator=generator) * 20
    boxes = torch.cat((corners, corners + 10), dim=1)
    scores, labels = torch.rand(5, 30, generator=generator), torch.arange(30) % 2
    whole = class_wise_nms(boxes, labels, scores, 0.3)
    monkeypatch.setattr('harness.proposals.nms._PAIRS_AT_ONCE', limit)
    assert torch.equal(class_wise_nms(boxes, labels, scores, 0.3), whole)
