"""Trees of sentences: from records, from nested ones, and parsed here by hand-made and real documents."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.lang.en import English
from spacy.tokens import Doc

from adapters.nmtree.trees import NOTHING, Parse, TreeVocabulary, from_nested, from_record, trees_of
from harness.errors import InputError
from harness.words import language

VOCAB = English().vocab
RED_DOG = Parse(('red', 'dog', 'left'), ('JJ', 'NN', 'RB'), ('amod', 'ROOT', 'advmod'), (1, -1, 1))
CAT = Parse(('cat',), ('NN',), ('ROOT',), (-1,))


def documents_of(monkeypatch: pytest.MonkeyPatch, **documents: Doc) -> list[str]:
    """The model knows these texts alone, ``_`` for a space; gives the list of what it is asked."""
    asked: list[str] = []

    class Model:
        def pipe(self, texts, batch_size):
            for text in texts:
                asked.append(text)
                yield documents[text.replace(' ', '_')]
    monkeypatch.setattr(language, 'english', Model)
    monkeypatch.setattr(language, '_READ', {})
    return asked


def classes(**words: str) -> Doc:
    return Doc(VOCAB, words=list(words), pos=list(words.values()), heads=[0] * len(words), deps=['ROOT'] * len(words))


def parsed(words: str, heads: list[int], deps: str) -> Doc:
    count = len(words.split())
    return Doc(VOCAB, words=words.split(), tags=[f'T{i}' for i in range(count)], heads=heads, deps=deps.split(),
               pos=['X'] * count)


def test_determiners_go_and_what_is_left_is_parsed_again_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = documents_of(monkeypatch, The_Red_Dog_plus=classes(The='DET', Red='ADJ', Dog='NOUN', plus='SYM'),
                         red_dog=parsed('red dog', [1, 1], 'amod ROOT'))
    parse, = trees_of([['The', 'Red', 'Dog', 'plus']])
    assert parse == Parse(('red', 'dog'), ('T0', 'T1'), ('amod', 'ROOT'), (1, -1))
    assert asked == ['The Red Dog plus', 'red dog']


def test_only_the_first_sentence_has_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    documents_of(monkeypatch, a=classes(dog='NOUN', left='ADV', it='PRON', sits='VERB'),
                 dog_left_it_sits=parsed('dog left it sits', [0, 0, 3, 3], 'ROOT advmod nsubj ROOT'))
    assert trees_of([['a']]) == [Parse(('dog', 'left'), ('T0', 'T1'), ('ROOT', 'advmod'), (-1, 0))]


def test_a_sentence_of_which_nothing_is_left_is_one_unknown_node(monkeypatch: pytest.MonkeyPatch) -> None:
    documents_of(monkeypatch, the=classes(the='DET'), **{'': Doc(VOCAB)})
    assert trees_of([['the'], []]) == [NOTHING, NOTHING]
    assert Parse(('UNK',), ('UNK',), ('UNK',), (-1,)) == NOTHING


def test_each_sentence_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = documents_of(monkeypatch, cat=parsed('cat', [0], 'ROOT'))
    first = trees_of([['cat'], ['cat']])
    assert trees_of([('cat',)]) == first[:1] == first[1:]
    assert asked == ['cat'], 'nothing was dropped, so the second parse is the first one'
    assert trees_of([]) == []


def test_the_model_of_the_harness_parses_plain_english() -> None:
    small, none = trees_of([['the', 'red', 'dog', 'on', 'the', 'left'], []])
    assert small == Parse(('red', 'dog', 'on', 'left'), ('JJ', 'NN', 'IN', 'JJ'), ('amod', 'ROOT', 'prep', 'pobj'),
                          (1, -1, 1, 2))
    assert none == NOTHING


WORDS = st.one_of(st.sampled_from(['dog', 'the', '🐕', '.', 'left', "man's", '👩‍🦰', '\u00a0', '#', '\ud83d']),
                  st.text(max_size=5))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=7), max_size=4))
def test_whatever_is_said_becomes_a_tree(sentences: list[list[str]]) -> None:
    parses = trees_of(sentences)
    assert len(parses) == len(sentences)
    for parse in parses:
        assert from_record(parse._asdict(), 'here') == parse, 'every node reaches the one root'
        assert all(token and token == token.lower() or token == 'UNK' for token in parse.tokens)


def test_a_record_is_a_tree() -> None:
    assert from_record({'tokens': ['red', 'dog', 'left'], 'tags': ['JJ', 'NN', 'RB'],
                        'deps': ['amod', 'ROOT', 'advmod'], 'heads': [1, -1, 1]}, 'file') == RED_DOG


@pytest.mark.parametrize('change', [
    {'heads': [1, -1]}, {'heads': [1, -1, 3]}, {'heads': [1, -1, -1]}, {'heads': [2, -1, 0]}, {'heads': [0, -1, 1]},
    {'heads': [1, -1, 1.0]}, {'heads': [True, -1, 1]}, {'heads': [1, -2, 1]}, {'heads': []}, {'heads': None},
    {'tokens': ['red', 'dog', 3]}, {'tags': ['JJ']}, {'tokens': [], 'tags': [], 'deps': [], 'heads': []},
    {'heads': [10 ** 30, -1, 1]},
])
def test_a_record_of_something_else_is_refused_in_one_line(change: dict) -> None:
    with pytest.raises(InputError, match='data_dep.json, sentence 7') as error:
        from_record(RED_DOG._asdict() | change, 'data_dep.json, sentence 7')
    assert '\n' not in str(error.value)


def test_the_originals_nested_form_is_the_same_tree() -> None:
    """``misc/parser.py: doc_to_tree``: a dictionary of one node to the list of what hangs on it."""
    nested = {(1, 'dog', 'NOUN', 'NN', 'ROOT'): [{(0, 'red', 'ADJ', 'JJ', 'amod'): []},
                                                {(2, 'left', 'ADV', 'RB', 'advmod'): []}]}
    assert from_nested(nested, 'file') == RED_DOG


@pytest.mark.parametrize('nested', [
    {}, [], None, {(0, 'a', 'X', 'NN', 'ROOT'): None}, {(0, 'a', 'X', 'NN'): []}, {'a': []},
    {(1, 'a', 'X', 'NN', 'ROOT'): []},
    {(0, 'a', 'X', 'NN', 'ROOT'): [{(0, 'b', 'X', 'NN', 'amod'): []}]}, {(0, 2, 'X', 'NN', 'ROOT'): []},
    {(0, 'a', 'X', 'NN', 'ROOT'): [], (1, 'b', 'X', 'NN', 'ROOT'): []}, {('0', 'a', 'X', 'NN', 'ROOT'): []},
])
def test_what_is_nested_in_another_way_is_refused(nested: object) -> None:
    with pytest.raises(InputError, match='file'):
        from_nested(nested, 'file')


def test_a_vocabulary_has_what_comes_twice() -> None:
    vocabulary = TreeVocabulary.build([RED_DOG, CAT, CAT, RED_DOG._replace(tokens=('red', 'fox', 'left'))])
    assert vocabulary.word_to_ix == {'PAD': 0, 'red': 1, 'left': 2, 'cat': 3, 'UNK': 4}
    assert vocabulary.tag_to_ix == {'PAD': 0, 'JJ': 1, 'NN': 2, 'RB': 3, 'UNK': 4}
    assert vocabulary.sizes == {'word_count': 5, 'tag_count': 5, 'dep_count': 5}
    assert TreeVocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_a_forest_has_the_ids_and_what_is_unknown_is_unk() -> None:
    vocabulary = TreeVocabulary.build([RED_DOG], threshold=0)
    forest = vocabulary.forest([RED_DOG, CAT, NOTHING])
    word, tag = vocabulary.word_to_ix, vocabulary.tag_to_ix
    assert forest.word.tolist() == [word['dog'], word['UNK'], word['UNK'], word['red'], word['left']]
    assert forest.tag.tolist() == [tag['NN'], tag['NN'], tag['UNK'], tag['JJ'], tag['RB']]
    assert forest.sentence.tolist() == [0, 1, 2, 0, 0] and forest.parent.tolist() == [-1, -1, -1, 0, 0]


def test_a_table_without_unk_takes_pad() -> None:
    tables = {'word_to_ix': {'PAD': 0, 'dog': 1}, 'tag_to_ix': {'PAD': 0}, 'dep_to_ix': {'PAD': 0}}
    assert TreeVocabulary.from_json(tables).forest([CAT]).word.tolist() == [0]


@pytest.mark.parametrize('table', [{}, {'dog': 0}, {'PAD': '0'}, {'PAD': True}, {'PAD': -1}, ['PAD'], {'UNK': 0, 1: 2}])
def test_what_is_no_table_is_refused(table: object) -> None:
    with pytest.raises(ValueError, match='vocabulary'):
        TreeVocabulary(table, {'PAD': 0}, {'PAD': 0})
