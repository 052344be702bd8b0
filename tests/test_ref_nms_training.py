"""Training Ref-NMS: its losses, the optimiser, the calibrated threshold, and weights that the rules run with."""
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from torch.nn import functional as F

from harness.detection.crop import crop_and_resize
from harness.errors import InputError
from harness.files.weights import load_weights
from harness.proposals.ref_nms import RefNMSB
from harness.proposals.ref_nms_network import RefNMS, over_threshold
from harness.proposals.ref_nms_r import RefNMSR
from harness.training.ref_nms.calibration import calibrate, calibrated, rank_expressions
from harness.training.ref_nms.options import PAPER, RELEASED
from harness.training.ref_nms.related_regions import RelatedRegions, collate
from harness.training.ref_nms.training import (
    RefNMSForTraining,
    constant_sentence,
    heard,
    mean_loss,
    optim_wrapper,
    schedule,
)
from tests.small_ref_nms import (
    BLIND,
    MODEL,
    RANKING,
    SMALL,
    VOCABULARY,
    expression,
    frozen_world,
    small_head,
    small_training,
    training_model,
    world,
)


def test_the_loss_is_binary_cross_entropy_over_every_expression_s_regions():
    regions, groups, targets = world(images=3)
    regions[2]['boxes'], regions[2]['scale'] = regions[2]['boxes'][:7], 0.9  # another number of regions
    items = [item for item in (RelatedRegions(groups, targets, regions, VOCABULARY, 10)[i] for i in range(3))]
    model = training_model().eval()
    loss = model(**collate(items))['loss']
    logits, labels = [], []
    for item in items:  # one expression after the other, a head run each
        for words, index, label in zip(item['words'], item['index'], item['labels'], strict=True):
            crops = crop_and_resize(item['feature_map'][None].float(), item['boxes'][index])
            logits.append(model.network(model.network.encode_boxes(crops)[None], [VOCABULARY.vectors[words]])[0])
            labels.append(label)
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(torch.cat(logits), torch.cat(labels)))
    found, truth = model(**collate(items), mode='tensor')
    torch.testing.assert_close(found, torch.cat(logits))
    assert torch.equal(truth, torch.cat(labels))


def test_the_head_runs_once_a_batch():
    regions, groups, targets = world()
    items = [RelatedRegions(groups, targets, regions, VOCABULARY, 10)[i] for i in range(4)]
    model, seen = training_model(), []
    model.network.head.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    model(**collate(items))
    assert seen == [sum(len(i['boxes']) for i in items)]


def test_the_head_s_batch_norms_learn_unless_they_are_frozen():
    regions, groups, targets = world()
    items = [RelatedRegions(groups, targets, regions, VOCABULARY, 10)[i] for i in range(2)]
    for freeze, changed in (True, False), (False, True):
        model = RefNMSForTraining(RefNMS(**MODEL), VOCABULARY.vectors, freeze_norm=freeze).train()
        model(**collate(items))
        assert bool((model.network.head[0].bn1.running_mean != 0).any()) is changed


def test_the_optimiser_is_the_released_one():
    model = training_model()
    adam = build_optim_wrapper(model, optim_wrapper()).optimizer
    assert type(adam) is torch.optim.Adam
    rates = {id(p): (group['lr'], group['weight_decay']) for group in adam.param_groups for p in group['params']}
    for name, parameter in model.named_parameters():
        expected = 2e-4 if name.startswith('network.head') else 5e-4
        assert rates[id(parameter)] == (pytest.approx(expected), 1e-3), name


def test_it_learns_which_boxes_a_word_speaks_of():
    regions, groups, targets = world()
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0)
    model = training_model(att_dropout=0.1, rank_dropout=0.1).train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = mean_loss(model, images)
    for _ in range(40):
        adam.zero_grad()
        model(**collate([images[i] for i in range(4)]))['loss'].backward()
        adam.step()
    assert model.training
    assert mean_loss(model, images, batch_size=3) < 0.25 < 0.6 < before
    ranked = rank_expressions(model.network, VOCABULARY, groups, regions)
    assert all(boxes.labels[0] == (e.sent == 'bowl') for e, boxes in ranked)
    assert calibrated(ranked, regions).referent_recall == 1


