"""Word vectors: the forms they are read from, what is refused, and vocabularies."""
import json
import os
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from harness.errors import InputError
from harness.words.critical_objects import CriticalObjects
from harness.words.vectors import WordEmbedding, WordVectors, load_vectors, main, save_vectors


def written(tmp_path, content, name='glove.test.2d.txt'):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_glove_text(tmp_path):
    found = load_vectors(written(tmp_path, 'the 0.5 -1e-3\ncup 1 2\nna\u00a0n\u00efve 3 4\n'))
    assert found.name == 'glove.test.2d'
    assert found.words == ('the', 'cup', 'na\u00a0n\u00efve')  # only plain spaces separate
    torch.testing.assert_close(found.vectors, torch.tensor([[0.5, -0.001], [1, 2], [3, 4]]))
    assert found.rows(['cup', 'the', 'cup'])[:, 0].tolist() == [1, 0.5, 1]


def test_of_large_text_only_the_wanted_words_are_held(tmp_path):
    found = load_vectors(written(tmp_path, 'a 1 2\nb 3 4\nc 5 6\n'), wanted={'c', 'a', 'zebra'})
    assert found.words == ('a', 'c')
    assert load_vectors(written(tmp_path, 'a 1 2\n'), wanted=set()).vectors.shape == (0, 2)


def test_a_word_that_comes_twice_keeps_its_first_vector(tmp_path):
    assert load_vectors(written(tmp_path, 'a 1 2\na 3 4\n')).vectors.tolist() == [[1, 2]]


@pytest.mark.parametrize('name, gamma', [('glove.840B.300d.txt', 0.4), ('glove.6B.100d.txt', None)])
def test_the_paper_s_set_has_the_paper_s_gamma(tmp_path, name, gamma):
    assert load_vectors(written(tmp_path, 'a 1 2\n', name)).gamma == gamma


@pytest.mark.parametrize('content, message', [
    ('a 1 2\nb 3\n', 'line 2: .*a word and 2 numbers'),
    ('a 1 2\nb 3 4 5\n', 'line 2: .*a word and 2 numbers'),
    ('a 1 2\n\n', 'line 2'),
    ('a 1 2\nb 3 four\n', "line 2: .*'four'"),
    ('a 1  2\n', 'line 1'),
    (b'a 1 2\n\xff 3 4\n', 'line 2: .*utf-8'),
    ('a 1 nan\n', 'not finite'),
    ('a 1 1e39\n', 'not finite'),
    ('', 'no word vectors'),
])
@pytest.mark.filterwarnings('error')
def test_malformed_text_is_refused_with_its_line(tmp_path, content, message):
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=message) as error:
        load_vectors(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_npz(tmp_path):
    path = tmp_path / 'small.npz'
    np.savez(path, words=np.array(['a', 'b', 'c']), vectors=np.eye(3, dtype=np.float16))
    assert load_vectors(path).words == ('a', 'b', 'c')
    assert load_vectors(path, wanted={'b'}).vectors.tolist() == [[0, 1, 0]]


class Hostile:
    def __reduce__(self):
        return os.system, ('touch hostile-was-here',)


@pytest.mark.parametrize('arrays, message', [
    (dict(words=np.array(['a'])), 'vectors'),
    (dict(words=np.array(['a', 'b']), vectors=np.eye(3)), r'\(2,\)'),
    (dict(words=np.array([1, 2, 3]), vectors=np.eye(3)), 'int64'),
    (dict(words=np.array(['a', 'b', 'c']), vectors=np.eye(3, dtype=int)), 'int64'),
    (dict(words=np.array(['a', 'b', 'a']), vectors=np.eye(3)), "'a' has more than one vector"),
    (dict(words=np.array([Hostile()] * 3), vectors=np.eye(3)), 'without pickled objects'),
    (dict(words=np.array(['a', 'b', 'c']), vectors=np.full((3, 3), np.inf)), 'not finite'),
])
def test_other_npz_is_refused_and_nothing_of_it_executed(tmp_path, monkeypatch, arrays, message):
    monkeypatch.chdir(tmp_path)
    np.savez('bad.npz', **arrays)
    with pytest.raises(InputError, match=message):
        load_vectors('bad.npz')
    assert not (tmp_path / 'hostile-was-here').exists()


@pytest.mark.parametrize('name', ['v.npz', 'v.safetensors', 'v.txt'])
def test_files_that_are_missing_or_truncated_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=name):
        load_vectors(tmp_path / name)
    with pytest.raises(InputError, match=name):
        load_vectors(written(tmp_path, b'PK\x03\x04 and then nothing', name))


def test_safetensors_without_words_are_refused(tmp_path):
    path = tmp_path / 'v.safetensors'
    save_file({'vectors': torch.eye(2)}, path)
    with pytest.raises(InputError, match='words'):
        load_vectors(path)
    save_file({'vectors': torch.eye(2)}, path, metadata={'words': json.dumps(['a']), 'name': 'x'})
    with pytest.raises(InputError, match='differ in number'):
        load_vectors(path)


