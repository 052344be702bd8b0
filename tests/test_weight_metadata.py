"""What weight files say of themselves is held against a schema of their kind before anything is built."""
from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.modular import metadata as modular
from adapters.modular.cmae import CMAEGrounder
from adapters.modular.mattnet import MAttNetGrounder
from adapters.modular.metadata import CMAEOpt, MAttNetOpt
from adapters.nmtree import metadata as nmtree
from adapters.nmtree.grounding import NMTreeGrounder
from adapters.nmtree.metadata import NMTreeOpt
from grounders.nmtree import NMTreeOptions
from harness.detection.detector import Detector
from harness.errors import InputError
from harness.files.weights import Weights, check_numbers, load_weights, save_weights, shipped_path
from harness.proposals.ref_nms import RefNMSB
from harness.proposals.ref_nms_blind import RefNMSBlind

FILES = {'detector': shipped_path('detector'),
         **{name: shipped_path(name, 'mini-refcoco') for name in ('ref-nms-b', 'cmae', 'mattnet', 'nmtree')}}
LOADERS: dict[str, Callable[[Weights], Any]] = {
    'detector': Detector, 'ref-nms-b': RefNMSB, 'cmae': CMAEGrounder, 'mattnet': MAttNetGrounder,
    'nmtree': lambda weights: NMTreeGrounder(weights, load_weights(FILES['mattnet']))}


@pytest.fixture(scope='module')
def shipped() -> dict[str, Weights]:
    return {name: load_weights(path) for name, path in FILES.items()}


def lying(shipped: dict[str, Weights], name: str, tmp_path: Path) -> Weights:
    """A copy to be changed, in a file of another name."""
    return Weights(tmp_path / 'w.safetensors', dict(shipped[name].tensors), copy.deepcopy(shipped[name].meta), '')


def refusal(load: Callable[[Weights], Any], weights: Weights) -> str:
    with pytest.raises(InputError) as error:
        load(weights)
    message = str(error.value)
    assert message.startswith(f'{weights.path}: ') and message.isprintable() and len(message) < 500
    return message


def put(meta: dict[str, Any], field: str, value: Any) -> None:
    *folders, last = field.split('.')
    for folder in folders:
        meta = meta[folder]
    meta[last] = value


@pytest.mark.parametrize('name', FILES)
def test_a_shipped_file_is_taken_as_it_is(name: str, shipped: dict[str, Weights]) -> None:
    LOADERS[name](shipped[name])


@pytest.mark.parametrize('name', ['cmae', 'mattnet', 'nmtree'])
@pytest.mark.parametrize('dataset', ['mini-refcoco', 'mini-refcoco+', 'mini-refcocog'])
def test_options_are_written_as_they_were_read(name: str, dataset: str) -> None:
    opt = load_weights(shipped_path(name, dataset)).meta['opt']
    read = {'cmae': CMAEOpt, 'mattnet': MAttNetOpt, 'nmtree': NMTreeOpt}[name](**opt).options
    write = nmtree.opt_of if isinstance(read, NMTreeOptions) else modular.opt_of
    assert write(read) == opt and not any(type(value) is bool for value in write(read).values())


@pytest.mark.parametrize('given', FILES)
@pytest.mark.parametrize('wanted', FILES)
def test_a_file_of_another_kind_is_told(given: str, wanted: str, shipped: dict[str, Weights]) -> None:
    if given != wanted:
        kind = shipped[given].meta['kind']
        message = refusal(LOADERS[wanted], shipped[given])
        assert f'holds {kind!r}, not ' in message and f'--weights {wanted}=FILE' in message


@pytest.mark.parametrize(('name', 'field'), [
    *((name, field) for name in ('cmae', 'mattnet') for field in (
        'opt', 'opt.vocab_size', 'opt.rnn_type', 'opt.rnn_num_layers', 'opt.bidirectional', 'opt.fc7_dim',
        'opt.jemb_drop_out', 'opt.visual_init_norm', 'opt.unk_token', 'opt.num_cxt', 'opt.with_st', 'vocabulary',
        'vocabulary.words', 'vocabulary.max_length')),
    *(('nmtree', field) for field in ('opt', 'opt.drop_prob', 'opt.vis_dim', 'word_to_ix', 'tag_to_ix', 'dep_to_ix')),
    *(('ref-nms-b', field) for field in ('model', 'model.planes', 'vocabulary', 'threshold', 'sentence')),
    *(('detector', field) for field in ('config', 'classes')),
    *((name, field) for name in FILES for field in ('command', 'seed')),
])
@pytest.mark.parametrize('lie', [[], float('inf'), -1, '\x1b[2J', ['\n'], {'a': [10**400]}], ids=repr)
def test_a_field_of_another_type_or_out_of_range_is_named(name: str, field: str, lie: Any, shipped: dict[str, Weights],
                                                           tmp_path: Path) -> None:
    weights = lying(shipped, name, tmp_path)
    put(weights.meta, field, lie)
    if isinstance(lie, str) and field in ('command', 'sentence') or \
            isinstance(lie, int) and field == 'seed' or lie == -1 and field == 'opt.visual_init_norm':
        LOADERS[name](weights)  # it may say so
    else:
        message = refusal(LOADERS[name], weights)
        assert field in message or 'a vocabulary ' in message or 'known are' in message or 'the 18 classes' in message


