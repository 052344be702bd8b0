"""Ref-NMS as a post-processor and as proposal rules, on networks small enough to reason about."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import MODELS
from mmengine.structures import InstanceData

from harness.errors import InputError
from harness.files.weights import Weights
from harness.proposals.candidates import find_candidates
from harness.proposals.ref_nms import RefNMSB, RefNMSB100
from harness.proposals.ref_nms_network import over_threshold
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures, ImageInfo

MODEL = dict(in_channels=6, planes=2, blocks=2, word_dim=5, hidden=3, mlp=7)
WORDS = ['<unk>', 'cup', 'left', 'red']


def network(**options):
    torch.manual_seed(0)
    return MODELS.build(dict(type='RefNMS', **{**MODEL, **options})).eval()


def sentences(*lengths):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, MODEL['word_dim'], generator=generator) for n in lengths]


def pooled(n, seed=2):
    return torch.randn(n, MODEL['in_channels'], 7, 7, generator=torch.Generator().manual_seed(seed))


def spread_out(scores, labels=None):
    corner = 20. * torch.arange(len(scores))
    return InstanceData(bboxes=torch.stack((corner, corner, corner + 10, corner + 10), dim=1),
                        labels=torch.zeros(len(scores), dtype=torch.int64) if labels is None else torch.tensor(labels),
                        det_scores=torch.tensor(scores))


# ---------------------------------------------------------------------------------------------- candidates

def find(scores, **options):
    scores = torch.tensor(scores, dtype=torch.float32)
    boxes = torch.arange(scores.numel() * 4, dtype=torch.float32).reshape(*scores.shape, 4)
    return find_candidates(boxes, scores, **options)


def test_candidates_exceed_delta_and_come_category_by_category():
    found = find([[0.06, 0.05], [0.9, 0.2], [0.04, 0.8]])
    assert found.labels.tolist() == [0, 0, 1, 1]
    torch.testing.assert_close(found.det_scores, torch.tensor([0.06, 0.9, 0.2, 0.8]))
    assert found.bboxes[:, 0].tolist() == [0, 8, 12, 20]


def test_delta_is_lowered_in_steps_until_enough_are_left():
    scores = [[0.041, 0.039, 0.036, 0.031, 0.001]]
    assert len(find(scores)) == 1  # at 0.04
    assert len(find(scores, at_least=2)) == 3  # at 0.035
    assert len(find(scores, at_least=4)) == 4  # at 0.03
    assert len(find(scores, at_least=32)) == 5  # there are no more


def test_confidences_of_zero_are_candidates_in_the_last_resort():
    assert len(find([[0., 0.], [0., 0.]])) == 4


def test_without_regions_there_are_no_candidates():
    found = find_candidates(torch.zeros(0, 2, 4), torch.zeros(0, 2))
    assert found.bboxes.shape == (0, 4) and len(found.labels) == 0


# ---------------------------------------------------------------------------------------------- relatedness

def test_parameters_have_the_released_names():
    names = {name.split('.')[0] for name in network().state_dict()}
    assert names == {'head', 'vis_a_fc', 'vis_r_fc', 'att_fc', 'rank_fc', 'rnn'}


def test_relatedness_is_the_same_for_one_expression_alone_and_among_longer_ones():
    model, boxes, words = network(), pooled(4), sentences(2, 7, 1)
    with torch.no_grad():
        together = model.relatedness(boxes, words)
        for row, alone in zip(together, words, strict=True):
            torch.testing.assert_close(model.relatedness(boxes, [alone])[0], row)
    assert together.shape == (3, 4) and bool(((together > 0) & (together < 1)).all())


def test_without_dropout_the_box_cancels_in_the_attention_of_eq_1():
    model, words = network(), sentences(2, 7, 1)
    with torch.no_grad():
        boxes = model.encode_boxes(pooled(4))
        torch.testing.assert_close(model(boxes.expand(3, -1, -1), words).sigmoid(), model.relatedness(boxes, words))


def test_the_head_runs_once_whatever_the_number_of_expressions():
    model, calls = network(), []
    model.head.register_forward_hook(lambda *_: calls.append(1))
    model.predict(pooled(3), spread_out([0.5, 0.6, 0.7]), sentences(1, 2, 3, 4))
    assert len(calls) == 1


def test_a_sentence_of_no_words_is_one_unknown_word():
    model = network()
    with torch.no_grad():
        nothing, unknown = model.relatedness(pooled(3), [torch.zeros(0, 5), torch.zeros(1, 5)])
    torch.testing.assert_close(nothing, unknown)


def test_new_weights_are_xavier_uniform_with_zero_biases_outside_the_head():
    model = network()
    model.head[0].bn1.weight.data.fill_(3)
    model.init_weights()
    assert bool((model.rank_fc.bias == 0).all()) and bool((model.rnn.bias_hh_l0_reverse == 0).all())
    assert float(model.vis_r_fc[0].weight.abs().max()) <= (6 / (8 + 7)) ** 0.5  # fan in 8, fan out 7
    assert bool((model.head[0].bn1.weight == 3).all())


# ---------------------------------------------------------------------------------------------- proposals

def test_scores_are_relatedness_times_confidence_best_first():
    ranked = network().predict(pooled(5), spread_out([0.1, 0.9, 0.5, 0.7, 0.3]), sentences(2, 3))
    assert len(ranked) == 2
    for boxes in ranked:
        assert torch.equal(boxes.scores, boxes.relatedness * boxes.det_scores)
        assert boxes.scores.tolist() == sorted(boxes.scores.tolist(), reverse=True)
        assert sorted(boxes.index.tolist()) == [0, 1, 2, 3, 4]
        assert len(boxes.bboxes) == len(boxes.labels) == 5


def test_word_attention_says_how_much_each_word_counts():
    first, second = network().predict(pooled(2), spread_out([0.5, 0.6]), sentences(2, 3))
    assert len(first.word_attention) == 2 and len(second.word_attention) == 3
    assert sum(first.word_attention) == pytest.approx(1)


def test_relatedness_decides_which_of_two_overlapping_boxes_stays():
    model = network()
    with torch.no_grad():
        relatedness = model.relatedness(pooled(2), sentences(3))[0]
    candidates = InstanceData(bboxes=torch.tensor([[0., 0, 10, 10], [1, 0, 11, 10]]), labels=torch.tensor([0, 0]),
                              det_scores=1 / relatedness.flip(0))  # the fused scores are r0 / r1 and r1 / r0
    ranked, = model.predict(pooled(2), candidates, sentences(3))
    assert ranked.index.tolist() == [int(relatedness.argmax())]


def test_boxes_of_other_classes_stay():
    candidates = InstanceData(bboxes=torch.tensor([[0., 0, 10, 10]] * 2), labels=torch.tensor([0, 1]),
                              det_scores=torch.tensor([0.5, 0.6]))
    assert len(network().predict(pooled(2), candidates, sentences(3))[0]) == 2


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=8), st.sampled_from([0., 0.2, 0.25, 0.9]))
def test_the_best_one_always_and_the_others_over_the_threshold(scores, threshold):
    scores = sorted(scores, reverse=True)
    kept = over_threshold(InstanceData(scores=torch.tensor(scores, dtype=torch.float64)), threshold)
    assert kept.scores.tolist() == scores[:1] + [s for s in scores[1:] if s > threshold]


def test_nothing_over_the_threshold_and_nothing_at_all():
    assert len(over_threshold(InstanceData(scores=torch.zeros(0)), 0.5)) == 0
    empty = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64), det_scores=torch.zeros(0))
    ranked, = network(threshold=0.1).predict(pooled(0), empty, sentences(3))
    assert ranked.bboxes.shape == (0, 4)
    assert network().predict(pooled(1), spread_out([0.5]), []) == []


def test_features_that_are_not_numbers_are_refused():
    with pytest.raises(InputError, match='not numbers'):
        network().predict(pooled(2) * float('nan'), spread_out([0.5, 0.6]), sentences(3))


# ---------------------------------------------------------------------------------------------- the rules

class OnlyPools:
    """Stands in for a detector: crops that depend on the box, and how often it was asked."""

    calls = 0

    def pool(self, image, boxes):
        self.calls += 1
        return pooled(len(boxes)) + boxes[:, :1, None, None] / 100


def weights(tmp_path, **changes):
    model = network()
    tensors = {f'model.{name}': value for name, value in model.state_dict().items()}
    tensors['words'] = torch.cat((torch.zeros(1, 5), torch.randn(3, 5, generator=torch.Generator().manual_seed(4))))
    meta = {'kind': 'ref-nms', 'model': MODEL, 'vocabulary': WORDS, 'threshold': 0.1}
    for key, value in changes.items():
        target = tensors if key in tensors or torch.is_tensor(value) else meta
        target.pop(key, None) if value is None else target.update({key: value})
    return Weights(tmp_path / 'ref-nms-b.safetensors', tensors, meta, '')


def image(scores):
    scores = torch.tensor(scores, dtype=torch.float32).reshape(-1, 2)
    corner = 20. * torch.arange(scores.numel()).reshape(scores.shape)
    boxes = torch.stack((corner, corner, corner + 10, corner + 10), dim=-1)
    return ImageFeatures(ImageInfo(7, 480, 640), 1.0, torch.zeros(1, 6, 4, 4), boxes, scores, ('cup', 'bowl'),
                         OnlyPools())


def expression(*tokens, sent_id=0):
    return Expression('mini', 'val', 7, sent_id, ' '.join(tokens), tokens, (0, 0, 10, 10))


def test_the_rules_are_found_by_name():
    assert PROPOSAL_RULES.get('ref-nms-b') is RefNMSB and RefNMSB.weights == 'ref-nms-b'
    assert PROPOSAL_RULES.get('ref-nms-b-100') is RefNMSB100 and RefNMSB100.recall_only


def test_both_rules_cut_the_same_ranking_and_share_its_computation(tmp_path):
    trained, features = weights(tmp_path), image([[0.9, 0.02], [0.5, 0.3], [0.2, 0.8]])
    expressions = [expression('red', 'cup'), expression('left', sent_id=1)]
    hundred = RefNMSB100(trained)(features, expressions)
    real = RefNMSB(trained)(features, expressions)
    two = RefNMSB100(trained, top=2)(features, expressions)
    assert features.detector.calls == 1
    for all_boxes, some, best in zip(hundred, real, two, strict=True):
        assert len(all_boxes) == 5
        assert some.scores.tolist() == over_threshold(all_boxes, 0.1).scores.tolist()
        assert best.scores.tolist() == all_boxes.scores[:2].tolist()


def test_a_rule_with_other_options_has_a_ranking_of_its_own(tmp_path):
    trained, features = weights(tmp_path), image([[0.9, 0.02], [0.5, 0.3]])
    assert len(RefNMSB100(trained)(features, [expression('cup')])[0]) == 3
    assert len(RefNMSB100(trained, delta=0.4)(features, [expression('cup')])[0]) == 2


def test_the_threshold_is_the_weights_own_unless_one_is_set(tmp_path):
    features = image([[0.9, 0.8], [0.7, 0.6]])
    assert RefNMSB(weights(tmp_path)).threshold == 0.1
    assert len(RefNMSB(weights(tmp_path), threshold=1.)(features, [expression('cup')])[0]) == 1
    with pytest.raises(InputError, match='ref-nms-b.threshold'):
        RefNMSB(weights(tmp_path, threshold=None))


def test_unknown_words_and_wordless_expressions_have_proposals(tmp_path):
    found = RefNMSB(weights(tmp_path))(image([[0.9, 0.8]]), [expression('giraffe'), expression(sent_id=1)])
    assert found[0].scores.tolist() == pytest.approx(found[1].scores.tolist())


def test_an_image_without_regions_has_no_proposals(tmp_path):
    for rule in RefNMSB(weights(tmp_path)), RefNMSB100(weights(tmp_path)):
        assert [len(p) for p in rule(image([]), [expression('cup'), expression('red', sent_id=1)])] == [0, 0]


def test_a_detector_that_gives_no_numbers_is_refused(tmp_path):
    with pytest.raises(InputError, match='image 7: .*not numbers'):
        RefNMSB(weights(tmp_path))(image([[float('nan'), 0.5]]), [expression('cup')])


@pytest.mark.parametrize('changes, message', [
    (dict(vocabulary=WORDS[:3]), '3 words but vectors of shape'),
    (dict(vocabulary=None), "'vocabulary'"),
    (dict(model=None), "'model'"),
    (dict(model={**MODEL, 'wings': 2}), 'wings'),
    (dict(model={**MODEL, 'hidden': 4}), 'not '),
    (dict(words=torch.zeros(4, 6)), 'takes 5 numbers a word'),
    ({'model.att_fc.bias': None}, 'att_fc.bias is missing'),
])
def test_weights_that_don_t_fit_are_refused_in_one_line(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as error:
        RefNMSB(weights(tmp_path, **changes))
    assert '\n' not in str(error.value) and 'ref-nms-b.safetensors' in str(error.value)
