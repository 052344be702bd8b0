"""What CM-A-E is trained for: ranking, attributes, and erasing what it attends to."""
import pytest
import torch

from grounders.cmae import CMAE, CMAEOptions
from grounders.erasing import draw, erase_sight, erase_word, rank, rank_erased, square
from grounders.objectives import TrainingPairs, attribute_loss, attribute_weights, max_margin, max_margin_erase
from grounders.visual import Places

OPTIONS = CMAEOptions(vocabulary_size=9, unknown_word=1, attribute_count=2, pool5_dim=3, fc7_dim=4, embedding_dim=7,
                      pretrained_dim=4, word_dim=8, joint_dim=8, rnn_dim=5, image_hidden_dim=6, word_dropout=0.,
                      joint_dropout=0., visual_dropout=0.)


def test_ranking_asks_for_a_margin_over_both_wrong_ones():
    right = torch.tensor([.5, .5])
    other_box, other_sentence = torch.tensor([.45, .2]), torch.tensor([.6, -1.])
    loss = max_margin(right, other_box, other_sentence)  # (.05 + 0) / 2 + (.2 + 0) / 2
    torch.testing.assert_close(loss, torch.tensor(.125))
    torch.testing.assert_close(max_margin(right, other_box, other_sentence, lang_rank_weight=0), torch.tensor(.025))


def test_erasing_adds_the_same_ranking_of_what_is_left():
    right, low = torch.tensor([1.]), torch.tensor([0.])
    loss = max_margin_erase(right, low, low, (torch.tensor([.3]), torch.tensor([.5])), (right, low))
    torch.testing.assert_close(loss, torch.tensor(.3))


def test_rare_attributes_weigh_more():
    weights = attribute_weights(torch.tensor([100, 25, 1]))
    # 1/√: .1, .2, 1; stretched to 1 … 10: (.2 − .1) / .9 · 9 + 1 = 2.
    torch.testing.assert_close(weights, torch.tensor([1., 2., 10.]))
    assert attribute_weights(torch.tensor([4, 4])).tolist() == [1, 1]
    assert attribute_weights(torch.zeros(0)).tolist() == []


def test_boxes_without_attributes_do_not_count():
    logits = torch.tensor([[0., 0.], [9., 9.]], requires_grad=True)
    loss = attribute_loss(logits, torch.tensor([[1., 0.], [0., 0.]]), torch.tensor([1., 3.]))
    torch.testing.assert_close(loss, torch.tensor(2.).log() * 2)
    none = attribute_loss(logits, torch.zeros(2, 2), torch.ones(2))
    none.backward()
    assert none == 0 and (logits.grad == 0).all()


def test_one_word_of_each_longer_sentence_becomes_unknown():
    labels = torch.tensor([[5, 6, 7, 0], [5, 6, 0, 0], [5, 0, 0, 0], [3, 4, 5, 6]])
    attention = torch.tensor([[.1, .2, .7, 0], [.5, .5, 0, 0], [1, 0, 0, 0], [.6, .2, .1, .1]])
    erased = erase_word(labels, attention, 1, 'most attended')
    assert erased.tolist() == [[5, 6, 1, 0], [5, 6, 0, 0], [5, 0, 0, 0], [1, 4, 5, 6]]
    assert erase_word(labels[:, :2], attention[:, :2], 1, 'most attended').tolist() == labels[:, :2].tolist()


def test_sampling_follows_the_attention():
    torch.manual_seed(0)
    attention = torch.tensor([[0., .25, .75]]).expand(4000, 3)
    share = torch.bincount(draw(attention, 'sample'), minlength=3) / 4000
    torch.testing.assert_close(share, torch.tensor([0., .25, .75]), atol=.03, rtol=0)
    assert (draw(attention, 'most attended') == 2).all()


def test_the_subject_loses_the_square_with_the_most_attention():
    attention = torch.zeros(1, 7, 7)
    attention[0, 2:4, 5:7] = .25
    assert square(attention.flatten(1), 2, 'most attended').view(7, 7).nonzero().tolist() == [
        [2, 5], [2, 6], [3, 5], [3, 6]]
    assert int(square(attention.flatten(1), 3, 'sample').sum()) == 9


@pytest.mark.parametrize('module', range(3))
def test_one_module_loses_what_it_attends_to(module):
    places = Places(torch.ones(1, 5), torch.ones(1, 25), torch.tensor([[4, 3, 2, 1, 0]]), torch.ones(1, 5, 5),
                    torch.ones(5, 4))
    attention = [torch.eye(49)[:1], torch.eye(6)[2:3], torch.eye(5)[3:4]]
    blank, erased = erase_sight(attention, torch.eye(3)[module:module + 1], places, 'most attended', 2)
    assert int(blank.sum()) == (4 if module == 0 else 0)
    assert erased.lfeats.tolist() == places.lfeats.tolist()
    lost = [i for i in range(5) if (erased.dif_lfeats.view(5, 5)[i] == 0).all()]
    assert lost == ([1] if module == 1 else [])
    assert erased.cxt_index.tolist() == [[4, 3, 2, -1 if module == 2 else 1, 0]]
    assert (erased.cxt_lfeats[0, 3] == (0 if module == 2 else 1)).all()


