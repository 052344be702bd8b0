"""Other hostile files - pipes, vocabularies, weights, arrays: each is refused in one line, and nothing in it runs.

HDF5 files of that kind are in ``test_hostile_hdf5.py``, single pickles in ``test_safe_pickle.py``, files of
``torch.save`` in ``test_hostile_torch_*.py``.
"""
import gzip
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.nmtree.original_data import read_trees, read_visual_features
from adapters.originals.ref_nms_proposals import read_proposals
from harness.detection.detector import Detector
from harness.embedded.stats import read_plain
from harness.errors import InputError
from harness.files import safe_pickle, torch_file
from harness.files.reading import parse_json, read_bytes, require_regular
from harness.files.weights import load_weights, save_weights
from harness.mmdet_plugin.reg_metric import read_mdetr_boxes
from harness.proposals.ref_nms_network import load_ref_nms
from harness.words.vectors import load_vectors
from tests.hostile import SYSTEM, legacy, refusal, refused_by_command
from tests.reference import vector_file

pytestmark = pytest.mark.usefixtures('nothing_runs')


#: Options that take a file, each with what it needs beside it.
INPUTS = {'--expressions': (), '--candidates': ('--task', 'recall'), '--detections': ('--task', 'recall'),
          '--masks': (), '--predictions': ('--dataset', 'mini-refcoco'), '--import': (),
          '--vectors': ('--task', 'recall', '--dataset', 'mini-refcoco')}


class TestWhatIsNoRegularFile:
    """A pipe hangs whoever opens it, a device never ends."""

    @pytest.mark.parametrize('option', INPUTS)
    def test_options(self, option, tmp_path, capsys, small_benchmark):
        os.mkfifo(tmp_path / 'pipe.py')
        for path in ('/dev/null', tmp_path / 'pipe.py'):
            line = refused_by_command(capsys, option, path, *INPUTS[option], '--out', 'out')
            assert f'{path}: is not a regular file (a pipe, socket or device); give a file' in line
        assert 'is a folder, a file is needed' in refused_by_command(capsys, option, tmp_path, *INPUTS[option])
        assert not (tmp_path / 'out').exists()

    def test_readers(self, tmp_path):
        for read in (read_bytes, torch_file.load, load_vectors, safe_pickle.load, read_trees, read_proposals,
                     read_mdetr_boxes, read_plain):
            with pytest.raises(InputError, match='^/dev/zero: is not a regular file'):
                read(Path('/dev/zero'))
        with pytest.raises(InputError, match='is not a path'):
            require_regular('a\0b')
        require_regular(tmp_path / 'not there')


class TestWords:
    """What ``--vocabulary`` and ``--vectors`` name comes from the same strangers."""

    @pytest.mark.parametrize(('content', 'said'), [
        (gzip.compress(b' ' * (1 << 25)), 'unpacks to more than'),
        (b'[' * 200_000, 'nested too deeply'), (b'{"word_to_ix": {"<PAD>": 0', 'not valid JSON'),
        (b'{"word_to_ix": {"<PAD>": 0, "<UNK>": 100000000000}}', 'must be 0 to 1'),
        (b'{"word_to_ix": ["<PAD>"]}', 'must be ids by word'), (b'[]', 'must be a record'), (b'\xff\xfe', 'not UTF-8'),
        (b'{"word_to_ix": {"<PAD>": 0, "<UNK>": 1}, "label_length": 1e999}', "'label_length' must be an integer"),
        (pickle.dumps(os.system), 'not UTF-8'),
    ])
    def test_a_vocabulary(self, content, said, tmp_path, capsys):
        path = vector_file('mattnet_py2.pth')
        (tmp_path / 'data.json').write_bytes(content)
        error = refused_by_command(capsys, 'convert', path, 'out.safetensors', '--as', 'mattnet',
                                   '--vocabulary', 'data.json')
        assert said in error and 'data.json' in error and list(tmp_path.iterdir()) == [tmp_path / 'data.json']

    def test_packed_json(self, tmp_path):
        (tmp_path / 'bomb.json').write_bytes(gzip.compress(b'[' + b'0,' * (1 << 24) + b'0]'))
        assert 'unpacks to more than' in refusal(tmp_path / 'bomb.json', lambda p: parse_json(read_bytes(p), str(p)))


