"""What an expression samples of its image in a training of Ref-NMS."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.boxes import pairwise_iou
from harness.training.ref_nms.binary_loss import choose_regions
from harness.training.ref_nms.jitter_pool import JitterPool
from harness.training.ref_nms.levels import LevelSampler
from harness.training.ref_nms.related_regions import RelatedRegions
from harness.training.ref_nms.training import (
    critical_boxes,
)
from harness.types import Annotation, Dataset, Expression
from harness.words.vectors import WordVectors
from tests.small_ref_nms import VOCABULARY, expression, world


@pytest.mark.parametrize('positives, negatives, expected', [
    (20, 40, (16, 16)),  # half and half
    (3, 40, (3, 29)),  # too few positives: more negatives
    (40, 5, (27, 5)),  # too few negatives: more positives
    (0, 40, (0, 32)),
    (40, 0, (32, 0)),
    (5, 6, (5, 6)),  # too few altogether: all of them
    (16, 16, (16, 16)),
])
def test_an_expression_samples_half_positives_or_what_there_is(positives, negatives, expected):
    positive = torch.arange(positives + negatives)[None] < positives
    chosen = choose_regions(positive, 32)
    assert (int(chosen[positive].sum()), int(chosen[~positive].sum())) == expected


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=5), st.integers(1, 12))
def test_every_expression_samples_the_same_number(positive, number):
    chosen = choose_regions(torch.tensor(positive), number)
    assert chosen.sum(dim=1).tolist() == [min(number, 9)] * len(positive)


def test_every_region_of_a_kind_is_as_likely_as_another():
    positive = (torch.arange(12) < 4).expand(4000, -1)
    often = choose_regions(positive, 4, torch.Generator().manual_seed(0)).double().mean(dim=0)
    torch.testing.assert_close(often, torch.tensor([2 / 4] * 4 + [2 / 8] * 8).double(), atol=0.04, rtol=0)


def test_an_item_is_an_image_with_the_regions_that_its_expressions_use():
    regions, groups, targets = world()
    regions[1]['scale'] = 1.5
    item = RelatedRegions(groups, targets, regions, VOCABULARY, longest=10)[1]
    own = item['boxes'][item['index']] / 1.5
    assert own.shape == (2, 10, 4)  # fewer than 32: all of them
    assert torch.equal(item['labels'][0] == 1, own[0, :, 0] < 40)
    assert torch.equal(item['labels'][1] == 1, own[1, :, 0] > 40)
    assert [w.tolist() for w in item['words']] == [[1], [2]]


def test_regions_that_no_expression_samples_are_left_out():
    regions, groups, targets = world(boxes=200)
    item = RelatedRegions(groups, targets, regions, VOCABULARY, 10)[0]
    assert item['index'].shape == (2, 32)
    assert sorted(set(item['index'].flatten().tolist())) == list(range(len(item['boxes'])))


def test_a_seed_fixes_the_sample_and_none_draws_anew():
    regions, groups, targets = world(boxes=200)
    fixed, free = (RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=seed) for seed in (3, None))
    assert torch.equal(fixed[0]['boxes'], fixed[0]['boxes'])
    assert not torch.equal(free[0]['boxes'], free[0]['boxes'])
    torch.manual_seed(5)
    first = free[0]['boxes']
    torch.manual_seed(5)
    assert torch.equal(free[0]['boxes'], first)


def test_a_region_is_positive_from_an_overlap_of_0_5_with_any_target():
    regions, _, _ = world(images=1)
    regions[0]['boxes'] = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 21], [50, 0, 60, 10]])
    item = RelatedRegions([[expression(0, 0, 'cup', (0, 0, 10, 10))]],
                          {0: torch.tensor([[0., 0, 10, 10], [50, 0, 60, 10]])}, regions, VOCABULARY, 10)[0]
    assert item['labels'][0][item['index'][0].argsort()].tolist() == [1, 1, 0, 1]


def test_sentences_are_cut_in_training():
    regions, _, targets = world(images=1)
    long = Expression('mini-refcoco', 'train', 0, 0, '', ('cup',) * 30, (3, 21, 32, 32))
    assert len(RelatedRegions([[long]], targets, regions, VOCABULARY, longest=10)[0]['words'][0]) == 10


def test_images_without_candidates_are_left_out():
    regions, groups, targets = world(images=2)
    regions[0]['boxes'] = torch.zeros(0, 4)
    assert len(RelatedRegions(groups, targets, regions, VOCABULARY, 10)) == 1


def test_critical_boxes_are_the_referent_s_and_those_of_contextual_objects():
    annotations = {0: [Annotation(1, 0, (0, 0, 10, 10), 'cup'), Annotation(2, 0, (20, 0, 10, 10), 'cup'),
                       Annotation(3, 0, (40, 0, 10, 10), 'dog')]}
    dataset = Dataset('mini', {}, [expression(0, 8, 'cup', (0, 0, 10, 10))], annotations)
    vectors = WordVectors('set', ('cup', 'dog'), torch.eye(2), gamma=0.5)
    assert critical_boxes(dataset, 'train', vectors)[8].tolist() == [[0, 0, 10, 10], [20, 0, 30, 10]]


def test_an_item_of_the_ranking_loss_has_its_number_at_each_level():
    regions, groups, targets = world(images=1)
    regions[0]['boxes'] = torch.tensor([[3., 21, 35, 53], [53, 21, 85, 53], [60, 60, 90, 90]])
    regions[0]['scale'] = 2.
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0, sampler=LevelSampler(lowest=4, others=1))
    item = images[0]
    assert item['labels'].tolist() == [[0, 0, 0, 0, 1, 2, 3, 4, 5]] * 2
    for own, target in zip(item['index'], (targets[0], targets[1]), strict=True):
        overlap = pairwise_iou(item['boxes'][own] / 2, target)[:, 0]
        assert bool((overlap[:4] <= 0.4).all()), 'regions elsewhere and jittered boxes'
        assert bool(((overlap[4:] > 0.5 + 0.1 * torch.arange(5)) & (overlap[4:] <= 0.6 + 0.1 * torch.arange(5))).all())
        assert overlap[8] == 1, 'the region at the highest level is a detected one'


def test_the_expressions_of_an_image_can_share_their_jittered_boxes():
    regions, groups, targets = world(images=1)
    regions[0]['boxes'], regions[0]['det_scores'] = torch.zeros(0, 4), torch.zeros(0)
    pool, sampler = JitterPool((2, 1, 1, 1, 1, 1)), LevelSampler(lowest=9, others=3)
    item = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0, sampler=sampler, pool=pool)[0]
    assert item['index'].shape == (2, 9 + 5 * 3)
    assert len(item['boxes']) <= 2 * 7, 'seven for each of the two targets, those that were drawn'
    for own, target in zip(item['index'], (targets[0], targets[1]), strict=True):
        overlap = pairwise_iou(item['boxes'][own], target)[:, 0]
        assert bool((overlap[:9] <= 0.4).all())
        least = torch.arange(5, 10).repeat_interleave(3) / 10
        assert bool(((overlap[9:] >= least - 1e-4) & (overlap[9:] <= least + 0.1 + 1e-4)).all())


def test_regions_at_or_under_delta_take_no_part_where_it_is_not_lowered():
    regions, groups, targets = world(images=1)
    regions[0]['det_scores'][:8] = 0.05
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0, over=0.05)
    assert torch.equal(images[0]['boxes'], regions[0]['boxes'][8:])


def test_an_image_without_candidates_is_topped_up_for_ranking():
    regions, groups, targets = world(images=1)
    regions[0]['boxes'], regions[0]['det_scores'] = torch.zeros(0, 4), torch.zeros(0)
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0, sampler=LevelSampler(2, 1), over=0.05)
    assert images[0]['boxes'].shape == (2 * 7, 4)


def test_samples_depend_on_seed_epoch_and_place_alone():
    regions, groups, targets = world(boxes=200)
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=3)
    first = images[1]['boxes']
    torch.rand(5)
    assert torch.equal(images[1]['boxes'], first)
    images.set_epoch(1)
    assert not torch.equal(images[1]['boxes'], first)
