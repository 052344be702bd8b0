"""Files of ``torch.save`` come out as they went in, in both layouts; classes that they name become inert records."""
import argparse
import collections
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.errors import InputError
from harness.files.pickle_values import Global
from harness.files.torch_file import InertObject, load, state_dict

LAYOUTS = pytest.mark.parametrize('zipped', [False, True], ids=['old', 'zip'])
TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
         torch.uint8, torch.bool]


@pytest.fixture
def saved(tmp_path):
    def save(value, zipped=True):
        path = tmp_path / 'saved.pth'
        torch.save(value, path, _use_new_zipfile_serialization=zipped)
        return path
    return save


class Inner(nn.Module):
    """A module with everything that a state dict has to do with."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.).view(2, 3))
        self.register_parameter('bias', None)
        self.register_buffer('kept', torch.tensor([1, 2]))
        self.register_buffer('passing', torch.zeros(2), persistent=False)
        self.norm = nn.BatchNorm1d(3)
        self.kind = 'some text'
        self.activation = nn.functional.relu


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        inner = Inner()
        self.parts = nn.Sequential(inner, nn.ReLU(), inner)
        self.rnn = nn.LSTM(3, 2, bidirectional=True)
        self.absent = None


class TestTensors:
    @LAYOUTS
    @pytest.mark.parametrize('dtype', TYPES, ids=str)
    def test_every_number_type(self, saved, zipped, dtype):
        tensor = torch.tensor([[0, 1, 2], [3, 0, 5]]).to(dtype)
        read = load(saved(tensor, zipped))
        assert read.dtype == dtype and torch.equal(read, tensor)

    @LAYOUTS
    @settings(max_examples=20, deadline=None)
    @given(shape=st.lists(st.integers(0, 3), max_size=4), seed=st.integers(0, 9))
    def test_any_shape(self, tmp_path_factory, zipped, shape, seed):
        tensor = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        path = tmp_path_factory.mktemp('shapes') / 'saved.pth'
        torch.save(tensor, path, _use_new_zipfile_serialization=zipped)
        read = load(path)
        assert read.shape == tensor.shape and torch.equal(read, tensor)

    @LAYOUTS
    def test_views_of_one_storage_stay_views_of_one(self, saved, zipped):
        whole = torch.arange(12.).view(3, 4)
        row, across, again = load(saved([whole[1], whole.T, whole], zipped))
        assert row.tolist() == [4, 5, 6, 7] and torch.equal(across, whole.T)
        again[1, 0] = -1
        assert row[0] == -1 and across[0, 1] == -1

    @LAYOUTS
    def test_parameters_are_tensors(self, saved, zipped):
        read = load(saved({'p': nn.Parameter(torch.ones(2), requires_grad=False)}, zipped))
        assert type(read['p']) is torch.Tensor and not read['p'].requires_grad

    @LAYOUTS
    def test_with_plain_data_and_numeric_arrays(self, saved, zipped):
        value = {1: [np.arange(3.), 'text'], 'size': torch.Size([2, 3]), 'set': {1, 2},
                 'ordered': collections.OrderedDict([('b', 1), ('a', 2)])}
        read = load(saved(value, zipped))
        np.testing.assert_array_equal(read[1][0], np.arange(3.))
        assert read['size'] == (2, 3) and read['set'] == {1, 2} and list(read['ordered']) == ['b', 'a']

    @LAYOUTS
    def test_trees_whose_nodes_are_keys(self, saved, zipped):
        """As ``misc/parser.py: doc_to_tree`` of daqingliu/NMTree nests them."""
        tree = {(1, 'cup', 'NOUN', 'NN', 'ROOT'): [{(0, 'red', 'ADJ', 'JJ', 'amod'): []},
                                                   {(2, 'up', 'ADV', 'RB', 'advmod'): []}]}
        assert load(saved({7: {'tree': tree}}, zipped)) == {7: {'tree': tree}}

    def test_two_tuples_as_keys_of_one_dict_are_refused(self, saved):
        with pytest.raises(InputError, match='a key of type tuple'):
            load(saved({(1, 2): 0, (3, 4): 0}))


class TestModules:
    @LAYOUTS
    def test_a_pickled_module_gives_its_state_dict(self, saved, zipped, monkeypatch):
        """Its classes may be gone by then."""
        outer = Outer()
        path = saved({'model': outer, 'opt': {'jemb_dim': 3}}, zipped)
        expected = {name: tensor.clone() for name, tensor in outer.state_dict().items()}
        monkeypatch.delattr(f'{__name__}.Outer')
        monkeypatch.delattr(f'{__name__}.Inner')
        read = load(path)
        assert type(read['model']) is InertObject and read['model'].name == f'{__name__}.Outer'
        state = state_dict(read['model'], 'x.pth')
        assert list(state) == list(expected)
        assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
        assert 'parts.2.weight' in state and 'parts.0.passing' not in state and 'parts.0.bias' not in state

    @LAYOUTS
    def test_a_state_dict_is_itself(self, saved, zipped):
        expected = nn.Linear(2, 3).state_dict()
        state = state_dict(load(saved(expected, zipped)), 'x.pth')
        assert list(state) == ['weight', 'bias'] and torch.equal(state['weight'], expected['weight'])

    @LAYOUTS
    def test_other_objects_are_records_and_names_stay_names(self, saved, zipped):
        read = load(saved({'opt': argparse.Namespace(a=1), 'class': nn.Linear}, zipped))
        assert read['opt'].name == 'argparse.Namespace' and read['opt'].state == {'a': 1}
        assert type(read['class']) is Global and read['class'].name == 'torch.nn.modules.linear.Linear'

    @pytest.mark.parametrize('loaded', [{}, [1], {'a': 1}, {1: torch.ones(1)}, None])
    def test_what_is_no_network(self, loaded):
        with pytest.raises(InputError, match=r'^x\.pth: holds no network'):
            state_dict(loaded, 'x.pth')

    def test_a_record_that_is_no_module(self):
        record = InertObject('os.system')
        record.state = {'_parameters': {}}
        with pytest.raises(InputError, match=r'os\.system is not a torch module'):
            state_dict(record, 'x.pth')


class TestZip:
    def rezipped(self, path, change):
        """The same archive, entry by entry through ``change(name, content)``."""
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, 'w') as archive:
            for name, content in entries.items():
                for new, data, how in change(name, content):
                    archive.writestr(new, data, how)
        return path

    def test_an_unpacked_archive_of_another_program(self, saved):
        path = self.rezipped(saved(torch.arange(5)), lambda n, c: [(n, c, zipfile.ZIP_STORED)])
        assert load(path).tolist() == [0, 1, 2, 3, 4]

    def test_a_packed_one_is_refused(self, saved):
        path = self.rezipped(saved(torch.arange(5)), lambda n, c: [(n, c, zipfile.ZIP_DEFLATED)])
        with pytest.raises(InputError, match='compressed entry'):
            load(path)

    def test_a_big_endian_one_is_refused(self, saved):
        path = self.rezipped(saved(torch.arange(5)), lambda n, c: [
            (n, b'big' if n.endswith('byteorder') else c, zipfile.ZIP_STORED)])
        with pytest.raises(InputError, match='big-endian'):
            load(path)

    def test_another_zip_is_refused(self, tmp_path):
        with zipfile.ZipFile(tmp_path / 'x.pth', 'w') as archive:
            archive.writestr('word/document.xml', 'text')
        with pytest.raises(InputError, match=r'was not written by torch\.save'):
            load(tmp_path / 'x.pth')

    def test_a_storage_that_is_missing(self, saved):
        path = self.rezipped(saved(torch.arange(5)), lambda n, c: [] if '/data/' in n else [(n, c, zipfile.ZIP_STORED)])
        with pytest.raises(InputError, match='has no entry data/0'):
            load(path)
