"""Ref-NMS R: levels by overlap, what stands in each place, jittered boxes, and the loss on pairs."""
from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.boxes import pairwise_iou
from harness.proposals.ref_nms_network import RefNMS
from harness.training.ref_nms.binary_loss import binary_loss
from harness.training.ref_nms.jitter import jittered
from harness.training.ref_nms.levels import INTERVALS, LevelSampler, quantised
from harness.training.ref_nms.masked_attention import masked_forward
from harness.training.ref_nms.ranking_loss import RankingLoss

# ------------------------------------------------------------------------------------------------- levels


def test_an_upper_bound_belongs_to_its_level() -> None:
    overlap = torch.tensor([0., 0.3, 0.5, 0.51, 0.625, 0.75, 0.76, 0.85, 0.95, 1.0])
    assert quantised(overlap).tolist() == [0, 0, 0, 1, 2, 3, 3, 4, 5, 5]


@given(st.floats(0, 1))
def test_a_level_is_the_interval_of_an_overlap(overlap: float) -> None:
    level = int(quantised(torch.tensor(overlap, dtype=torch.float64)))
    low, high = (0, 0.5) if level == 0 else INTERVALS[level]
    assert low - 1e-9 <= overlap <= high + 1e-9


def test_each_level_fills_its_own_places() -> None:
    levels = torch.tensor([[0, 3, 0, 0, 1, 3, 3, 5], [0, 0, 0, 0, 0, 0, 0, 2]])
    region = LevelSampler(lowest=4, others=2).draw(levels, None).region
    first, second = region.tolist()
    assert sorted(first[:3]) == [0, 2, 3] and first[3] == -1
    assert first[4:6] == [4, -1], 'level 1'
    assert first[6:8] == [-1, -1], 'level 2'
    assert set(first[8:10]) < {1, 5, 6}, 'two of three at level 3'
    assert first[10:] == [-1, -1, 7, -1], 'levels 4 and 5'
    assert len(set(second[:4])) == 4 and set(second[:4]) < set(range(7)), 'four of seven, none twice'
    assert second[4:] == [-1, -1, 7, -1, -1, -1, -1, -1, -1, -1]
    assert (region < 0).sum(dim=1).tolist() == [1 + 1 + 2 + 0 + 2 + 1, 9]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=7, max_size=7), min_size=1, max_size=4), st.integers(1, 4),
       st.integers(1, 3), st.integers(0, 99))
def test_a_place_holds_a_region_of_its_level_and_none_twice(rows: list, lowest: int, others: int, seed: int) -> None:
    levels, sampler = torch.tensor(rows), LevelSampler(lowest, others)
    region, labels = sampler.draw(levels, torch.Generator().manual_seed(seed))
    assert torch.equal(labels, sampler.of_slots.expand(len(rows), -1))
    assert region.shape == (len(rows), lowest + 5 * others)
    for row, own in zip(levels, region, strict=True):
        there = own >= 0
        assert torch.equal(row[own[there]], sampler.of_slots[there])
        assert len(own[there].unique()) == int(there.sum())
        for level in range(6):
            wanted = int(sampler.numbers[level])
            assert int((row[own[there]] == level).sum()) == min(wanted, int((row == level).sum()))


def test_every_region_of_a_level_is_as_likely_as_another() -> None:
    levels = torch.tensor([0, 0, 0, 0, 5, 5, 5]).expand(6000, -1)
    region = LevelSampler(lowest=1, others=1).draw(levels, torch.Generator().manual_seed(0)).region
    often = region[:, [0, -1]].flatten().bincount(minlength=7) / 6000
    torch.testing.assert_close(often, torch.tensor([1 / 4] * 4 + [1 / 3] * 3), atol=0.03, rtol=0)


def test_the_released_numbers() -> None:
    assert LevelSampler().of_slots.bincount().tolist() == [150, 10, 10, 10, 10, 10]


# ------------------------------------------------------------------------------------------------- jittered boxes

@settings(deadline=None, max_examples=15)
@given(st.integers(0, 5), st.floats(0, 60), st.floats(0, 40), st.floats(4, 60), st.floats(4, 40), st.integers(0, 999))
def test_a_jittered_box_overlaps_its_target_as_wanted_and_lies_in_the_image(level: int, x: float, y: float, w: float,
                                                                            h: float, seed: int) -> None:
    target = torch.tensor([[x, y, x + w, y + h]], dtype=torch.float64)
    inside = torch.minimum(target, torch.tensor([100., 80, 100, 80]))
    low, high = (torch.full((8,), bound, dtype=torch.float64) for bound in INTERVALS[level])
    boxes = jittered(target.expand(8, 4), low, high, 100, 80, torch.Generator().manual_seed(seed))
    overlap = pairwise_iou(boxes, inside)[:, 0]
    assert bool((overlap >= INTERVALS[level][0] - 1e-9).all() and (overlap <= INTERVALS[level][1] + 1e-9).all())
    assert bool((boxes >= 0).all() and (boxes[:, 2] <= 100).all() and (boxes[:, 3] <= 80).all())


def test_overlaps_are_spread_evenly_over_the_interval() -> None:
    target = torch.tensor([[30., 20, 70, 60]]).expand(4000, 4)
    boxes = jittered(target, torch.full((4000,), 0.1), torch.full((4000,), 0.4), 100, 80,
                     torch.Generator().manual_seed(1))
    overlap = pairwise_iou(boxes, target[:1])[:, 0]
    assert overlap.histc(4, 0.1, 0.4).div(4000).tolist() == pytest.approx([0.25] * 4, abs=0.03)
    assert len(boxes.unique(dim=0)) > 3800, 'now and then it is the whole image, which overlaps by 0.2'


