"""The quality of guessed contextual objects for each γ, on a scene worked out by hand and on the small benchmark."""
from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.errors import InputError
from harness.studies import main
from harness.studies.gamma import GAMMAS, SplitQuality, as_csv, as_markdown, spoken_of
from harness.types import Annotation, Dataset, Expression
from harness.words.critical_objects import choose_gamma
from harness.words.vectors import WordVectors

DEGREES = {'cup': 0, 'mug': 30, 'bowl': 60, 'dog': 120}
VECTORS = WordVectors('by hand', tuple(DEGREES), torch.tensor(
    [[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in DEGREES.values()], dtype=torch.float32), gamma=0.6)
ANNOTATIONS = {7: [Annotation(1, 7, (0, 0, 10, 10), 'cup'), Annotation(2, 7, (50, 0, 10, 10), 'bowl'),
                   Annotation(3, 7, (0, 50, 20, 20), 'dog')]}


def scene(*pairs: tuple[str, list[int]]) -> Dataset:
    expressions = [Expression('mini', 'val', 7, i, sent, tuple(sent.split()), (300, 300, 5, 5),
                              truth={'context_ann_ids': ids}) for i, (sent, ids) in enumerate(pairs)]
    return Dataset('mini', {}, expressions, ANNOTATIONS)


def found(data: Dataset, *gammas: float) -> SplitQuality:
    qualities = choose_gamma(data, VECTORS, 'val', gammas)
    return SplitQuality('mini', 'val', len(data.expressions), spoken_of(data), sorted(qualities, key=lambda q: q.gamma))


def test_gamma_goes_from_0_2_to_0_8() -> None:
    assert (GAMMAS[0], GAMMAS[1], GAMMAS[-1], len(GAMMAS)) == (0.2, 0.25, 0.8, 13)


def test_guessed_objects_are_counted_against_those_that_are_spoken_of() -> None:
    # A mug is at 30° of the cup and of the bowl, a cup at 60° of the bowl: at 0.4 both name both, at 0.6 the cup itself
    # alone, and at 0.95 the mug nothing. The sentences speak of the cup and the bowl, and of the cup.
    text = as_csv([found(scene(('mug', [1, 2]), ('cup', [1])), 0.4, 0.6, 0.95)])
    rows = list(csv.DictReader(text.splitlines()))
    numbers = [(row['gamma'], int(row['guessed_objects']), float(row['object_precision']), float(row['object_recall']))
               for row in rows]
    assert numbers == [('0.4', 4, 75, 100), ('0.6', 3, 100, 100), ('0.95', 1, 100, pytest.approx(100 / 3))]
    assert float(rows[0]['object_f1']) == pytest.approx(2 * 75 * 100 / 175)


def test_the_table_says_how_much_is_spoken_of_and_which_gamma_is_in_use() -> None:
    text = as_markdown([found(scene(('mug', [1, 2]), ('cup', [1])), 0.4, 0.6)], VECTORS)
    assert 'mini val: 2 expressions speak of 3 contextual objects; by hand' in text
    assert '**0.60**' in text and '**0.40**' not in text


def test_objects_that_are_not_annotated_are_not_counted() -> None:
    assert spoken_of(scene(('mug', [1, 99]), ('cup', []))) == 1


def test_the_study_on_the_small_benchmark(small_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(['gamma', '--dataset', 'mini-refcoco,mini-refcocog', '--out', str(tmp_path / 'gamma')]) == 0
    rows = list(csv.DictReader((tmp_path / 'gamma/gamma.csv').open()))
    assert {(row['dataset'], row['split']) for row in rows} == {('mini-refcoco', 'val'), ('mini-refcocog', 'val')}
    for name in ('mini-refcoco', 'mini-refcocog'):
        mine = [row for row in rows if row['dataset'] == name]
        assert [float(row['gamma']) for row in mine] == list(GAMMAS)
        for column in ('guessed_objects', 'object_recall', 'category_recall'):
            values = [float(row[column]) for row in mine]
            assert values == sorted(values, reverse=True), 'a larger gamma names no more'
    assert (tmp_path / 'gamma/gamma.md').read_text() in capsys.readouterr().out


@pytest.mark.parametrize('arguments, said', [
    (['--split', 'testC'], '--split testC: mini-refcoco has no such split; known are val, testA, testB'),
    (['--dataset', 'mini-refcoc'], 'did you mean mini-refcoco'), (['--limit', '0'], '--limit 0'),
    (['--data-root', '.'], '--data-root .: mini-refcoco is not read from there'),
    (['--vectors', 'none.txt'], 'none.txt'),
])
@pytest.mark.usefixtures('small_benchmark')
def test_what_is_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said.replace('?', r'\?')):
        main(['gamma', *arguments, '--out', str(tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()
