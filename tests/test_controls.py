"""What grounders have to beat: chance and shuffled words."""
from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.structures import InstanceData

from harness.evaluation.controls import Chance, WordsShuffled
from harness.types import Expression


def expression(sent_id: int, *tokens: str) -> Expression:
    return Expression('d', 'val', 1, sent_id, ' '.join(tokens), tokens, (0, 0, 1, 1))


def proposals(n: int) -> InstanceData:
    return InstanceData(bboxes=torch.zeros(n, 4))


def test_chance_takes_each_proposal_about_equally_often() -> None:
    scores = Chance()(None, [expression(i, 'cup') for i in range(3000)], [proposals(3)] * 3000)
    shares = np.bincount([int(s.argmax()) for s in scores]) / 3000
    assert abs(shares - 1 / 3).max() < 0.04  # 4.6 standard deviations, and the draws are fixed


def test_chance_does_not_depend_on_the_other_expressions() -> None:
    one, two = expression(1, 'cup'), expression(2, 'left', 'cup')
    together = Chance()(None, [one, two], [proposals(4), proposals(0)])
    assert torch.equal(together[0], Chance()(None, [one], [proposals(4)])[0])
    assert len(together[1]) == 0


@given(st.lists(st.sampled_from(['a', 'cup', 'left', 'of', 'it']), max_size=8), st.integers(0, 50))
def test_the_grounder_hears_the_same_words_and_nothing_else_changes(tokens: list[str], sent_id: int) -> None:
    heard: list[Expression] = []

    def grounder(image, expressions, proposals):
        heard.extend(expressions)
        return ['its answer']

    said = expression(sent_id, *tokens)
    assert WordsShuffled(grounder)(None, [said], [proposals(2)]) == ['its answer']
    assert sorted(heard[0].tokens) == sorted(tokens)
    assert heard[0].sent.split() == list(heard[0].tokens)
    assert (heard[0].sent_id, heard[0].gt_xywh) == (said.sent_id, said.gt_xywh)


def test_a_long_sentence_is_heard_in_another_order() -> None:
    heard: list[Expression] = []
    said = expression(7, *'the small red cup on the left of it'.split())
    for _ in range(2):
        WordsShuffled(lambda image, expressions, proposals: heard.extend(expressions))(None, [said], [proposals(1)])
    assert heard[0].tokens != said.tokens
    assert heard[0] == heard[1], 'the same order every time'