OPT = {'vocab_size': 2, 'word_embedding_size': 302, 'word_vec_size': 4, 'rnn_hidden_size': 4, 'bidirectional': 1,
       'word_drop_out': 0.5, 'rnn_drop_out': 0.2, 'rnn_num_layers': 1, 'rnn_type': 'lstm', 'jemb_dim': 4,
       'jemb_drop_out': 0.1, 'pool5_dim': 4, 'fc7_dim': 4, 'visual_init_norm': 20, 'visual_drop_out': 0.2,
       'num_atts': 2, 'unk_token': 1}
WORDS = {'words': ['<PAD>', '<UNK>'], 'max_length': 10}


def safetensors(header, data=b''):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack('<Q', len(raw)) + raw + data


def meta(**items):
    """A file of ours that says of itself what it likes."""
    return safetensors({'__metadata__': {'meta': json.dumps(items)},
                        'a': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}}, bytes(4))


WEIGHTS = {
    'a header of 4 exabytes': struct.pack('<Q', 2**62) + b'{}',
    'a header beyond the end': struct.pack('<Q', 100) + b'{}',
    'a tensor beyond the end': safetensors({'a': {'dtype': 'F32', 'shape': [2**40], 'data_offsets': [0, 2**42]}}),
    'sizes that overflow': safetensors({'a': {'dtype': 'F32', 'shape': [2**32, 2**32], 'data_offsets': [0, 0]}}),
    'tensors that overlap': safetensors({'a': {'dtype': 'F32', 'shape': [4], 'data_offsets': [0, 16]},
                                         'b': {'dtype': 'F32', 'shape': [4], 'data_offsets': [0, 16]}}, bytes(16)),
    'a deep header': safetensors(b'{"__metadata__":' + b'[' * 100_000),
    'deep metadata': safetensors({'__metadata__': {'meta': '[' * 200_000}}),
    'no record': safetensors({'__metadata__': {'meta': '[1]'}}),
    'a pickle': legacy(SYSTEM),
    'nothing of CM-A-E': meta(kind='cmae'),
    'lines to print': meta(lacks='nothing\nerror: all is well'),
    'a vocabulary of numbers': meta(kind='cmae', opt=OPT, vocabulary={'words': [1, 2], 'max_length': 10}),
    'a network of terabytes': meta(kind='cmae', opt={**OPT, 'rnn_hidden_size': 10**6}, vocabulary=WORDS),
    'a negative network': meta(kind='cmae', opt={**OPT, 'fc7_dim': -4}, vocabulary=WORDS),
    'a billion layers': meta(kind='cmae', opt={**OPT, 'rnn_num_layers': 10**9}, vocabulary=WORDS),
    'another class than a recurrent one': meta(kind='cmae', opt={**OPT, 'rnn_type': 'elu'}, vocabulary=WORDS),
    'tensors of another network': meta(kind='cmae', opt=OPT, vocabulary=WORDS),
}


class TestWeights:
    @pytest.mark.parametrize('attack', WEIGHTS)
    def test_are_refused_on_the_command_line(self, attack, tmp_path, capsys):
        (tmp_path / 'w.safetensors').write_bytes(WEIGHTS[attack])
        (tmp_path / 'e.jsonl').write_text(json.dumps({
            'dataset': 'mine', 'split': 'test', 'image_id': 1, 'height': 9, 'width': 9, 'bbox': [1, 1, 4, 4],
            'sent': 'left cup'}))
        error = refused_by_command(capsys, '--expressions', 'e.jsonl', '--images', '.', '--grounder', 'cmae',
                                   '--proposals', 'greedy', '--weights', 'cmae=w.safetensors', '--out', 'out')
        assert 'w.safetensors' in error and not (tmp_path / 'out').exists()

    @pytest.mark.parametrize('config', ['../../../tmp/evil', 'embedded.py', '/etc/passwd', 7, None, ['embedded']])
    def test_a_detector_names_none_but_our_configs(self, config, tmp_path):
        (tmp_path / 'w.safetensors').write_bytes(meta(kind='detector', config=config, classes=['cup']))
        with pytest.raises(InputError, match='w.safetensors|detector config') as error:
            Detector(load_weights(tmp_path / 'w.safetensors'))
        assert len(str(error.value).splitlines()) == 1

    @pytest.mark.parametrize('model', [{'blocks': 10**9}, {'planes': 10**6}, {'word_dim': -1}, {'hidden': 10**15}, [1],
                                       {'unknown': 1}, {'init_cfg': {'type': 'Pretrained', 'checkpoint': 'x'}}, None])
    def test_ref_nms_of_any_size(self, model, tmp_path):
        path = tmp_path / 'w.safetensors'
        save_weights(path, {'words': torch.zeros(1, 300)}, {'kind': 'ref-nms', 'model': model,
                                                            'vocabulary': ['<unk>']})
        refusal(path, lambda path: load_ref_nms(load_weights(path)))


