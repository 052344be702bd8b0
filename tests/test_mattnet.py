"""MAttNet's facts, worked out by hand, and what it gives NMTree."""
from dataclasses import replace

import pytest
import torch

from adapters.modular.mattnet import MAttNetGrounder
from grounders.mattnet import MAttNet, Surveyed
from grounders.modular import Rows
from grounders.objectives import TrainingPairs, attribute_loss, max_margin, rank
from grounders.visual import Places
from tests.small_grounders import BOXES, LABELS, OPTIONS, a_network, an_image, propose, say, weights


def hears_itself(network):
    """The relation module embeds a phrase as its direction."""
    network.rel_matching.hear = lambda phrases: torch.nn.functional.normalize(phrases, dim=1)
    return network


def surveyed(contexts, filled):
    """Places of which only the context counts: directions in the plane, in degrees."""
    angles = torch.tensor(contexts).deg2rad()
    nothing = torch.zeros(len(contexts), 1)
    return Surveyed(nothing, nothing, torch.stack([angles.cos(), angles.sin()], 2), torch.tensor(filled))


@pytest.mark.parametrize(('contexts', 'filled', 'best', 'slot'), [
    ([60., 0., 180.], [1, 1, 1], 1., 1),        # cosines ½, 1, −1: the best counts
    ([60., 0., 180.], [1, 0, 1], .5, 0),        # an empty slot's 1 is taken as 0
    ([120., 0., 180.], [1, 0, 1], 0., 1),       # and beats worse than 0
    ([120., 0., 0.], [0, 0, 0], 0., None)])     # nothing around: 0, whichever slot
def test_the_best_context_slot_counts_and_an_empty_one_is_zero(contexts, filled, best, slot):
    each = torch.zeros(1, dtype=torch.long)
    match, index = hears_itself(a_network('mattnet')).best_context(
        surveyed([contexts], [[bool(f) for f in filled]]), torch.tensor([[2., 0.]]), Rows(each, each, each))
    assert match.item() == pytest.approx(best, abs=1e-6)
    assert slot is None or index.tolist() == [slot]


def a_place(**changes):
    """Of one box with two neighbours in sight."""
    plain = Places(torch.rand(1, 5), torch.zeros(1, 25), torch.tensor([[0, 1, -1, -1, -1]]), torch.zeros(1, 5, 5),
                   torch.rand(2, 4))
    return plain._replace(**changes)


@torch.no_grad()
def test_a_slot_is_empty_where_its_numbers_sum_to_zero():
    cxt_lfeats = torch.zeros(1, 5, 5)
    cxt_lfeats[0, 0] = torch.tensor([-1., -1., 1., 1., 1.])
    cxt_lfeats[0, 1] = torch.tensor([-1., -1., .5, .5, 1.])  # a real neighbour, but the original cannot tell
    filled = a_network('mattnet').survey(a_place(cxt_lfeats=cxt_lfeats)).filled
    assert filled.tolist() == [[True, False, False, False, False]]


@torch.no_grad()
def test_neighbours_of_the_same_category_are_one_vector_with_one_norm():
    """Twice the neighbours' numbers are the same; twice those of one neighbour alone are not."""
    network = a_network('mattnet')
    dif = torch.zeros(1, 25)
    dif[0, :10] = torch.arange(1., 11.)
    more = dif.clone()
    more[0, :5] *= 2
    own = torch.rand(1, 5)
    one, twice, other = (network.loc_encoder(a_place(lfeats=own, dif_lfeats=d)) for d in (dif, 2 * dif, more))
    torch.testing.assert_close(one, twice)
    assert not torch.allclose(one, other)


