"""Rules with all that they need: which of them run, with which weights and word vectors."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.evaluation.asked import TABLE_1
from harness.evaluation.prepare import prepare
from harness.evaluation.request import Request
from harness.files.weights import shipped_path
from harness.registry import PROPOSAL_RULES, names

pytestmark = pytest.mark.usefixtures('small_benchmark')


def request(*rules: str, **options: object) -> Request:
    return Request(rules=list(rules), datasets=['mini-refcoco'], splits=['val'], tasks=['recall'], limit=2, **options)


def rules_of(prepared: object) -> dict[str, object]:
    return prepared.plan.plugins['mini-refcoco'].rules


def test_all_rules_are_those_whose_weights_are_there_and_the_others_are_noted() -> None:
    prepared = prepare(request('all'))
    outside = {n for n in names(PROPOSAL_RULES) if getattr(PROPOSAL_RULES.get(n), 'needs_candidates', False)}
    assert set(rules_of(prepared)) == set(names(PROPOSAL_RULES)) - outside - {'clip-nms'}
    assert any(note.startswith('clip-nms: left out, its weights are missing; ') for note in prepared.notes)


def test_a_rule_that_is_asked_for_by_name_says_how_its_weights_are_made() -> None:
    said = 'clip-nms: its weights are not shipped; .* and give --weights clip=DIR'
    with pytest.raises(InputError, match=said) as error:
        prepare(request('clip-nms'))
    assert '\n' not in str(error.value)


def test_without_a_choice_the_rules_are_those_of_table_1() -> None:
    assert tuple(rules_of(prepare(replace(request(), rules=None)))) == TABLE_1


@pytest.mark.parametrize(('given', 'left_out'), [('ref-nms-b', 'ref-nms-r'), ('ref-nms-r', 'ref-nms-b')])
def test_shipped_weights_do_not_stand_beside_a_ref_nms_of_one_s_own_unless_asked_for(given: str, left_out: str) -> None:
    mine = {given: shipped_path(given, 'mini-refcoco')}
    prepared = prepare(replace(request(weights=mine), rules=None))
    assert set(rules_of(prepared)) == set(TABLE_1) - {left_out, f'{left_out}-100'}
    assert (f'{left_out}-100, {left_out}: left out, --weights gives another Ref-NMS; add --weights {left_out}=FILE'
            in prepared.notes)
    assert set(rules_of(prepare(request(left_out, given, weights=mine)))) == {left_out, given}


def test_given_weights_take_the_place_of_those_that_are_shipped() -> None:
    others = shipped_path('ref-nms-b', 'mini-refcoco')
    prepared = prepare(request('ref-nms-r', weights={'ref-nms-r': others}))
    assert prepared.weights['ref-nms-r (mini-refcoco)']['file'] == others.name


def test_names_of_classes_are_compared_by_the_user_s_own_vectors(tmp_path: Path) -> None:
    mine = tmp_path / 'glove.840B.300d.txt'
    mine.write_text('dog 1 0\ncup 0 1\nunheard 1 1\n')
    rule = rules_of(prepare(request('category-name', vectors=mine)))['category-name']
    assert (rule.finder.vectors.name, rule.finder.gamma) == ('glove.840B.300d', 0.4)
    assert set(rule.finder.vectors.words) == {'dog', 'cup'}, 'the classes, whatever the sentences'