@pytest.mark.parametrize(('metadata', 'said'), [
    (dict(words='[{}, "b"]'), 'are text'), (dict(words='["a", ["b"]]'), 'are text'), (dict(words='[1, 2]'), 'are text'),
    (dict(words='['), 'Expecting'), (dict(words='[' * 100_000), 'not word vectors'), (dict(name='\x1b[2J'), 'are text'),
    (dict(gamma='nan'), 'is not between -1 and 1'), (dict(gamma='1e999'), 'is not between -1 and 1'),
    (dict(gamma='x' * 100_000), 'could not convert'), (dict(gamma='1.5'), 'is not between -1 and 1'),
])
def test_safetensors_that_lie_are_refused_in_one_line(tmp_path, metadata, said):
    path = tmp_path / 'v.safetensors'
    save_file({'vectors': torch.eye(2)}, path, metadata={'words': '["a", "b"]', 'name': 'x', **metadata})
    with pytest.raises(InputError, match=said) as error:
        load_vectors(path)
    assert str(error.value).isprintable() and len(str(error.value)) < 500


@settings(deadline=None)
@given(vectors=st.lists(st.lists(st.floats(-100, 100, width=16), min_size=3, max_size=3), max_size=5),
       gamma=st.none() | st.floats(0, 1))
def test_what_is_saved_is_what_is_read(tmp_path_factory, vectors, gamma):
    words = tuple(f'wörd "{i}"' for i in range(len(vectors)))
    saved = WordVectors('set', words, torch.tensor(vectors, dtype=torch.float32).reshape(-1, 3), gamma)
    path = tmp_path_factory.mktemp('vectors') / 'v.safetensors'
    save_vectors(path, saved)
    found = load_vectors(path)
    assert (found.name, found.words, found.gamma) == (saved.name, saved.words, saved.gamma)
    assert torch.equal(found.vectors, saved.vectors)
    assert [p.name for p in path.parent.iterdir()] == ['v.safetensors']


def test_the_subset_is_the_most_frequent_words_and_those_asked_for(tmp_path):
    np.savez(tmp_path / 'all.npz', words=np.array(list('abcde')), vectors=np.eye(5, dtype=np.float16))
    main(['subset', str(tmp_path / 'all.npz'), str(tmp_path / 'some.safetensors'), '--top', '2', '--also', 'b', 'e',
          '--gamma', '0.6', '--name', 'letters'])
    found = load_vectors(tmp_path / 'some.safetensors')
    assert (found.name, found.words, found.gamma) == ('letters', ('a', 'b', 'e'), 0.6)
    with pytest.raises(InputError, match='no vector for z'):
        main(['subset', str(tmp_path / 'all.npz'), str(tmp_path / 'x.safetensors'), '--also', 'z'])


# ------------------------------------------------------------------------------------------------- vocabularies

def test_a_vocabulary_gives_unknown_words_the_first_row():
    words = WordEmbedding(['<unk>', 'cup', 'left', 'red'], torch.arange(4.)[:, None])
    assert words.ids(['red', 'mug', 'cup']).tolist() == [3, 0, 1]
    assert words.ids([]).tolist() == [0]
    assert words(['left', 'cup', 'red'], longest=2)[:, 0].tolist() == [2, 1]


def test_a_vocabulary_is_the_sorted_words_that_occur_twice_and_have_a_vector():
    vectors = WordVectors('set', ('red', 'cup', 'rare'), torch.tensor([[1.], [2.], [3.]]))
    words = WordEmbedding.build([['red', 'cup', 'cupp'], ['red', 'cup', 'cupp', 'rare']], vectors)
    assert words.words == ('<unk>', 'cup', 'red')
    assert words.vectors.tolist() == [[0], [2], [1]]


# ------------------------------------------------------------------------------------------------------- advice

def test_vectors_without_a_gamma_are_told_what_a_user_can_do(tmp_path):
    text = written(tmp_path, 'cup 1 2\nred 3 4\n')
    with pytest.raises(InputError) as error:
        CriticalObjects(load_vectors(text))
    said = str(error.value)
    assert 'choose_gamma' not in said and said.isprintable()
    for advice in ('study gamma --vectors FILE', '--set critical-objects.gamma=VALUE',
                   'python -m harness.words.vectors subset FILE OUT.safetensors --gamma VALUE'):
        assert advice in said
    assert CriticalObjects(load_vectors(text), gamma=0.5).gamma == 0.5
    main(['subset', str(text), str(tmp_path / 'out.safetensors'), '--gamma', '0.5'])
    assert CriticalObjects(load_vectors(tmp_path / 'out.safetensors')).gamma == 0.5


@pytest.mark.parametrize('name', ['glove.6B.zip', 'glove.txt', 'v.safetensors'])
def test_glove_as_it_is_published_is_to_be_unzipped(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, 'w') as archive:
        for size in (50, 100, 200, 300):
            archive.writestr(f'glove.6B.{size}d.txt', 'cup 1 2\n')
    with pytest.raises(InputError) as error:
        load_vectors(tmp_path / name)
    assert 'a zip archive of glove.6B.50d.txt, glove.6B.100d.txt, glove.6B.200d.txt and 1 more; unzip it first' in str(
        error.value)