def test_the_threshold_is_the_smallest_that_proposes_no_more_than_allowed():
    scores = [torch.tensor([0.9, 0.5, 0.2]), torch.tensor([0.4, 0.3])]
    assert calibrate(scores, most=2.5) == 0
    assert calibrate(scores, most=2.) == pytest.approx(0.2)  # strictly over: 3 + 1 would be 2.5 each
    assert calibrate(scores, most=1.5) == pytest.approx(0.3)
    assert calibrate(scores, most=1.) == pytest.approx(0.5)
    assert calibrate(scores, most=0.2) == pytest.approx(0.5)  # the best one always stays
    assert calibrate([torch.zeros(0), torch.tensor([0.4])], most=1) == 0
    assert calibrate([torch.tensor([0.4])], most=0.1) == 0


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), max_size=6), min_size=1, max_size=6), st.integers(0, 24))
def test_no_smaller_threshold_would_do(rows, most):
    scores = [torch.tensor(sorted(row, reverse=True)) / 20 for row in rows]
    most = most / 4

    def mean(threshold):
        return sum(len(over_threshold(InstanceData(scores=s), threshold)) for s in scores) / len(scores)

    threshold = calibrate(scores, most)
    alone = mean(float('inf'))
    assert mean(threshold) <= max(most, alone)
    for smaller in {float(v) for s in scores for v in s if v < threshold}:
        assert mean(smaller) > most


def test_calibration_is_to_greedy_s_number_on_the_same_expressions():
    regions = {1: {'n_greedy': 3}, 2: {'n_greedy': 1}}

    def boxes(*scores):
        corner = 20. * torch.arange(len(scores))
        return InstanceData(bboxes=torch.stack((corner, corner, corner + 10, corner + 10), dim=1),
                            scores=torch.tensor(scores))

    ranked = [(expression(1, 0, 'cup', (20, 20, 10, 10)), boxes(0.9, 0.8, 0.1)),
              (expression(2, 1, 'cup', (40, 40, 10, 10)), boxes(0.7, 0.6, 0.5))]
    found = calibrated(ranked, regions)
    assert (found.mean_greedy, found.mean_proposals, found.referent_recall) == (2, 2, 0.5)
    assert found.threshold == pytest.approx(0.5)


def test_a_training_gives_weights_that_the_rules_run_with(tmp_path):
    weights = small_training(tmp_path)
    assert weights.meta['vocabulary'] == ['<unk>', 'bowl', 'cup']
    assert weights.meta['model']['planes'] == 4 and weights.meta['model']['blocks'] == 2
    assert (weights.meta['command'], weights.meta['seed'], weights.meta['data_hash']) == ('make it', 1, 'abc')
    rule = RefNMSB(weights)
    assert rule.threshold == weights.meta['threshold']
    assert weights.meta['validation']['mean_proposals'] <= weights.meta['validation']['mean_proposals_greedy'] == 2


def test_a_training_can_be_repeated_to_the_bit(tmp_path):
    first, again, other = (small_training(tmp_path / name, seed) for name, seed in (('a', 1), ('b', 1), ('c', 2)))
    assert first.tensors.keys() == again.tensors.keys()
    assert all(torch.equal(value, again.tensors[name]) for name, value in first.tensors.items())
    assert first.meta['threshold'] == again.meta['threshold']
    assert not torch.equal(first.tensors['model.rank_fc.weight'], other.tensors['model.rank_fc.weight'])


@pytest.mark.parametrize('frozen', [True, False])
def test_the_gradient_reaches_what_is_trained_and_not_what_is_frozen(frozen):
    regions, groups, targets = world()
    network = RefNMS(**MODEL)
    network.init_weights()
    model = RefNMSForTraining(network, VOCABULARY.vectors, freeze_head=frozen, learn_vectors=not frozen).train()
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0)
    model(**collate([images[i] for i in range(4)]))['loss'].backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {name for name, _ in model.named_parameters() if name.startswith('network.head') and frozen}
    assert ('vectors' in dict(model.named_parameters())) is not frozen


@pytest.mark.parametrize('options', [
    RANKING, RANKING.changed(head='frozen'), BLIND,
    PAPER['binary'].changed(epochs=1, batch_size=4, hidden=4, mlp=8, validate_every=2),
    RELEASED['ranking'].changed(epochs=1, hidden=4, mlp=8, lowest=6, others=2, validate_every=1),
    RELEASED['binary'].changed(epochs=1, hidden=4, mlp=8, batch_size=4, head='frozen', validate_every=1)],
    ids=['ranking', 'ranking, frozen', 'blind, frozen', 'paper', 'released ranking', 'released binary, frozen'])
def test_every_kind_of_training_gives_weights_that_rules_run_with(tmp_path, options):
    collected = frozen_world(small_head())[0] if options.head == 'frozen' else None
    weights = small_training(tmp_path, options=options, collected=collected)
    assert weights.meta['options'] == options.flat and weights.meta['text'] == options.text
    assert weights.meta.get('sentence') == (weights.meta['vocabulary'][1] if options.text == 'blind' else None)
    rule = {'ranking': RefNMSR, 'binary': RefNMSB}[options.loss](weights)
    assert rule.network.relu is options.network.relu
    head = {name: value for name, value in weights.tensors.items() if name.startswith('model.head.')}
    before = small_head().layer4.state_dict()
    kept = all(torch.equal(value, before[name.removeprefix('model.head.')]) for name, value in head.items())
    assert kept is (options.head == 'frozen')
    learned = not torch.equal(weights.tensors['words'][1:], torch.eye(2, 5))
    assert learned is (options.sampling.embeddings == 'learned')