def test_a_box_that_draws_do_not_find_is_the_target_shrunk() -> None:
    sliver = torch.tensor([[0., 0, 1e-7, 80]])  # its edges clamp to nothing
    box = jittered(sliver, torch.tensor([0.999]), torch.tensor([0.9991]), 100, 80, torch.Generator().manual_seed(0))
    assert 0.99 < float(pairwise_iou(box, sliver)) < 1


# ------------------------------------------------------------------------------------------------- losses

def test_the_ranking_loss_by_hand() -> None:
    related = torch.tensor([[0.9, 0.5, 0.2, 0.85]])
    levels = torch.tensor([[0, 0, 2, 3]])
    pairs = [0.9 - 0.2 + 0.1, 0.5 - 0.2 + 0.1,  # the region of level 2 with both of level 0
             0.9 - 0.85 + 0.1, 0, 0]  # that of level 3 with all others, of which two are less related by over 0.1
    loss = RankingLoss(margin=0.1, top_h=100)(related.logit(), levels)
    assert float(loss) == pytest.approx(sum(pairs) / 5)


def test_only_the_hardest_negatives_are_paired() -> None:
    related, levels = torch.tensor([[0.9, 0.5, 0.2, 0.85]]), torch.tensor([[0, 0, 2, 3]])
    loss = RankingLoss(margin=0.1, top_h=1)(related.logit(), levels)
    assert float(loss) == pytest.approx(((0.9 - 0.2 + 0.1) + (0.9 - 0.85 + 0.1)) / 2)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.tuples(st.integers(-1, 5), st.floats(-3, 3)), min_size=6, max_size=6), min_size=1,
                max_size=3), st.integers(1, 6))
def test_the_ranking_loss_is_a_mean_over_pairs(rows: list, top_h: int) -> None:
    """Pair by pair, as Eq. 4 says, with the negatives sorted for each expression and level."""
    hinges = []
    for row in rows:
        for level in range(1, 6):
            positives = [torch.tensor(x).sigmoid() for own, x in row if own == level]
            negatives = sorted((torch.tensor(x).sigmoid() for own, x in row if 0 <= own < level), reverse=True)[:top_h]
            hinges += [max(0., float(n - p) + 0.1) for p, n in itertools.product(positives, negatives)]
    levels = torch.tensor([[level for level, _ in row] for row in rows])
    logits = torch.tensor([[x for _, x in row] for row in rows])
    loss = float(RankingLoss(0.1, top_h)(logits, levels))
    assert loss == pytest.approx(sum(hinges) / max(len(hinges), 1), abs=1e-5)


def test_without_a_pair_the_ranking_loss_is_zero_and_can_be_differentiated() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = RankingLoss()(logits, torch.tensor([[0, 0, 0], [-1, 4, 4]]))
    loss.backward()
    assert float(loss) == 0 and logits.grad is not None and not logits.grad.any()


def test_a_step_down_the_ranking_loss_raises_what_covers_better() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    RankingLoss()(logits, torch.tensor([[0, 1, 5]])).backward()
    assert logits.grad is not None
    low, middle, high = logits.grad[0].tolist()
    assert low > 0 > high and high < middle, 'the middle one is a positive once and a negative once'


def test_the_binary_loss_by_hand() -> None:
    logits = torch.tensor([[0.8, 0.3], [0.6, 0.5]]).logit()
    loss = binary_loss(logits, torch.tensor([[1., 0.], [1., -1.]]))
    expected = -torch.tensor([0.8, 0.7, 0.6]).log().mean()
    torch.testing.assert_close(loss, expected)


# ------------------------------------------------------------------------------------------------- the forward pass

def small_network(**options: float) -> RefNMS:
    torch.manual_seed(0)
    network = RefNMS(in_channels=3, planes=2, blocks=1, word_dim=3, hidden=7, mlp=6, **options)
    network.init_weights()
    return network


def test_without_dropout_the_masked_pass_is_the_network_s_own() -> None:
    network, sentences = small_network().eval(), [torch.rand(2, 3), torch.rand(5, 3)]
    features, rows = torch.rand(6, 8), torch.tensor([[0, 5, 2], [2, 2, 1]])
    torch.testing.assert_close(masked_forward(network, features, rows, sentences), network(features[rows], sentences))


@pytest.mark.parametrize('attention, rank', [(0.5, 0.), (0.3, 0.), (0., 0.5), (0., 0.3), (0.5, 0.5)])
def test_with_dropout_it_is_the_same_in_distribution(attention: float, rank: float) -> None:
    network = small_network(att_dropout=attention, rank_dropout=rank).train()
    sentences = [4 * torch.rand(3, 3)] * 3000
    network.att_fc.weight.data *= 8
    features, rows = 3 * torch.rand(2, 8), torch.tensor([[0, 1]]).expand(3000, 2)
    with torch.no_grad():
        one, other = masked_forward(network, features, rows, sentences), network(features[rows], sentences)
    assert float(other.std(dim=0).min()) > 0.005, 'the words that are attended to differ from pass to pass'
    torch.testing.assert_close(one.mean(dim=0), other.mean(dim=0), atol=4 * float(other.std()) / 3000 ** 0.5, rtol=0)
    torch.testing.assert_close(one.std(dim=0), other.std(dim=0), atol=0, rtol=0.1)
    assert not torch.equal(one[0], one[1])