@torch.no_grad()
def test_scores_are_the_modules_matches_by_the_sentences_weights():
    network, each, labels = a_network('mattnet'), torch.zeros(1, dtype=torch.long), torch.tensor([[2, 4, 0]])
    network.weight_fc.weight.zero_()
    network.weight_fc.bias.copy_(torch.tensor([1., 0., 1.]))
    grounding = network.ground(torch.randn(1, 3, 7, 7), torch.randn(1, 4, 7, 7), a_place(), labels,
                               Rows(each, each, each))
    e = torch.e
    torch.testing.assert_close(grounding.weights, torch.tensor([[e, 1, e]]) / (2 * e + 1))
    loc = network.loc_matching(grounding.loc_feats, network.read(labels).phrases[1], each)
    # Relation is 0: every slot is empty.
    torch.testing.assert_close(grounding.scores, (e * grounding.sub_scores + loc) / (2 * e + 1))


@torch.no_grad()
def test_a_wordless_sentence_is_one_unknown_word():
    network = a_network('mattnet')
    unknown = network.read(torch.tensor([[1]]))
    for wordless in (torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 0, dtype=torch.long)):
        read = network.read(wordless)
        torch.testing.assert_close(read.weights, unknown.weights)
        torch.testing.assert_close(read.phrases, unknown.phrases)


@torch.no_grad()
def test_padding_weighs_nothing_and_words_weigh_one_together():
    read = a_network('mattnet').read(torch.tensor([[2, 3, 0, 0], [2, 3, 4, 5]]))
    for attention in read.attention:
        torch.testing.assert_close(attention.sum(1), torch.ones(2))
        assert (attention[0, 2:] == 0).all()


def some_pairs():
    torch.manual_seed(1)
    seen = Places(torch.rand(5, 5), torch.randn(5, 25), torch.randint(-1, 3, (5, 5)), torch.randn(5, 5, 5),
                  torch.randn(3, 4))
    labels = torch.tensor([[2, 3, 4], [5, 4, 0], [3, 0, 0]])
    return TrainingPairs(torch.randn(5, 3, 7, 7), torch.randn(5, 4, 7, 7), seen, labels, torch.zeros(1, 3, 7, 7),
                 torch.tensor([0, 0, 0]), sentence=torch.tensor([0, 1]), box=torch.tensor([0, 1]),
                 other_sentence=torch.tensor([1, 2]), other_box=torch.tensor([1, 4]))


@torch.no_grad()
def test_pairs_score_as_rows_of_the_original():
    network, pairs = a_network('mattnet'), some_pairs()
    seen = pairs.places
    context = torch.cat([seen.neighbours, torch.zeros(1, 4)])[seen.cxt_index]
    ranked = rank(network, network.read(pairs.labels), pairs)
    for got, sentence, box in ((ranked.right, pairs.sentence, pairs.box),
                               (ranked.other_box, pairs.sentence, pairs.other_box),
                               (ranked.other_sentence, pairs.other_sentence, pairs.box)):
        alone = network(pairs.pool5[box], pairs.fc7[box], seen.lfeats[box], seen.dif_lfeats[box], context[box],
                        seen.cxt_lfeats[box], pairs.labels[sentence])
        torch.testing.assert_close(got, alone.scores, rtol=0, atol=1e-5)


def test_every_parameter_learns():
    network, pairs = MAttNet(replace(OPTIONS['mattnet'], word_dropout=0.)).train(), some_pairs()
    *scores, att_scores = rank(network, network.read(pairs.labels), pairs)
    # A wide margin, so that no hinge is closed and each parameter has a gradient.
    (max_margin(*scores, margin=10.) + attribute_loss(att_scores, torch.ones(5, 2), torch.ones(2))).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_nmtree_sees_each_expressions_proposals_as_it_attends_to_them():
    grounder = MAttNetGrounder(weights('mattnet'))
    own = [propose(BOXES, LABELS), propose([], []), propose(BOXES, LABELS)]
    first, none, again = grounder.visual(an_image(), say('left cup', 'dog', 'red dog'), own)
    subject, width = OPTIONS['mattnet'].subject_dim, OPTIONS['mattnet'].visual_dim
    assert first.shape == again.shape == (4, width) and none.shape == (0, width)
    assert not torch.allclose(first[:, :subject], again[:, :subject])
    torch.testing.assert_close(first[:, subject:], again[:, subject:])  # the place is the same, whatever is said
    assert [len(v) for v in grounder.visual(an_image(), say('dog'), own[1:2])] == [0]
