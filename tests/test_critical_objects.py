"""Contextual objects by nouns and word vectors: worked cases, and the original's loop spelt out beside ours."""
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.errors import InputError
from harness.types import Annotation, Dataset, Expression
from harness.words.critical_objects import CriticalObjects, GammaQuality, choose_gamma, nouns, words_to_look_up
from harness.words.vectors import SHIPPED, WordVectors, load_vectors

DEGREES = {'cup': 0, 'mug': 30, 'bowl': 60, 'hot': 100, 'dog': 120, 'puppy': 130, 'cat': 170, 'man': 250, 'person': 240}
VECTORS = WordVectors('by hand', tuple(DEGREES), torch.tensor(
    [[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in DEGREES.values()], dtype=torch.float32) * 3)

BOXES = {'cup': (0, 0, 10, 10), 'bowl': (50, 0, 10, 10), 'hot dog': (0, 50, 20, 10), 'dog': (50, 50, 20, 20),
         'person': (100, 0, 30, 90)}
ANNOTATIONS = {7: [Annotation(i, 7, box, category) for i, (category, box) in enumerate(BOXES.items())]}


def expression(sent, gt_xywh=(300, 300, 5, 5), image_id=7, truth=None):
    return Expression('mini', 'train', image_id, 0, sent, tuple(sent.split()), gt_xywh, truth=truth)


def context(sent, gamma, **options):
    found, = CriticalObjects(VECTORS, gamma).context([expression(sent, **options)], ANNOTATIONS)
    return [a.category for a in found]


def test_nouns_numerals_and_pronouns_count():
    assert nouns(['the small brown dog lying in front of the blue car', 'red one on the left', 'left', 'two cups']) == [
        ('dog', 'front', 'car'), ('one',), (), ('two', 'cups')]


def test_a_noun_names_the_categories_nearer_than_gamma():
    assert context('red mug', 0.4) == ['cup', 'bowl']  # cos 30° twice
    assert context('red mug', 0.85) == ['cup', 'bowl']
    assert context('red mug', 0.87) == []
    assert context('red cup', 0.6) == ['cup']  # bowl is at 60°


def test_a_noun_at_gamma_names_nothing():
    assert context('red cup', 1.) == [] and context('red cup', np.nextafter(1., 0)) == ['cup']


def test_the_best_word_of_a_two_word_name_decides():
    assert context('puppy', 0.9) == ['hot dog', 'dog']


def test_the_best_noun_of_the_expression_decides():
    assert context('man with a cup', 0.9) == ['cup', 'person']


def test_the_referent_is_taken_out_by_an_overlap_of_more_than_0_9():
    assert context('the cup', 0.9, gt_xywh=BOXES['cup']) == []
    assert context('the cup', 0.9, gt_xywh=(0, 0, 10, 9.5)) == []  # 0.95
    assert context('the cup', 0.9, gt_xywh=(0, 0, 10, 9)) == ['cup']  # 0.9 is not more


def test_an_expression_without_nouns_and_an_image_without_objects_have_no_context():
    assert context('left', 0.9) == []
    assert context('the cup', 0.9, image_id=8) == []


def test_words_without_a_vector_are_skipped_and_listed():
    finder = CriticalObjects(VECTORS, 0.9)
    found = finder.context([expression('giraffe beside the cup'), expression('giraffe')],
                           {7: [*ANNOTATIONS[7], Annotation(9, 7, (200, 200, 9, 9), 'fire hydrant')]})
    assert [[a.category for a in row] for row in found] == [['cup'], []]
    assert finder.without_vector == {'giraffe': 2, 'fire': 1, 'hydrant': 1}


def test_gamma_belongs_to_the_vectors():
    assert CriticalObjects(WordVectors('any', VECTORS.words, VECTORS.vectors, gamma=0.7)).gamma == 0.7
    with pytest.raises(InputError, match='by hand'):
        CriticalObjects(VECTORS)


def test_it_is_the_original_s_loop():
    sentences = ['puppy and cup', 'man', 'mug on bowl', 'cat next to dog', 'left', 'cup cup cup', 'the hot dog']
    expressions = [expression(s, gt) for s in sentences for gt in BOXES.values()]
    vector = dict(zip(VECTORS.words, VECTORS.vectors.double().numpy(), strict=True))
    for gamma in (0.3, 0.55, 0.8):
        ours = CriticalObjects(VECTORS, gamma).context(expressions, ANNOTATIONS)
        for e, found in zip(expressions, ours, strict=True):
            expected = []
            for a in ANNOTATIONS[7]:
                cosines = [vector[n] @ vector[c] / np.linalg.norm(vector[n]) / np.linalg.norm(vector[c])
                           for n in nouns([e.sent])[0] if n in vector for c in a.category.split(' ')]
                if max(cosines, default=0.) > gamma and a.xywh != e.gt_xywh:
                    expected.append(a)
            assert found == expected


def test_the_words_of_which_a_vector_may_be_asked():
    assert words_to_look_up([expression("man's left cup")], ['hot dog']) == {'man', "'s", 'left', 'cup', 'hot', 'dog'}


# ------------------------------------------------------------------------------------------------- choosing gamma

def scenes(*pairs):
    expressions = [expression(sent, truth={'context_ann_ids': ids}) for sent, ids in pairs]
    return Dataset('mini', {}, expressions, ANNOTATIONS)


def test_gamma_is_chosen_by_the_truth_of_generated_scenes():
    # The image has a cup, a bowl, a hot dog, a dog, a person; a mug is at 30° of cup and of bowl, a cup at 60° of bowl.
    data = scenes(('mug', [0, 1]), ('cup', [0]))
    best, *others = choose_gamma(data, VECTORS, gammas=(0.4, 0.6, 0.95))
    assert best == GammaQuality(0.6, 1, 1, 1, 1, 1)
    by_gamma = {q.gamma: q for q in others}
    assert (by_gamma[0.4].precision, by_gamma[0.4].recall) == (3 / 4, 1)
    assert (by_gamma[0.95].precision, by_gamma[0.95].recall) == (1, 1 / 3)


def test_other_objects_of_the_referent_s_category_don_t_count_against_gamma():
    second_cup = Annotation(9, 7, (300, 300, 9, 9), 'cup')
    data = Dataset('mini', {}, [expression('cup', (300, 300, 9, 9), truth={'context_ann_ids': []})],
                   {7: [*ANNOTATIONS[7], second_cup]})
    quality, = choose_gamma(data, VECTORS, gammas=(0.6,))
    assert (quality.precision, quality.recall) == (1, 1)
    assert quality.context_precision == 0  # the first cup is not spoken of


def test_gamma_can_t_be_chosen_without_truth():
    with pytest.raises(InputError, match='needs the truth'):
        choose_gamma(Dataset('refcoco', {}, [expression('cup')], ANNOTATIONS), VECTORS)
    with pytest.raises(InputError, match='needs the truth'):
        choose_gamma(Dataset('refcoco', {}, [expression('cup', truth={'context_ann_ids': []})]), VECTORS)


# ------------------------------------------------------------------------------------------------- real vectors

def test_the_shipped_vectors_know_the_categories_and_have_their_gamma():
    vectors = load_vectors(SHIPPED)
    finder = CriticalObjects(vectors)
    from harness.embedded.world import CATEGORIES
    similarity = finder.similarity(['cup', 'puppy', 'guy'], list(CATEGORIES))
    column = list(CATEGORIES).index
    assert similarity[0, column('cup')] == pytest.approx(1)
    assert similarity[1, column('dog')] > finder.gamma > similarity[1, column('car')]
    assert not {w for name in CATEGORIES for w in name.split()} & set(finder.without_vector)


def test_the_shipped_vectors_are_the_first_rows_of_the_full_set():
    folder = Path(os.environ.get('REAL_DATA', Path(__file__).parents[1] / '../shared/real')).parent / 'vectors'
    full = folder / 'glove-6b-100d-40k.npz'
    if not full.is_file():
        pytest.skip(f'no full vectors: {full}')
    shipped, every = load_vectors(SHIPPED), load_vectors(full)
    assert shipped.words[:12000] == every.words[:12000]
    assert torch.equal(shipped.vectors, every.rows(shipped.words))
