"""Checkpoints in both layouts of released files: read bit for bit, converted, and the networks give their numbers."""
import hashlib
import json

import numpy as np
import pytest
import torch

from adapters.modular.cmae import CMAEGrounder
from adapters.modular.mattnet import MAttNetGrounder
from adapters.modular.metadata import CMAEOpt, MAttNetOpt
from adapters.modular.vocabulary import PAD, UNK
from adapters.nmtree.metadata import NMTreeOpt
from adapters.nmtree.trees import TreeVocabulary, from_record
from harness.commands.convert import main as convert
from harness.errors import InputError
from harness.files import torch_file
from harness.files.weights import fill, load_weights
from tests.reference import vector_file

MODULAR = {'mattnet': (MAttNetOpt, ('pool5', 'fc7', 'lfeats', 'dif_lfeats', 'cxt_fc7', 'cxt_lfeats', 'labels')),
           'cmae': (CMAEOpt, ('pool5', 'fc7', 'lfeats', 'dif_lfeats', 'cxt_fc7', 'cxt_lfeats', 'labels', 'img_pool5'))}
OUTPUTS = ('scores', 'sub_grid_attn', 'weights', 'att_scores')
LAYOUTS = pytest.mark.parametrize('layout', ['legacy', 'py2'])
ALL = pytest.mark.parametrize('kind', [*MODULAR, 'nmtree'])


def vector_arrays(kind):
    with np.load(vector_file(f'{kind}.npz')) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def state_of(arrays, layout):
    """The names that a layout has: before PyTorch 0.4 batch norms did not count."""
    return {name.removeprefix('state/'): value for name, value in arrays.items() if name.startswith('state/')
            and not (layout == 'py2' and name.endswith('num_batches_tracked'))}


def checkpoint(kind, layout):
    arrays = vector_arrays(kind)
    return arrays, vector_file(f'{kind}_{layout}.pth')


def assert_bit_for_bit(read, expected):
    assert list(read) == list(expected)
    for name, value in expected.items():
        assert read[name].dtype == value.dtype and read[name].shape == value.shape, name
        assert read[name].contiguous().numpy().tobytes() == value.numpy().tobytes(), name


@ALL
@LAYOUTS
def test_read_bit_for_bit(kind, layout):
    arrays, path = checkpoint(kind, layout)
    loaded = torch_file.load(path)
    state = torch_file.state_dict(loaded.get('model', loaded), str(path))
    assert_bit_for_bit(state, state_of(arrays, layout))


@pytest.mark.parametrize('kind', MODULAR)
@LAYOUTS
def test_options_are_the_constructors(kind, layout):
    _, path = checkpoint(kind, layout)
    assert torch_file.load(path)['opt'] == json.loads(vector_file(f'{kind}_opt.json').read_text())


@ALL
@LAYOUTS
def test_converted_bit_for_bit_with_options_hashes_and_names(kind, layout, tmp_path, capsys):
    arrays, path = checkpoint(kind, layout)
    out = tmp_path / 'out' / f'{kind}.safetensors'
    assert convert([str(path), str(out), '--as', kind]) == 0
    weights, described = load_weights(out), json.loads(out.with_suffix('.json').read_text())
    expected = state_of(arrays, layout)
    assert_bit_for_bit({name: weights.tensors[name] for name in expected}, expected)
    assert weights.tensors.keys() == expected.keys()
    assert described['kind'] == weights.meta['kind'] == kind
    assert described['opt'] == weights.meta['opt']
    assert described['input'] == {'file': path.name, 'sha256': hashlib.sha256(path.read_bytes()).hexdigest()}
    assert described['output'] == {'file': out.name, 'sha256': weights.sha256}
    assert described['names'] == {name: name for name in expected}
    printed = capsys.readouterr().out
    assert all(name in printed for name in expected)
    with pytest.raises(InputError, match=r'lacks its words; convert it again with --vocabulary data'):
        weights.complete()


