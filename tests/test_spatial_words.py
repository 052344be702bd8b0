"""Spatial words: what a sentence says of places, and which box that is."""
from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adapters.clip.spatial_words import MEANINGS, RELATIONS, SUPERLATIVES, SpatialReading, placed, read_places
from harness.words.language import read


def reading(sentence: str) -> SpatialReading | None:
    return read_places(read([sentence])[0])


@pytest.mark.parametrize(('sentence', 'expected'), [
    ('left cup', ('cup', (), ('left',))),
    ('the red cup on the left', ('the red cup', (), ('left',))),
    ('cup to the left of the dog', ('cup', (('left', 'the dog'),), ())),
    ('the man above the dog', ('the man', (('above', 'the dog'),), ())),
    ('the biggest cup', ('cup', (), ('bigger',))),
    ('cup on the left side of the table', ('cup', (('left', 'the table'),), ())),
    ('the cup in front of the dog', ('the cup', (('below', 'the dog'),), ()))])
def test_a_landmark_follows_its_word_and_any_other_word_singles_out(sentence: str, expected: tuple) -> None:
    assert reading(sentence) == expected


@pytest.mark.parametrize('sentence', ['', 'the red cup', 'left', 'blue'])
def test_without_a_spatial_word_or_a_noun_nothing_is_read(sentence: str) -> None:
    assert reading(sentence) is None


def test_every_meaning_is_known() -> None:
    assert set(RELATIONS) | set(SUPERLATIVES) == set(MEANINGS)


# Left to right: a small box, a large one, and a small one inside the large one.
BOXES = torch.tensor([[0., 0, 10, 10], [20, 0, 60, 40], [30, 20, 40, 40]], dtype=torch.double)


def test_what_words_mean_of_boxes() -> None:
    assert MEANINGS['left'](BOXES).tolist() == [[0, 1, 1], [0, 0, 0], [0, 1, 0]]
    assert MEANINGS['above'](BOXES).tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert MEANINGS['bigger'](BOXES).tolist() == [[0, 0, 0], [1, 0, 1], [1, 0, 0]]
    assert MEANINGS['within'](BOXES).tolist() == [[1, 0, 0], [0, 1, .125], [0, 1, 1]]
    for one, other in (('left', 'right'), ('above', 'below'), ('bigger', 'smaller')):
        assert torch.equal(MEANINGS[one](BOXES), MEANINGS[other](BOXES).T)


def test_a_superlative_prefers_the_box_that_is_left_of_the_others() -> None:
    even = torch.full((3,), 1 / 3, dtype=torch.double)
    # Left of two, of none and of one other box: 2/3, 0 and 1/3, each times 1/3 by the whole sentence.
    assert placed(SpatialReading('cup', (), ('left',)), even, even[None], BOXES).tolist() == pytest.approx(
        [2 / 9, 0, 1 / 9])


def test_a_relation_prefers_the_box_that_is_right_of_the_landmark() -> None:
    even = torch.full((3,), 1 / 3, dtype=torch.double)
    dog = torch.tensor([.9, 0, .1], dtype=torch.double)
    # Right of the dog with .9, .9 + .1 … by box 0, 1, 2: 0, 1.0 and .9.
    found = placed(SpatialReading('cup', (('right', 'dog'),), ()), even, torch.stack([even, dog]), BOXES)
    assert found.tolist() == pytest.approx([0, 1 / 1.9 / 3, .9 / 1.9 / 3])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.sampled_from(sorted(MEANINGS)))
def test_the_result_is_finite_whatever_the_boxes(values: list[float], meaning: str) -> None:
    whole = torch.tensor(values, dtype=torch.double)
    boxes = torch.zeros(len(values), 4, dtype=torch.double)
    found = placed(SpatialReading('cup', (), (meaning,)), whole, whole[None], boxes)
    assert found.shape == whole.shape and bool(torch.isfinite(found).all())
