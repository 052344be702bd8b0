"""``sents.json`` of refer-parser2: which words of a sentence are attributes of what it refers to."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.modular.attributes import parsed_of_referents
from adapters.modular.parsed_sentences import read_parsed
from harness.errors import InputError
from harness.types import Expression

NONE = {f'r{i}': ['none'] for i in range(1, 9)}


def a_row(sent_id: Any = 7, **atts: Any) -> dict[str, Any]:
    return {'sent_id': sent_id, 'sent': '…', 'tokens': [], 'raw': '…', 'parse': {'text': '…'}, 'left': [],
            'atts': {**NONE, **atts}}


def written(folder: Path, content: Any) -> Path:
    path = folder / 'sents.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_attributes_are_head_noun_colours_and_other_adjectives(tmp_path: Path) -> None:
    rows = [a_row(7, r1=['man'], r2=['red'], r3=['big'], r4=['left'], r6=['dog'], r7=['old', 'red']), a_row(8)]
    assert read_parsed(written(tmp_path, rows)) == {7: ('man', 'red', 'old'), 8: ()}


@pytest.mark.parametrize(('content', 'said'), [
    ('{', 'is not valid JSON'), ({'sents': []}, 'must be a list of parsed sentences (sents.json of refer-parser2)'),
    ([], 'has no sentence'), ([3], '[0]: must be a record with named fields, not a whole number'),
    ([a_row('7')], "[0]: 'sent_id' must be an integer, not text"), ([{'sent_id': 7}], "[0]: has no 'atts'"),
    ([a_row(), a_row()], 'sent_id 7 comes twice'), ([a_row(r2='red')], "[0]: atts: 'r2' must be a list, not text"),
    ([a_row(r7=[1])], "[0]: atts: 'r7' must be a list of words"),
    ([{'sent_id': 7, 'atts': {'r1': []}}], "[0]: atts: has no 'r2'")])
def test_a_broken_file_is_one_line(content: Any, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as refused:
        read_parsed(path)
    assert str(refused.value).startswith(str(path)) and said in str(refused.value)
    assert '\n' not in str(refused.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'sents\.json: there is no such file'):
        read_parsed(tmp_path / 'sents.json')


def test_a_referent_is_what_all_its_sentences_say_without_categories_and_places() -> None:
    expressions = [Expression('d', 'train', 1, sent_id, '', (), (0, 0, 1, 1), ref_id, ref_id)
                   for sent_id, ref_id in ((1, 5), (2, 5), (3, 6), (4, 7))]
    parsed = {1: ('man', 'red'), 2: ('red', 'left', 'cup'), 3: ('plant',)}
    said = parsed_of_referents(expressions, ['cup', 'potted plant'], parsed)
    assert said == {5: ('man', 'red'), 6: ('plant',), 7: ()}