def test_weights_of_another_recipe_are_not_written_under_a_new_name(tmp_path):
    first = small_training(tmp_path)
    with pytest.raises(InputError, match=r'lr was 0\.0005, is 0\.5; '):
        small_training(tmp_path, options=SMALL.changed(lr=0.5))
    with pytest.raises(InputError, match='seed was 1, is 2'):
        small_training(tmp_path, seed=2)
    with pytest.raises(InputError, match='sha256 of detector was def, is other'):
        small_training(tmp_path, detector_hash='other')
    kept = load_weights(tmp_path / 'ref-nms-b.safetensors')
    assert kept.sha256 == first.sha256 and kept.meta['options']['lr'] == 5e-4
    assert small_training(tmp_path).sha256 == first.sha256, 'the same recipe goes on'


def test_a_plateau_has_a_floor_for_every_rate_of_the_optimiser():
    for freeze in (False, True):
        torch.manual_seed(0)
        model = RefNMSForTraining(RefNMS(**MODEL), VOCABULARY.vectors, freeze_head=freeze)
        adam = build_optim_wrapper(model, optim_wrapper(4e-4, 5e-3, 0., 1e-3)).optimizer
        options = RELEASED['binary'].changed(head_lr=4e-4, lr=5e-3, rnn_lr=1e-3)
        plateau, = schedule(options, model, 100)
        assert plateau['min_value'] == pytest.approx([group['lr'] / 100 for group in adam.param_groups])


def test_a_ranking_goes_on_from_within_an_epoch_to_the_same_weights(tmp_path, monkeypatch):
    collected = frozen_world(small_head())[0]
    options = RANKING.changed(head='frozen', batch_size=1)

    def trained(folder):
        return small_training(tmp_path / folder, options=options, collected=collected, checkpoint_every=3)
    whole, steps = trained('whole'), itertools.count()
    forward = RefNMSForTraining.forward

    def die_in_the_sixth_step(self, images, mode='loss'):
        if next(steps) == 5:
            raise KeyboardInterrupt
        return forward(self, images, mode)
    monkeypatch.setattr(RefNMSForTraining, 'forward', die_in_the_sixth_step)
    with pytest.raises(KeyboardInterrupt):
        trained('killed')
    monkeypatch.undo()
    assert (tmp_path / 'killed/work/iter_3.pth').exists(), 'in the first of two epochs of four steps'
    again = trained('killed')
    assert all(torch.equal(value, again.tensors[name]) for name, value in whole.tensors.items())


def test_a_blind_network_hears_one_known_word_for_every_sentence():
    regions, groups, targets = world(images=1)
    assert constant_sentence(SMALL, VOCABULARY) is None and heard(groups, None) is groups
    deaf, = heard(groups, constant_sentence(BLIND, VOCABULARY))
    assert {e.sent for e in deaf} == {VOCABULARY.words[1]} and [e.sent_id for e in deaf] == [
        e.sent_id for e in groups[0]]
    item = RelatedRegions([deaf], targets, regions, VOCABULARY, 10)[0]
    assert [words.tolist() for words in item['words']] == [[1], [1]]
    ranked = rank_expressions(training_model().network, VOCABULARY, [deaf], regions)
    assert torch.equal(ranked[0][1].scores, ranked[1][1].scores)


def test_a_blind_network_can_learn_to_tell_boxes_apart():
    regions, groups, targets = world()
    gradient = {}
    for name, constant in (('known', constant_sentence(BLIND, VOCABULARY)), ('unknown', ())):
        torch.manual_seed(0)
        network = RefNMS(**MODEL)
        network.init_weights()
        model = RefNMSForTraining(network, VOCABULARY.vectors).train()
        images = RelatedRegions(heard(groups, constant), targets, regions, VOCABULARY, 10, seed=0)
        model(**collate([images[i] for i in range(4)]))['loss'].backward()
        gradient[name] = network.vis_r_fc[0].weight.grad.abs().sum()
    assert gradient['known'] > 0 and gradient['unknown'] == 0


def test_rates_are_told_apart_by_head_gru_and_rest():
    model = training_model()
    adam = build_optim_wrapper(model, optim_wrapper(4e-4, 5e-3, 0., 1e-3)).optimizer
    rates = {id(p): group['lr'] for group in adam.param_groups for p in group['params']}
    for name, parameter in model.named_parameters():
        expected = 4e-4 if '.head.' in name else 1e-3 if '.rnn.' in name else 5e-3
        assert rates[id(parameter)] == pytest.approx(expected), name
    plateau, = schedule(RELEASED['binary'], model, 100)
    least = dict(zip((name for name, _ in model.named_parameters()), plateau['min_value'], strict=True))
    assert least['network.head.0.conv1.weight'] == pytest.approx(2e-6) and least['network.rank_fc.bias'] == 5e-6