@pytest.mark.parametrize(('name', 'field', 'said'), [
    ('cmae', 'opt.rnn_type', "'opt.rnn_type' must be lstm, gru or rnn"),
    ('cmae', 'opt.jemb_dim', "'opt' must have a jemb_dim and a word_vec_size that are equal, not 97 and 96"),
    ('mattnet', 'opt', "'opt' must be a record, not a list"),
    ('cmae', 'opt.vocab_size', '151 words in the vocabulary but 7 in the network'),
    ('mattnet', 'opt.unk_token', 'opt.unk_token 1000 is the id of none of its 151 words'),
    ('ref-nms-b', 'model.wings', "'model.wings', which its network does not take"),
    ('ref-nms-b', 'model.blocks', "'model.blocks' must be less than or equal to 16, not 17"),
    ('ref-nms-b', 'threshold', "'threshold' must be less than or equal to 1, not 1.5"),
    ('nmtree', 'word_to_ix.cup', 'more ids than the word_vocab_size of its network'),
])
def test_what_does_not_fit_together_is_told(name: str, field: str, said: str, shipped: dict[str, Weights],
                                             tmp_path: Path) -> None:
    weights = lying(shipped, name, tmp_path)
    put(weights.meta, field, {'opt': [], 'opt.rnn_type': 'elu', 'opt.jemb_dim': 97, 'opt.vocab_size': 7,
                              'opt.unk_token': 1000, 'model.wings': 2, 'model.blocks': 17, 'threshold': 1.5,
                              'word_to_ix.cup': 10**6}[field])
    assert said in refusal(LOADERS[name], weights)


@pytest.mark.parametrize(('name', 'option'), [
    ('cmae', 'opt.rnn_hidden_size'), ('mattnet', 'opt.fc7_dim'), ('nmtree', 'opt.rnn_size'),
    ('ref-nms-b', 'model.mlp')])
@pytest.mark.parametrize('size', [10**6, 10**9])
def test_sizes_that_options_imply_are_compared_before_memory_is_taken(
        name: str, option: str, size: int, shipped: dict[str, Weights], tmp_path: Path) -> None:
    weights = lying(shipped, name, tmp_path)
    put(weights.meta, option, size)
    message = refusal(LOADERS[name], weights)
    assert f'{size}' in message or 'overflow' in message or 'make no network' in message


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('extra', ['extra', 'model.extra', 'words.extra', 'a\nb'])
def test_a_tensor_too_many_is_refused(name: str, extra: str, shipped: dict[str, Weights], tmp_path: Path) -> None:
    weights = lying(shipped, name, tmp_path)
    weights.tensors[extra] = torch.zeros(3)
    assert 'is not part of this network' in refusal(LOADERS[name], weights)


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
def test_a_tensor_that_is_not_all_numbers_is_refused(name: str, value: float, shipped: dict[str, Weights],
                                                      tmp_path: Path) -> None:
    for tensor in [key for key, one in shipped[name].tensors.items() if one.is_floating_point()][::20]:
        weights = lying(shipped, name, tmp_path)
        weights.tensors[tensor] = weights.tensors[tensor].clone()
        weights.tensors[tensor].view(-1)[-1] = value
        assert f'{tensor.removeprefix("model.")} holds numbers that are not finite' in refusal(LOADERS[name], weights)


@pytest.mark.parametrize('name', ['detector', 'cmae', 'ref-nms-b'])
def test_a_variance_is_not_negative(name: str, shipped: dict[str, Weights], tmp_path: Path) -> None:
    weights = lying(shipped, name, tmp_path)
    tensor = next(key for key in weights.tensors if key.endswith('running_var'))
    weights.tensors[tensor] = -weights.tensors[tensor]
    assert 'holds negative variances' in refusal(LOADERS[name], weights)


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('dtype', [torch.int64, torch.bool, torch.uint8])
def test_numbers_of_another_kind_are_refused(name: str, dtype: torch.dtype, shipped: dict[str, Weights],
                                             tmp_path: Path) -> None:
    weights = lying(shipped, name, tmp_path)
    tensor = next(key for key, one in weights.tensors.items() if one.is_floating_point())
    weights.tensors[tensor] = weights.tensors[tensor].to(dtype)
    assert f'holds {dtype}, not torch.float32' in refusal(LOADERS[name], weights)


@pytest.mark.parametrize('field', ['command', 'data_hash', 'git_commit'])
def test_where_a_file_comes_from_is_text_that_results_can_hold(field: str, shipped: dict[str, Weights],
                                                                tmp_path: Path) -> None:
    weights = lying(shipped, 'mattnet', tmp_path)
    weights.meta[field] = 'train \ud800'
    assert f'{field!r} is not valid Unicode' in refusal(MAttNetGrounder, weights)


def test_the_constant_of_a_text_blind_network_is_text(shipped: dict[str, Weights], tmp_path: Path) -> None:
    weights = lying(shipped, 'ref-nms-b', tmp_path)
    assert RefNMSBlind(weights).constant == ()
    weights.meta['sentence'] = 'red cup'
    assert RefNMSBlind(weights).constant == ('red', 'cup')
    weights.meta['sentence'] = 7
    assert "'sentence' must be text, not 7" in refusal(RefNMSBlind, weights)


def test_a_file_that_lacks_its_words_says_so_to_every_loader(shipped: dict[str, Weights], tmp_path: Path) -> None:
    weights = lying(shipped, 'cmae', tmp_path)
    del weights.meta['vocabulary']
    assert "no 'vocabulary'" in refusal(CMAEGrounder, weights)
    weights.meta['lacks'] = 'its words; convert it again'
    assert 'lacks its words; convert it again' in refusal(CMAEGrounder, weights)


def test_numbers_beyond_single_precision_are_none(tmp_path: Path) -> None:
    save_weights(tmp_path / 'w.safetensors', {'a': torch.tensor([1e300], dtype=torch.float64)}, {'kind': 'x'})
    with pytest.raises(InputError, match='a holds numbers that are not finite'):
        check_numbers(load_weights(tmp_path / 'w.safetensors').tensors, tmp_path / 'w.safetensors')
