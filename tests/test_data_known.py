"""The real datasets by name, and their published counts."""
import json
import pickle

import pytest

from harness.data.counts import PUBLISHED, Counts, check_counts, count
from harness.errors import InputError
from harness.registry import DATASETS
from harness.types import Dataset, Expression


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
        assert f'{name} val: 1 expressions, published are {PUBLISHED[name]["val"].expressions:,}' in dataset.notes