def test_the_own_place_can_be_lost_too():
    places = Places(torch.ones(1, 5), torch.ones(1, 25), torch.tensor([[0, 0, 0, 0, 0]]), torch.ones(1, 5, 5),
                    torch.ones(1, 4))
    attention = [torch.eye(49)[:1], torch.eye(6)[:1], torch.eye(5)[:1]]
    _, erased = erase_sight(attention, torch.tensor([[0., 1., 0.]]), places, 'most attended', 2)
    assert (erased.lfeats == 0).all() and (erased.dif_lfeats == 1).all()


def some_pairs():
    torch.manual_seed(1)
    b, i = 5, 2
    places = Places(torch.rand(b, 5), torch.randn(b, 25), torch.randint(-1, 3, (b, 5)), torch.randn(b, 5, 5),
                    torch.randn(3, 4))
    labels = torch.tensor([[2, 3, 4, 5], [6, 7, 8, 0], [3, 0, 0, 0], [4, 5, 0, 0]])
    return TrainingPairs(torch.randn(b, 3, 7, 7), torch.randn(b, 4, 7, 7), places, labels, torch.randn(i, 3, 7, 7),
                 torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2]), torch.tensor([0, 1, 3]), torch.tensor([1, 3, 3]),
                 torch.tensor([1, 2, 4]))


def rows_one_by_one(network, pairs, sentence, box, labels=None, pool5=None, fc7=None):
    places = pairs.places
    neighbours = torch.cat([places.neighbours, torch.zeros(1, places.neighbours.shape[1])])
    return network(pairs.pool5[box] if pool5 is None else pool5, pairs.fc7[box] if fc7 is None else fc7,
                   places.lfeats[box], places.dif_lfeats[box], neighbours[places.cxt_index[box]],
                   places.cxt_lfeats[box], pairs.labels[sentence] if labels is None else labels,
                   pairs.image_pool5[pairs.sentence_image[sentence]])


@torch.no_grad()
def test_pairs_score_as_rows_of_the_original():
    network, pairs = CMAE(OPTIONS).eval(), some_pairs()
    ranked = rank(network, pairs)
    for got, sentence, box in ((ranked.right, pairs.sentence, pairs.box),
                               (ranked.other_box, pairs.sentence, pairs.other_box),
                               (ranked.other_sentence, pairs.other_sentence, pairs.box)):
        torch.testing.assert_close(got, rows_one_by_one(network, pairs, sentence, box).scores, rtol=0, atol=1e-5)


@torch.no_grad()
def test_erased_pairs_score_as_rows_with_zeros_and_unknown_words_put_in():
    """Without dropout and by the largest attention, against erasing the inputs and encoding all again."""
    network, pairs = CMAE(OPTIONS).eval(), some_pairs()
    network.weight_fc.weight.zero_()
    network.weight_fc.bias.copy_(torch.tensor([1e4, 0., 0.]))  # the subject's sight is erased
    erased = rank_erased(network, pairs, 'most attended')

    clean = rows_one_by_one(network, pairs, pairs.sentence, pairs.box)
    labels = erase_word(pairs.labels[pairs.sentence], clean.sub_attn, 1, 'most attended')
    assert (labels != pairs.labels[pairs.sentence]).sum() == 2
    for got, box in zip(erased.word_erased, (pairs.box, pairs.other_box), strict=True):
        want = rows_one_by_one(network, pairs, pairs.sentence, box, labels=labels).scores
        torch.testing.assert_close(got, want, rtol=0, atol=1e-5)

    keep = ~square(clean.sub_grid_attn, 2, 'most attended').view(-1, 1, 7, 7)
    pool5, fc7 = pairs.pool5[pairs.box] * keep, pairs.fc7[pairs.box] * keep
    for got, sentence in zip(erased.sight_erased, (pairs.sentence, pairs.other_sentence), strict=True):
        want = rows_one_by_one(network, pairs, sentence, pairs.box, pool5=pool5, fc7=fc7).scores
        torch.testing.assert_close(got, want, rtol=0, atol=1e-5)
    torch.testing.assert_close(erased.right, clean.scores, rtol=0, atol=1e-5)
    assert len(erased.att_scores) == len(pairs.pool5)


@pytest.mark.parametrize('rule', ['sample', 'most attended'])
def test_every_parameter_learns_from_both_stages(rule):
    network, pairs = CMAE(OPTIONS).train(), some_pairs()
    ranked = rank(network, pairs)
    erased = rank_erased(network, pairs, rule)
    for *scores, att_scores in (ranked, erased):
        network.zero_grad()
        objective = max_margin if len(scores) == 3 else max_margin_erase
        # A wide margin, so that no hinge is closed and each parameter has a gradient.
        loss = objective(*scores, margin=10.) + attribute_loss(att_scores, torch.ones_like(att_scores), torch.ones(2))
        loss.backward(retain_graph=True)
        still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert still == []
