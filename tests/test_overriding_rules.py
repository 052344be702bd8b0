"""A rule that overrides a part of another one gives its own result, whatever else has looked at the image before."""
import pytest
import torch
from mmengine.structures import InstanceData

from adapters.modular.object_features import ObjectFeatures
from harness.errors import InputError
from harness.evaluation.plan import Group, Plan
from harness.proposals.additive import Additive
from harness.proposals.class_agnostic import ClassAgnostic
from harness.proposals.confidence import Confidence
from harness.proposals.greedy import Greedy, Greedy100
from harness.proposals.ref_nms import RefNMSB, RefNMSB100
from harness.proposals.soft_nms import SoftNMS
from harness.studies.survey import Survey, _rank
from harness.types import Dataset, ImageFeatures
from tests.small_grounders import an_image
from tests.test_ref_nms import expression, image, weights

SCORES = [[0.9, 0.02], [0.7, 0.3], [0.2, 0.8]]
EXPRESSIONS = [expression('red', 'cup'), expression('left', sent_id=1)]


class Contrary(RefNMSB100):
    """Another fusion."""

    def fused(self, relatedness, confidence):
        return (1 - relatedness) * confidence


class Powered(RefNMSB100):
    """A fusion with a parameter that is neither an option nor told to anybody."""

    power = 2

    def fused(self, relatedness, confidence):
        return relatedness ** self.power * confidence


class MorePowered(Powered):
    """The same function, another parameter."""

    power = 9


class Deaf(RefNMSB100):
    """Other relatedness."""

    def relate(self, image, network, vocabulary, delta, expressions):
        related = super().relate(image, network, vocabulary, delta, expressions)
        return type(related)(related.candidates, related.relatedness.flip(1), related.attention)


class Backwards(Confidence):
    """Another suppression."""

    def suppress(self, found):
        ranked = super().suppress(found)
        return InstanceData(**{name: value.flip(0) for name, value in ranked.items()})


class BackwardsBy(Confidence):
    """A suppression with an option that it keeps to itself."""

    def __init__(self, first=0):
        super().__init__()
        self.first = first

    def suppress(self, found):
        ranked = super().suppress(found)
        return ranked[torch.arange(len(ranked)).roll(-self.first)]


class OneLess(Greedy):
    """Other proposals."""

    def propose(self, image):
        return super().propose(image)[1:]


class HundredLessOne(Greedy100):
    """Other proposals."""

    def propose(self, image):
        return super().propose(image)[1:]


def figures(rule, features):
    return [(boxes.bboxes.tolist(), boxes.scores.tolist()) for boxes in rule(features, EXPRESSIONS)]


def of_ref_nms(rule, **options):
    return lambda trained: rule(trained, **options)


def without_weights(rule, **options):
    return lambda _: rule(**options)


@pytest.mark.parametrize('first, then', [
    (of_ref_nms(RefNMSB100), of_ref_nms(Contrary)),
    (of_ref_nms(Contrary), of_ref_nms(RefNMSB)),
    (of_ref_nms(RefNMSB100), of_ref_nms(Powered)),
    (of_ref_nms(Powered), of_ref_nms(MorePowered)),
    (of_ref_nms(RefNMSB100), of_ref_nms(Deaf)),
    (of_ref_nms(Additive, share=0.1), of_ref_nms(Additive, share=0.9)),
    (of_ref_nms(RefNMSB100), of_ref_nms(RefNMSB100, delta=0.5)),
    (without_weights(Confidence), without_weights(Backwards)),
    (without_weights(Confidence), without_weights(BackwardsBy, first=1)),
    (without_weights(BackwardsBy, first=1), without_weights(BackwardsBy, first=2)),
    (without_weights(SoftNMS, threshold=0.1), without_weights(ClassAgnostic, top=2)),
    (without_weights(Greedy), without_weights(OneLess)),
    (without_weights(Greedy), without_weights(Greedy, threshold=0.75)),
    (without_weights(Greedy100), without_weights(HundredLessOne)),
    (without_weights(Greedy100), without_weights(Greedy100, top=2)),
])
def test_after_another_rule_it_gives_what_it_gives_alone(tmp_path, first, then):
    trained, features = weights(tmp_path), image(SCORES)
    alone = figures(then(trained), image(SCORES))
    others = figures(first(trained), features)
    assert figures(then(trained), features) == alone != others


def test_equal_boxes_of_other_weights_have_relatedness_of_their_own(tmp_path):
    one = weights(tmp_path)
    other = weights(tmp_path, **{'model.rank_fc.bias': torch.tensor([3.])})
    features = image(SCORES)
    assert figures(RefNMSB100(one), features) != figures(RefNMSB100(other), features)


def test_other_expressions_of_an_image_have_relatedness_of_their_own(tmp_path):
    rule, features = RefNMSB100(weights(tmp_path)), image(SCORES)
    red_cup, left = rule(features, EXPRESSIONS)
    again, red = rule(features, [EXPRESSIONS[0], expression('red', sent_id=2)])
    alone, = rule(image(SCORES), [expression('red', sent_id=2)])
    assert torch.equal(again.scores, red_cup.scores)
    torch.testing.assert_close(red.scores, alone.scores)
    assert not torch.allclose(red.scores, left.scores)


def test_rules_that_fuse_alike_share_one_ranking(tmp_path):
    trained, features = weights(tmp_path), image(SCORES)
    rules = RefNMSB(trained), RefNMSB100(trained), RefNMSB100(trained, top=1), Additive(trained)
    product, hundred, one, mean = (rule.ranked(features, EXPRESSIONS) for rule in rules)
    assert product is hundred is one and product is not mean
    assert len({id(rule.network) for rule in rules}) == 1, 'which is loaded once'


def test_a_study_refuses_a_rule_whose_ranking_is_still_that_of_the_rule_it_was_made_from():
    plan = Plan({'mini': Dataset('mini', {}, [])}, {}, {}, None)
    group = Group('mini', 'val', image(SCORES).info, EXPRESSIONS)
    _rank(plan, group, image(SCORES), {'greedy': Greedy(), 'confidence': Confidence(top=2)}, Survey())
    with pytest.raises(InputError, match=r'mine: its proposals are not the first boxes of its ranked\(\)'):
        _rank(plan, group, image(SCORES), {'greedy': Greedy(), 'mine': OneLess()}, Survey())


# ---------------------------------------------------------------------------------------------- what is remembered

def test_a_function_with_the_same_arguments_is_computed_once():
    features, calls = image(SCORES), []

    def area(seen: ImageFeatures, factor: float) -> float:
        calls.append(factor)
        return factor * seen.info.height * seen.info.width

    assert [features.once(area, f) for f in (1, 2, 1, 2.)] == [307200, 614400, 307200, 614400]
    assert calls == [1, 2]


def test_a_method_is_another_one_for_each_object():
    class Mine:
        def __init__(self, name):
            self.name = name

        def look(self, seen):
            return self.name

    features = image(SCORES)
    assert [features.once(Mine(name).look) for name in ('one', 'other')] == ['one', 'other']


def test_features_of_another_class_are_not_taken_for_ours():
    class Mine(ObjectFeatures):
        pass

    features = an_image()
    assert type(ObjectFeatures.of(features)) is ObjectFeatures and type(Mine.of(features)) is Mine
    assert ObjectFeatures.of(features) is ObjectFeatures.of(features)
