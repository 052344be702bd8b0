"""The statistics of expressions, by hand on a few sentences."""
import gzip
import json

import pytest

from harness.embedded.stats import Expressions, main, measure, read_plain, side_by_side, spacy_nouns
from harness.errors import InputError

ROWS = [('refcoco', 'val', 7, 'left cup'), ('refcoco', 'val', 7, 'the red one'),
        ('refcoco', 'val', 8, 'man in blue shirt'), ('refcocog', 'test', 9, 'a dog behind a car')]


def write(path, rows):
    lines = [json.dumps({'dataset': d, 'split': s, 'image_id': i, 'sent': t, 'bbox': [0, 0, n + 1, 5]}) + '\n'
             for n, (d, s, i, t) in enumerate(rows)]
    with gzip.open(path, 'wt') if path.suffix == '.gz' else path.open('w') as file:
        file.writelines(lines)
    return path


def test_the_figures_of_three_sentences():
    column = Expressions('refcoco', 'val', [row[3] for row in ROWS[:3]], [7, 7, 8], [1, 2, 2], {7: 4, 8: 6},
                         [False, False, True])
    nouns = [['cup'], [], ['man', 'shirt']]
    assert measure(column, lambda sentences: nouns) == {
        'expressions': '3', 'images': '2', 'expressions per image': '1.5', 'expressions per referent': '1.5',
        'words, mean': '3.00', 'words, median': '3', 'vocabulary': '9', 'with a location word %': '33.3',
        'with a word of a category\'s name %': '33.3', 'without a noun %': '33.3', 'with a second noun %': '33.3',
        'with a contextual object %': '33.3', 'objects per image': '5.0'}


def test_words_that_only_point_are_no_nouns():
    assert spacy_nouns(['left one', 'man in the blue shirt']) == [[], ['man', 'shirt']]


@pytest.mark.parametrize('name', ['rows.jsonl', 'rows.jsonl.gz'])
def test_plain_expressions_are_grouped_by_dataset_and_split(tmp_path, name):
    val, test = read_plain(write(tmp_path / name, ROWS))
    assert (val.dataset, val.split, len(val.sentences), val.objects) == ('refcoco', 'val', 3, None)
    assert (test.dataset, test.sentences) == ('refcocog', ['a dog behind a car'])
    assert measure(test, lambda sentences: [['dog', 'car']])['objects per image'] == '-'


def test_a_real_split_stands_beside_the_one_that_imitates_it(tmp_path):
    real = read_plain(write(tmp_path / 'rows.jsonl', ROWS))
    mini = Expressions('mini-refcoco', 'val', ['left cup'], [1], [1])
    assert side_by_side([mini], real) == [mini, *real]


@pytest.mark.parametrize('text', ['{"dataset": "refcoco"}', 'not json', '[1]'])
def test_another_file_is_refused_with_one_line(tmp_path, text):
    (tmp_path / 'rows.jsonl').write_text(text)
    with pytest.raises(InputError, match='--expressions .*rows.jsonl') as refusal:
        main(['--expressions', str(tmp_path / 'rows.jsonl')])
    assert '\n' not in str(refusal.value)
