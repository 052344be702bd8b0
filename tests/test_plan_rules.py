"""Rules with all that they need: which of them run, with which weights and word vectors."""
from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.evaluation.prepare import prepare
from harness.evaluation.request import Request
from harness.files.weights import shipped_path
from harness.registry import PROPOSAL_RULES, names

pytestmark = pytest.mark.usefixtures('small_benchmark')
BLIND = 'ref-nms-blind'


def request(*rules: str, **options: object) -> Request:
    return Request(rules=list(rules), datasets=['mini-refcoco'], splits=['val'], tasks=['recall'], limit=2, **options)


def rules_of(prepared: object) -> dict[str, object]:
    return prepared.plan.plugins['mini-refcoco'].rules


@pytest.mark.skipif(shipped_path(BLIND, 'mini-refcoco').is_file(), reason='somebody trained them')
def test_all_rules_are_those_whose_weights_are_there_and_the_others_are_noted() -> None:
    prepared = prepare(request('all'))
    outside = {n for n in names(PROPOSAL_RULES) if getattr(PROPOSAL_RULES.get(n), 'needs_candidates', False)}
    lacking = {n for n in names(PROPOSAL_RULES) if (weights := getattr(PROPOSAL_RULES.get(n), 'weights', None))
               and not shipped_path(weights, 'mini-refcoco').is_file()}
    assert set(rules_of(prepared)) == set(names(PROPOSAL_RULES)) - outside - lacking
    assert BLIND in lacking
    assert any(note.startswith(f'{BLIND}: left out, there is no ref-nms-blind-mini-refcoco.safetensors; train them')
               for note in prepared.notes)


@pytest.mark.skipif(shipped_path(BLIND, 'mini-refcoco').is_file(), reason='somebody trained them')
def test_a_rule_that_is_asked_for_by_name_says_how_its_weights_are_made() -> None:
    with pytest.raises(InputError, match=f'{BLIND}: its weights .* are not shipped; train them .* --weights') as error:
        prepare(request(BLIND))
    assert '\n' not in str(error.value)


def test_given_weights_take_the_place_of_those_that_are_not_shipped() -> None:
    others = shipped_path('ref-nms-b', 'mini-refcoco')
    for asked in (BLIND, 'all'):
        assert BLIND in rules_of(prepare(request(asked, weights={BLIND: others})))


def test_names_of_classes_are_compared_by_the_user_s_own_vectors(tmp_path: Path) -> None:
    mine = tmp_path / 'glove.840B.300d.txt'
    mine.write_text('dog 1 0\ncup 0 1\nunheard 1 1\n')
    rule = rules_of(prepare(request('category-name', vectors=mine)))['category-name']
    assert (rule.finder.vectors.name, rule.finder.gamma) == ('glove.840B.300d', 0.4)
    assert set(rule.finder.vectors.words) == {'dog', 'cup'}, 'the classes, whatever the sentences'
