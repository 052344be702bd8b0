"""The real datasets by name, and their published counts."""
import json
import os
import pickle
from pathlib import Path

import pytest

from harness.data.counts import PUBLISHED, Counts, check_counts, count
from harness.data.known import datasets_in, load_known
from harness.data.results import RunRecord
from harness.errors import InputError
from harness.evaluation.datasets import EMBEDDED, find_datasets, notes_on
from harness.registry import DATASETS
from harness.types import Dataset, Expression
from reports.rows.results_files import Run
from reports.tables.table_notes import _warnings


def expressions(split, referents, per_referent, images):
    """``referents`` on ``images`` images, each named ``per_referent`` times."""
    box = (0.0, 0.0, 1.0, 1.0)
    return [Expression('refcocog', split, i % images, i * per_referent + j, 'cup', ('cup',), box, ref_id=i)
            for i in range(referents) for j in range(per_referent)]


def test_splits_add_up_to_the_papers_totals():
    totals = {name: tuple(map(sum, zip(*splits.values(), strict=True))) for name, splits in PUBLISHED.items()}
    assert totals == {'refcoco': (50_000, 142_210, 19_994), 'refcoco+': (49_856, 141_564, 19_992),
                      'refcocog': (49_822, 95_010, 25_799)}


def test_counting():
    assert count(expressions('val', referents=4, per_referent=3, images=2)) == Counts(4, 12, 2)


def test_referents_without_ids_are_told_apart_by_their_boxes():
    boxes = [(0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 2.0)]
    rows = [Expression('d', 'val', 7, i, 'cup', ('cup',), box) for i, box in enumerate(boxes)]
    assert count(rows).referents == 2


def test_what_differs_is_said(monkeypatch):
    monkeypatch.setitem(PUBLISHED, 'refcocog', {'val': Counts(4, 12, 2), 'test': Counts(1, 1, 1)})
    rows = expressions('val', 4, 3, 2) + expressions('test', 1, 2, 1) + expressions('extra', 1, 1, 1)
    assert check_counts(Dataset('refcocog', {}, rows)) == [
        'refcocog test: 2 expressions, published are 1',
        'refcocog extra: this split is not among the published ones',
    ]


def test_an_unknown_dataset_has_nothing_to_differ_from():
    assert check_counts(Dataset('mine', {}, expressions('val', 1, 1, 1))) == []


@pytest.mark.parametrize('name', ['refcoco', 'refcoco+', 'refcocog'])
class TestByName:
    def test_without_a_data_root_says_how_to_give_it(self, name):
        with pytest.raises(InputError, match='--data-root: .* give the folder that holds'):
            DATASETS.get(name)(None)

    def test_is_read_and_counted(self, name, tmp_path):
        folder = tmp_path / name
        folder.mkdir()
        split_by = 'umd' if name == 'refcocog' else 'unc'
        (folder / f'refs({split_by}).p').write_bytes(pickle.dumps([
            {'ref_id': 1, 'ann_id': 2, 'image_id': 3, 'split': 'val',
             'sentences': [{'sent_id': 4, 'sent': 'cup', 'tokens': ['cup']}]}]))
        (folder / 'instances.json').write_text(json.dumps({
            'images': [{'id': 3, 'height': 5, 'width': 6, 'file_name': 'a.jpg'}],
            'annotations': [{'id': 2, 'image_id': 3, 'category_id': 1, 'bbox': [0, 0, 1, 1]}],
            'categories': [{'id': 1, 'name': 'cup'}]}))
        dataset = DATASETS.get(name)(tmp_path)
        assert dataset.name == name and len(dataset.expressions) == 1
        note, = dataset.notes
        assert note.startswith(f'{name}: counts differ from the published ones: ')
        assert f'{name} val: 1 expressions, published are {PUBLISHED[name]["val"].expressions:,}' in note


def annotate(root, name, *makers, instances=True):
    """REFER's layout with one expression of the sentence id 4, once for each maker of splits."""
    folder = root / name
    folder.mkdir(parents=True)
    for maker in makers:
        (folder / f'refs({maker}).json').write_text(json.dumps([
            {'ref_id': 1, 'ann_id': 2, 'image_id': 3, 'split': f'val of {maker}',
             'sentences': [{'sent_id': 4, 'sent': 'cup', 'tokens': ['cup']}]}]))
    if instances:
        (folder / 'instances.json').write_text(json.dumps({
            'images': [{'id': 3, 'height': 5, 'width': 6, 'file_name': 'a.jpg'}],
            'annotations': [{'id': 2, 'image_id': 3, 'category_id': 1, 'bbox': [0, 0, 1, 1]}],
            'categories': [{'id': 1, 'name': 'cup'}]}))


