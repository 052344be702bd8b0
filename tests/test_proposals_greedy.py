"""The rules that don't read the expression: greedy, greedy-100, ground-truth."""
import pytest
import torch

from harness.errors import InputError
from harness.proposals.greedy import Greedy, Greedy100
from harness.proposals.ground_truth import GroundTruth
from harness.proposals.nms import class_wise_nms
from harness.registry import PROPOSAL_RULES
from harness.types import Annotation, Expression, ImageFeatures, ImageInfo

CLASSES = ('cup', 'bowl')


def image(scores, boxes=None, annotations=None, classes=CLASSES):
    """Boxes apart from each other, one a region and class, unless given."""
    scores = torch.tensor(scores, dtype=torch.float32).reshape(-1, len(classes))
    if boxes is None:
        corner = 20. * torch.arange(scores.numel()).reshape(scores.shape)
        boxes = torch.stack((corner, corner, corner + 10, corner + 10), dim=-1)
    return ImageFeatures(ImageInfo(7, 480, 640), 1.0, None, torch.as_tensor(boxes), scores, classes, None, annotations)


def expression(sent_id=0):
    return Expression('mini', 'val', 7, sent_id, 'left cup', ('left', 'cup'), (0, 0, 10, 10))


def test_the_rules_are_found_by_name():
    assert PROPOSAL_RULES.get('greedy') is Greedy
    assert PROPOSAL_RULES.get('greedy-100').recall_only
    assert PROPOSAL_RULES.get('ground-truth') is GroundTruth


def test_greedy_takes_what_is_confident_enough_best_first():
    proposals, = Greedy()(image([[0.7, 0.1], [0.64, 0.9], [0.65, 0.2]]), [expression()])
    torch.testing.assert_close(proposals.scores, torch.tensor([0.9, 0.7, 0.65]))
    assert proposals.labels.tolist() == [1, 0, 0]
    assert proposals.bboxes[:, 0].tolist() == [60, 0, 80]
    assert torch.equal(proposals.det_scores, proposals.scores)


def test_among_equal_confidences_categories_come_in_their_order_then_regions():
    proposals, = Greedy()(image([[0.8, 0.8], [0.8, 0.8]]), [expression()])
    assert proposals.bboxes[:, 0].tolist() == [0, 40, 20, 60]


def test_greedy_suppresses_from_an_iou_of_0_3_on_over_inclusive_pixels():
    whole, third, fifth = [0, 0, 9, 9], [0, 0, 2, 9], [0, 0, 1, 9]  # 100, 30 and 20 pixels
    boxes = torch.tensor([[whole] * 2, [third] * 2, [fifth] * 2]).float()
    proposals, = Greedy()(image([[0.9, 0], [0.8, 0.75], [0.7, 0]], boxes), [expression()])
    assert proposals.bboxes.tolist() == [whole, third, fifth]
    assert proposals.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize('scores, kept', [
    ([[0.6, 0.5], [0.56, 0.1]], [0.6, 0.56]),  # at 0.55
    ([[0.12, 0.05], [0.16, 0.3]], [0.3]),  # at 0.25
    ([[0.0, 0.0], [0.0, 0.04]], [0.04, 0, 0, 0]),  # at -0.05
])
def test_an_image_without_confident_boxes_has_the_threshold_lowered_by_0_1_until_there_are_some(scores, kept):
    proposals, = Greedy()(image(scores), [expression()])
    torch.testing.assert_close(proposals.scores, torch.tensor(kept))


def test_without_regions_there_is_nothing_to_propose():
    for rule in Greedy(), Greedy100():
        proposals, = rule(image([], torch.zeros(0, 2, 4)), [expression()])
        assert len(proposals) == 0 and proposals.bboxes.shape == (0, 4)


def test_all_expressions_of_an_image_share_one_computation():
    features = image([[0.9, 0.7]])
    first = Greedy()(features, [expression(0), expression(1)])
    again = Greedy()(features, [expression(2)])
    assert first[0] is first[1] is again[0]
    assert len(Greedy(threshold=0.8)(features, [expression()])[0]) == 1  # other options, another result


def test_greedy_100_is_the_best_hundred_of_nms_over_all_boxes():
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(700, 2, 2, generator=generator) * 100
    boxes = torch.cat((corners, corners + 10 + 20 * torch.rand(700, 2, 2, generator=generator)), dim=-1)
    scores = torch.rand(700, 2, generator=generator) ** 3
    proposals, = Greedy100()(image(scores.tolist(), boxes), [expression()])
    labels = torch.arange(2).repeat_interleave(700)
    kept = class_wise_nms(boxes.transpose(0, 1).reshape(-1, 4), labels, scores.T.reshape(-1), 0.3, 1, True)
    best = scores.T.reshape(-1)[kept].sort(descending=True).values[:100]
    assert len(best) == 100
    assert torch.equal(proposals.scores, best)


def test_greedy_100_has_fewer_where_nms_leaves_fewer():
    assert len(Greedy100()(image([[0.9, 0.0], [0.5, 0.1]]), [expression()])[0]) == 4
    assert len(Greedy100(top=3)(image([[0.9, 0.0], [0.5, 0.1]]), [expression()])[0]) == 3


def test_confidences_that_are_not_numbers_are_refused():
    for rule in Greedy(), Greedy100():
        with pytest.raises(InputError, match='image 7: .*not numbers'):
            rule(image([[float('nan'), 0.9]]), [expression()])


def test_ground_truth_is_the_annotated_boxes_in_file_order():
    annotations = [Annotation(1, 7, (10, 20, 30.5, 40), 'bowl'), Annotation(2, 7, (0, 0, 5, 5), 'giraffe')]
    proposals, = GroundTruth()(image([[0.9, 0.1]], annotations=annotations), [expression()])
    assert proposals.bboxes.tolist() == [[10, 20, 40.5, 60], [0, 0, 5, 5]]
    assert proposals.labels.tolist() == [1, -1]
    assert proposals.scores.tolist() == [1, 1]


def test_ground_truth_of_an_image_without_objects_is_empty():
    proposals, = GroundTruth()(image([[0.9, 0.1]], annotations=[]), [expression()])
    assert proposals.bboxes.shape == (0, 4)


def test_ground_truth_needs_annotations():
    with pytest.raises(InputError, match='ground-truth: .*no annotated boxes'):
        GroundTruth()(image([[0.9, 0.1]]), [expression()])