@pytest.mark.parametrize('kind', MODULAR)
@LAYOUTS
@torch.no_grad()
def test_converted_modular_networks_give_the_numbers(kind, layout, tmp_path):
    arrays, path = checkpoint(kind, layout)
    convert([str(path), str(tmp_path / 'w.safetensors'), '--as', kind])
    weights = load_weights(tmp_path / 'w.safetensors')
    schema, inputs = MODULAR[kind]
    network = schema(**{'unk_token': 0, **weights.meta['opt']}).network()
    fill(network, weights.tensors, weights.path)
    grounding = network.eval()(*(arrays[f'in/{name}'] for name in inputs))
    for name in OUTPUTS:
        torch.testing.assert_close(getattr(grounding, name), arrays[f'out/{name}'], rtol=0, atol=1e-5)


@pytest.mark.parametrize(('kind', 'grounder'), [('mattnet', MAttNetGrounder), ('cmae', CMAEGrounder)])
@LAYOUTS
def test_with_their_words_they_are_grounders(kind, grounder, layout, tmp_path):
    _, path = checkpoint(kind, layout)
    opt = json.loads(vector_file(f'{kind}_opt.json').read_text())
    others = [f'w{i}' for i in range(opt['vocab_size'] - 2)]
    words = [PAD, *others[:opt['unk_token'] - 1], UNK, *others[opt['unk_token'] - 1:]]
    data = tmp_path / 'data.json'
    data.write_text(json.dumps({'word_to_ix': {word: i for i, word in enumerate(words)}, 'label_length': 7}))
    convert([str(path), str(tmp_path / 'w.safetensors'), '--as', kind, '--vocabulary', str(data)])
    made = grounder(load_weights(tmp_path / 'w.safetensors').complete())
    assert made.longest == 7 and made.vocabulary.words == tuple(words)
    assert made.options == MODULAR[kind][0](**opt).options
    data.write_text(json.dumps({'word_to_ix': {PAD: 0, UNK: 1}}))
    with pytest.raises(InputError, match=rf'data\.json: has 2 words, the network {opt["vocab_size"]}'):
        convert([str(path), str(tmp_path / 'w.safetensors'), '--as', kind, '--vocabulary', str(data)])


@LAYOUTS
@torch.no_grad()
def test_converted_nmtree_gives_the_numbers_with_the_words_of_its_file(layout, tmp_path):
    arrays, path = checkpoint('nmtree', layout)
    described = json.loads(vector_file('nmtree.json').read_text())
    convert([str(path), str(tmp_path / 'w.safetensors'), '--as', 'nmtree',
             '--vocabulary', str(vector_file('nmtree.json'))])
    weights = load_weights(tmp_path / 'w.safetensors').complete()
    widths = {name: value for name, value in described['opt'].items() if name != 'drop_prob'}
    assert {name: weights.meta['opt'][name] for name in widths} == widths
    network = NMTreeOpt(**weights.meta['opt']).network()
    fill(network, weights.tensors, weights.path)
    forest = TreeVocabulary.from_json(weights.meta).forest(
        [from_record(record, 'nmtree.json') for record in described['sentences']])
    grounding = network.eval()(arrays['in/visual'], forest)
    torch.testing.assert_close(grounding.log_scores, arrays['out/log_scores'], rtol=0, atol=1e-5)
    assert torch.equal(grounding.root_visual, arrays['out/root_visual'])


@LAYOUTS
def test_what_does_not_fit_is_listed(layout, tmp_path):
    _, path = checkpoint('nmtree', layout)
    with pytest.raises(InputError) as error:
        convert([str(path), str(tmp_path / 'w.safetensors'), '--as', 'ref-nms'])
    message = str(error.value)
    assert 'head.0.conv1.weight is missing' in message
    assert 'word_embedding.weight is not part of this network' in message
    assert ' more are missing; ' in message and '48 more are not part of it; ' in message
    assert str(path) in message and len(message.splitlines()) == 1 and not list(tmp_path.iterdir())