def npz(vectors, words=None):
    """Word vectors as numpy packs them; ``vectors`` are the bytes of their ``.npy``."""
    stream, text_of = io.BytesIO(), io.BytesIO()
    np.save(text_of, np.array(['cup', 'red']) if words is None else words, allow_pickle=True)
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('words.npy', text_of.getvalue())
        archive.writestr('vectors.npy', vectors)
    return stream.getvalue()


def npy(shape, data=b'', dtype='<f4'):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {'shape': shape, 'fortran_order': False, 'descr': dtype})
    return stream.getvalue() + data


class Fires:
    def __reduce__(self):
        return os.system, ('touch fired',)


class TestArrays:
    @pytest.mark.parametrize('content', [
        npz(npy((2, 2), pickle.dumps(Fires()), '|O')), npz(npy((2, 2), bytes(16)), np.array([Fires()], object)),
        npz(npy((10**15, 2))), npz(npy((2**62, 2**62))), npz(npy((-2, 2))), npz(npy((2, 2), bytes(15))),
        npz(npy((2, 1 << 22), bytes(1 << 25))), npz(b''), npz(b'\x93NUMPY\x01\x00\xff\xff{'),
        npz(pickle.dumps(Fires())), b'PK\x03\x04', pickle.dumps(Fires()), npz(npy((2, 2), bytes(16)))[:-40],
    ], ids=['objects', 'words of objects', 'petabytes', 'a shape that overflows', 'a negative shape', 'too few bytes',
            'a bomb', 'empty', 'a lying header', 'a pickle in it', 'a beginning', 'a pickle', 'no end'])
    def test_word_vectors(self, content, tmp_path):
        (tmp_path / 'vectors.npz').write_bytes(content)
        refusal(tmp_path / 'vectors.npz', load_vectors)

    @pytest.mark.parametrize('attack', [Fires(), {'val': {1: Fires()}}, {1: {'tree': Fires()}},
                                        {1: np.array([Fires()])}], ids=['all', 'inside', 'a tree', 'an array'])
    def test_caches(self, attack, tmp_path):
        """The originals' ``.p``, ``.pkl`` and ``.pth`` files of data."""
        path = tmp_path / 'cache.pkl'
        for protocol in range(6):
            path.write_bytes(pickle.dumps(attack, protocol))
            for read in (safe_pickle.load, read_proposals):
                refusal(path, read)
        for new in (False, True):
            torch.save(attack, path, _use_new_zipfile_serialization=new)
            for read in (torch_file.load, read_trees, read_visual_features):
                refusal(path, read)

    def test_annotations_on_the_command_line(self, tmp_path, capsys):
        (tmp_path / 'refcoco').mkdir()
        (tmp_path / 'refcoco' / 'refs(unc).p').write_bytes(pickle.dumps([{'sentences': [Fires()]}], 2))
        (tmp_path / 'refcoco' / 'instances.json').write_text('{"images": [], "annotations": [], "categories": []}')
        error = refused_by_command(capsys, '--data-root', '.', '--dataset', 'refcoco', '--out', 'out')
        assert f'{os.system.__module__}.system' in error
