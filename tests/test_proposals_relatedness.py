"""Rules that share Ref-NMS's relatedness and fuse it in another way, and Ref-NMS that hears nothing."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.proposals.additive import Additive
from harness.proposals.confidence import Confidence
from harness.proposals.ref_nms import RefNMSB, RefNMSB100
from harness.proposals.ref_nms_blind import RefNMSBlind
from harness.proposals.relatedness import Relatedness
from harness.registry import PROPOSAL_RULES
from tests.test_ref_nms import expression, image, weights

SCORES = [[0.9, 0.02], [0.5, 0.3], [0.2, 0.8]]
EXPRESSIONS = [expression('red', 'cup'), expression('left', sent_id=1)]


def test_the_rules_are_found_by_name():
    assert PROPOSAL_RULES.get('relatedness') is Relatedness and Relatedness.weights == 'ref-nms-b'
    assert PROPOSAL_RULES.get('additive') is Additive and Additive.weights == 'ref-nms-b'
    assert PROPOSAL_RULES.get('ref-nms-blind') is RefNMSBlind and RefNMSBlind.weights == 'ref-nms-blind'


def test_relatedness_is_computed_once_an_image_for_all_rules_that_use_it(tmp_path):
    trained, features = weights(tmp_path), image(SCORES)
    for rule in RefNMSB(trained), RefNMSB100(trained), Relatedness(trained), Additive(trained, share=0.2):
        rule(features, EXPRESSIONS)
    assert features.detector.calls == 1


def test_each_fusion_ranks_the_same_boxes_by_its_own_score(tmp_path):
    trained, features = weights(tmp_path), image(SCORES)
    product, = RefNMSB100(trained)(features, EXPRESSIONS[:1])
    alone, = Relatedness(trained)(features, EXPRESSIONS[:1])
    mean, = Additive(trained, share=0.25)(features, EXPRESSIONS[:1])
    assert len(product) == len(alone) == len(mean) == 5
    assert torch.equal(product.scores, product.relatedness * product.det_scores)
    assert torch.equal(alone.scores, alone.relatedness)
    assert torch.equal(mean.scores, 0.25 * mean.relatedness + 0.75 * mean.det_scores)
    for ranked in product, alone, mean:
        assert ranked.scores.tolist() == sorted(ranked.scores.tolist(), reverse=True)
        assert len(ranked.word_attention) == 2


def test_two_shares_do_not_share_a_ranking(tmp_path):
    trained, features = weights(tmp_path), image(SCORES)
    one, other = (Additive(trained, share=share)(features, EXPRESSIONS)[0] for share in (0.2, 0.8))
    assert one.scores.tolist() != other.scores.tolist()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.sampled_from([0., 0.04, 0.3, 0.6, 0.9]), min_size=2, max_size=2), min_size=1, max_size=5))
def test_a_sum_of_one_part_is_that_part_alone(tmp_path_factory, scores):
    trained, features = weights(tmp_path_factory.mktemp('weights')), image(scores)
    for share, rule in ((1, Relatedness(trained, top=9)), (0, Confidence(top=9))):
        for ours, theirs in zip(Additive(trained, share=share, top=9)(features, EXPRESSIONS),
                                rule(features, EXPRESSIONS), strict=True):
            assert torch.equal(ours.scores, theirs.scores) and torch.equal(ours.bboxes, theirs.bboxes)


def test_the_cut_is_by_the_rule_s_own_score(tmp_path):
    trained, features = weights(tmp_path), image(SCORES)
    all_boxes, = Relatedness(trained)(features, EXPRESSIONS[:1])
    between = float(all_boxes.scores[1:3].mean())
    assert len(Relatedness(trained, threshold=between)(features, EXPRESSIONS[:1])[0]) == 2
    assert len(Relatedness(trained, top=3)(features, EXPRESSIONS[:1])[0]) == 3
    with pytest.raises(InputError, match='additive.share=2: must be less than or equal to 1'):
        Additive(trained, share=2)


def test_an_image_without_regions_has_no_proposals(tmp_path):
    trained = weights(tmp_path)
    for rule in Relatedness(trained), Additive(trained), RefNMSBlind(trained):
        assert [len(p) for p in rule(image([]), EXPRESSIONS)] == [0, 0]


# ---------------------------------------------------------------------------------------------- without text

def test_blind_ref_nms_proposes_the_same_for_every_sentence(tmp_path):
    trained, features = weights(tmp_path, sentence='red cup'), image(SCORES)
    first, second = RefNMSBlind(trained)(features, EXPRESSIONS)
    other, = RefNMSBlind(trained)(image(SCORES), [expression('left')])
    heard, = RefNMSB(trained)(image(SCORES), [expression('red', 'cup')])
    for proposals in first, second, other:
        assert torch.equal(proposals.scores, heard.scores) and torch.equal(proposals.bboxes, heard.bboxes)


def test_blind_ref_nms_hears_no_words_unless_its_weights_name_some(tmp_path):
    trained = weights(tmp_path)
    blind, = RefNMSBlind(trained)(image(SCORES), [expression('red', 'cup')])
    wordless, = RefNMSB(trained)(image(SCORES), [expression()])
    assert torch.equal(blind.scores, wordless.scores)


def test_blind_ref_nms_cuts_at_its_weights_threshold_unless_told_otherwise(tmp_path):
    assert RefNMSBlind(weights(tmp_path)).threshold == 0.1
    assert RefNMSBlind(weights(tmp_path), threshold=0.3).threshold == 0.3
    by_number = RefNMSBlind(weights(tmp_path), top=2)
    assert (by_number.threshold, by_number.top) == (None, 2)
