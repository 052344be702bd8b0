"""NMTree's prepared data, trees and features; ``torch.save`` writes the ``.pth`` files, as in the original."""
import json

import numpy as np
import pytest
import torch

from adapters.nmtree.original_data import read_nmtree_data, read_trees, read_visual_features
from harness.errors import InputError

#: daqingliu/NMTree misc/parser.py:172-239.
RECORD = {
    'refs': [{'ref_id': 3, 'split': 'val', 'category_id': 18, 'ann_id': 70, 'sent_ids': [31, 32],
              'box': [10, 20, 30, 40], 'image_id': 7}],
    'images': [{'image_id': 7, 'height': 100, 'width': 200, 'file_name': 'COCO_train2014_000000000007.jpg',
                'ref_ids': [3], 'ann_ids': [70], 'h5_id': 0}],
    'anns': [{'ann_id': 70, 'category_id': 18, 'box': [10, 20, 30, 40], 'image_id': 7, 'h5_id': 0}],
    'sentences': [{'sent_id': 31, 'tokens': ['red', 'dog']}, {'sent_id': 32, 'tokens': ['UNK']}],
    'word_to_ix': {'PAD': 0, 'red': 1, 'dog': 2, 'UNK': 3},
    'tag_to_ix': {'PAD': 0, 'JJ': 1, 'NN': 2},
    'dep_to_ix': {'PAD': 0, 'ROOT': 1, 'amod': 2},
    'cat_to_ix': {'dog': 18},
}
#: daqingliu/NMTree misc/parser.py:44-75, 133-136: "red dog on grass", and a sentence of which nothing was left (66-68).
TREES = {
    31: {'tree': {(1, 'dog', 'NOUN', 'NN', 'ROOT'): [
            {(0, 'red', 'ADJ', 'JJ', 'amod'): []},
            {(2, 'on', 'ADP', 'IN', 'prep'): [{(3, 'grass', 'NOUN', 'NN', 'pobj'): []}]}]},
         'tokens': ['red', 'dog', 'on', 'grass'], 'tags': ['JJ', 'NN', 'IN', 'NN'],
         'deps': ['amod', 'ROOT', 'prep', 'pobj']},
    32: {'tree': {(0, 'UNK', 'UNK', 'UNK', 'UNK'): []}, 'tokens': ['UNK'], 'tags': ['UNK'], 'deps': ['UNK']},
}


@pytest.fixture(params=[False, True], ids=['old', 'zip'])
def saved(tmp_path, request):
    """Saves as PyTorch up to 1.5 did, and as it does since."""
    def save(value):
        torch.save(value, tmp_path / 'data_dep.pth', _use_new_zipfile_serialization=request.param)
        return tmp_path / 'data_dep.pth'
    return save


def refusal(read, *arguments):
    with pytest.raises(InputError) as error:
        read(*arguments)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


class TestData:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / 'refcocog_umd' / 'data_dep.json'
        path.parent.mkdir()
        path.write_text(json.dumps(RECORD))
        return path

    def test_dataset_and_vocabularies(self, path):
        data = read_nmtree_data(path)
        assert (data.dataset.name, [e.sent_id for e in data.dataset.expressions]) == ('refcocog', [31, 32])
        assert data.dataset.expressions[0].tokens == ('red', 'dog')
        assert (data.words, data.tags, data.deps) == (('PAD', 'red', 'dog', 'UNK'), ('PAD', 'JJ', 'NN'),
                                                      ('PAD', 'ROOT', 'amod'))
        assert (data.annotation_rows, data.category_ids) == ({70: 0}, {'dog': 18})

    def test_a_vocabulary_without_pad(self, path):
        path.write_text(json.dumps({**RECORD, 'tag_to_ix': {'JJ': 0}}))
        assert "'tag_to_ix' must have PAD as 0" in refusal(read_nmtree_data, path)
        path.write_text(json.dumps({**RECORD, 'dep_to_ix': [1]}))
        assert "'dep_to_ix' must be ids by word" in refusal(read_nmtree_data, path)


class TestTrees:
    def test_heads_are_positions(self, saved):
        trees = read_trees(saved(TREES))
        assert trees[31].tokens == ('red', 'dog', 'on', 'grass') and trees[31].heads == (1, -1, 1, 2)
        assert (trees[31].tags, trees[31].deps) == (('JJ', 'NN', 'IN', 'NN'), ('amod', 'ROOT', 'prep', 'pobj'))
        assert trees[32].tokens == ('UNK',) and trees[32].heads == (-1,)

    @pytest.mark.parametrize('value, complaint', [
        ([], 'must hold a record for each sent_id'),
        ({'31': {}}, 'must hold a record for each sent_id'),
        ({31: {'tokens': []}}, "sent_id 31: has no 'tree'"),
        ({31: {**TREES[31], 'tokens': ['a'] * 4}}, "sent_id 31: its 'tokens', 'tags' and 'deps' are not those"),
        ({31: {**TREES[32], 'tree': {(0, 'UNK'): []}}}, 'sent_id 31: no tree of'),
        ({31: {**TREES[32], 'tree': {(5, 'UNK', 'UNK', 'UNK', 'UNK'): []}}}, 'sent_id 31: no tree of'),
    ])
    def test_refusals(self, saved, value, complaint):
        assert complaint in refusal(read_trees, saved(value))


class TestFeatures:
    """daqingliu/NMTree utils/gt_loader.py:32, 86, 97: an array (boxes, 3072) for each sentence."""

    def test_by_sentence(self, saved):
        rows = np.arange(6, dtype=np.float32).reshape(2, 3)
        features = read_visual_features(saved({31: rows, 32: torch.zeros(1, 3, dtype=torch.float64)}))
        assert features[31].tolist() == rows.tolist() and features[31].dtype == torch.float32
        assert features[32].shape == (1, 3) and features[32].dtype == torch.float32

    @pytest.mark.parametrize('value, complaint', [
        ({31: [[1.0]]}, 'sent_id 31: must be an array'),
        ({31: np.zeros(3, np.float32)}, 'sent_id 31: must be an array'),
        ({31: np.full((1, 3), np.inf)}, 'sent_id 31: holds numbers that are not finite'),
        ({31: np.zeros((1, 3)), 32: np.zeros((1, 4))}, 'longer features than others'),
    ])
    def test_refusals(self, saved, value, complaint):
        assert complaint in refusal(read_visual_features, saved(value))
