"""NMTree's prepared data, trees and features; ``torch.save`` writes the ``.pth`` files, as in the original."""

import numpy as np
import pytest
import torch

from adapters.nmtree.original_data import read_trees, read_visual_features
from harness.errors import InputError

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


class TestTrees:
    def test_heads_are_positions(self, saved):
        trees = read_trees(saved(TREES))
        assert trees[31].tokens == ('red', 'dog', 'on', 'grass') and trees[31].heads == (1, -1, 1, 2)
        assert (trees[31].tags, trees[31].deps) == (('JJ', 'NN', 'IN', 'NN'), ('amod', 'ROOT', 'prep', 'pobj'))
        assert trees[32].tokens == ('UNK',) and trees[32].heads == (-1,)

    @pytest.mark.parametrize('value, complaint', [
        ([], 'must hold one record per sent_id'),
        ({'31': {}}, 'must hold one record per sent_id'),
        ({31: {'tokens': []}}, "sent_id 31: has no 'tree'"),
        ({31: {**TREES[31], 'tokens': ['a'] * 4}}, "sent_id 31: its 'tokens', 'tags' and 'deps' are not those"),
        ({31: {**TREES[32], 'tree': {(0, 'UNK'): []}}}, 'sent_id 31: is no tree of'),
        ({31: {**TREES[32], 'tree': {(5, 'UNK', 'UNK', 'UNK', 'UNK'): []}}}, 'sent_id 31: is no tree of'),
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