class TestWhoMadeTheSplits:
    @pytest.mark.parametrize('name, makers, asked, used', [
        ('refcoco', ['google', 'unc'], None, 'unc'), ('refcocog', ['google', 'umd'], None, 'umd'),
        ('refcocog', ['google', 'umd'], 'google', 'google'), ('refcocog', ['google'], None, 'google'),
        ('mine', ['me'], None, 'me'), ('mine', ['me', 'unc'], 'unc', 'unc'),
    ])
    def test_the_one_asked_for_or_the_published_or_the_only_one(self, tmp_path, name, makers, asked, used):
        annotate(tmp_path, name, *makers)
        assert load_known(name, tmp_path, asked).splits == (f'val of {used}',)

    @pytest.mark.parametrize('name, makers, asked, said', [
        ('mine', ['me', 'unc'], None, r'mine has the refs of me, unc; choose one'),
        ('refcocog', ['berkeley', 'google'], None, r'refcocog has the refs of berkeley, google; choose one'),
        ('mine', ['google', 'unc'], 'googel',
         r'--split-by googel: .* has no such refs, did you mean google\?; there are those of google, unc'),
        ('mine', ['google'], 'a\nb', r"--split-by 'a\\nb': .* there are those of google"),
    ])
    def test_what_is_not_clear_is_refused_with_the_choices(self, tmp_path, name, makers, asked, said):
        annotate(tmp_path, name, *makers)
        with pytest.raises(InputError, match=said):
            load_known(name, tmp_path, asked)

    def test_published_counts_go_with_published_splits(self, tmp_path):
        annotate(tmp_path, 'refcocog', 'google', 'umd')
        annotate(tmp_path, 'mine', 'unc')
        assert 'counts differ' in load_known('refcocog', tmp_path).notes[0]
        assert load_known('refcocog', tmp_path, 'google').notes == [
            'refcocog: divided by google, not umd: not comparable with published numbers']
        assert load_known('mine', tmp_path).notes == []


class TestADataRoot:
    def test_by_default_all_that_it_holds_the_published_ones_first(self, tmp_path):
        for name in ('aardvark', 'refcocog', 'refcoco', 'images'):
            annotate(tmp_path, name, *([] if name == 'images' else ['unc']))
        datasets, notes = find_datasets(None, tmp_path, None, None)
        assert list(datasets) == ['refcoco', 'refcocog', 'aardvark']
        assert notes == []

    def test_what_is_incomplete_is_left_out_with_one_note(self, tmp_path):
        annotate(tmp_path, 'refcoco', 'unc', 'google')
        annotate(tmp_path, 'refcoco+', 'unc')
        annotate(tmp_path, 'refcocog', 'google', instances=False)
        annotate(tmp_path, 'mine', 'google')
        datasets, notes = find_datasets(None, tmp_path, 'google', None)
        assert list(datasets) == ['refcoco', 'mine']
        assert notes == [f'--data-root {tmp_path}: left out refcoco+, refcocog, for want of instances.json or '
                         'refs(google)']

    def test_a_dataset_that_is_asked_for_is_not_left_out(self, tmp_path):
        annotate(tmp_path, 'refcoco', 'unc')
        annotate(tmp_path, 'mine', 'unc', instances=False)
        with pytest.raises(InputError, match=r'mine/instances\.json: there is no such file'):
            find_datasets(['mine'], tmp_path, None, None)

    def test_all_means_the_embedded_ones_and_those_that_are_there(self, small_benchmark, tmp_path):
        annotate(tmp_path, 'mine', 'unc')
        assert list(find_datasets(['all'], tmp_path, None, None)[0]) == [*EMBEDDED, 'mine']
        assert list(find_datasets(['all'], None, None, None)[0]) == list(EMBEDDED)

    @pytest.mark.parametrize('asked, root, split_by, said', [
        (None, 'none', None, 'none: there is no such folder'),
        (None, 'root/empty', None, 'empty: holds no dataset, which is a folder with refs'),
        (None, 'root/mine', None, "mine: is itself a dataset's folder; give the one that holds it"),
        (['mien'], 'root', None, '--dataset mien: unknown, did you mean mine'),
        (None, None, 'unc', '--split-by: says which refs of --data-root are meant; add --data-root DIR'),
    ])
    def test_what_is_refused(self, tmp_path, asked, root, split_by, said):
        annotate(tmp_path / 'root', 'mine', 'unc')
        (tmp_path / 'root' / 'empty').mkdir()
        with pytest.raises(InputError, match=said):
            find_datasets(asked, root and tmp_path / root, split_by, None)

    def test_a_folder_that_cannot_be_listed_is_no_dataset(self, tmp_path, monkeypatch):
        annotate(tmp_path, 'mine', 'unc')
        listdir = os.listdir

        def refusing(path):
            if 'mine' in str(path):
                raise PermissionError(13, 'Permission denied')
            return listdir(path)
        monkeypatch.setattr('os.listdir', refusing)
        assert datasets_in(tmp_path) == {}


def test_what_goes_for_several_datasets_is_said_once():
    sets = [Dataset('refcoco', {}, [], {}, notes=['refcoco: counts differ: refcoco val 1 of 2']),
            Dataset('refcoco+', {}, [], {}, notes=['refcoco+: counts differ: refcoco+ val 3 of 4']),
            Dataset('mine', {}, []), Dataset('mini-refcoco', {}, [], {})]
    assert notes_on(sets, shipped_weights=True) == [
        'refcoco, refcoco+: counts differ: refcoco val 1 of 2; refcoco+ val 3 of 4',
        "refcoco, refcoco+: the embedded benchmark's weights on other images: meaningless as accuracy",
        "mine: the embedded benchmark's weights, those of mini-refcoco, on other images: meaningless as accuracy",
        'mine: the file has neither masks nor categories nor other objects: context recall and RES are not available']


@pytest.mark.parametrize('shown, told', [(['refcoco'], True), (['refcoco+'], True), (['refcocog'], False)])
def test_a_note_on_several_datasets_stands_under_the_tables_of_each(shown, told):
    run = Run(Path('results.json'), [], RunRecord(notes=['refcoco, refcoco+: counts differ: …']))
    assert ('refcoco, refcoco+: counts differ: …' in _warnings([run], shown)) == told
