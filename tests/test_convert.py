"""``convert``: what it takes, what it says, and the two kinds that no reference checkpoint is of."""
import gzip
import json
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from harness.commands.convert import main as convert
from harness.detection.original_names import DROPPED, ORIGINAL_SHAPES, rename
from harness.errors import InputError
from harness.files.weights import load_weights
from harness.proposals.ref_nms import RefNMSB
from harness.proposals.ref_nms_network import RefNMS, load_ref_nms
from harness.proposals.ref_nms_r import RefNMSR
from run_benchmark import command_line
from tests import small_grounders

SMALL = {'in_channels': 6, 'planes': 2, 'blocks': 2, 'word_dim': 5, 'hidden': 3, 'mlp': 4}

OPT = {'vocab_size': 9, 'word_embedding_size': 4, 'word_vec_size': 4, 'rnn_hidden_size': 4, 'bidirectional': 1,
       'word_drop_out': 0.5, 'rnn_drop_out': 0.2, 'rnn_num_layers': 1, 'rnn_type': 'lstm', 'jemb_dim': 4,
       'jemb_drop_out': 0.1, 'pool5_dim': 4, 'fc7_dim': 4, 'visual_init_norm': 20, 'visual_drop_out': 0.2,
       'num_atts': 2}


class JointMatching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)


@pytest.fixture
def files(tmp_path):
    """Input and output of a conversion."""
    return tmp_path / 'in.pth', tmp_path / 'out.safetensors'


def run(files, kind, *more):
    return convert([*map(str, files), '--as', kind, *map(str, more)])


def refusal(files, kind, *more):
    with pytest.raises(InputError) as error:
        run(files, kind, *more)
    assert not files[1].exists() and not files[1].with_suffix('.json').exists()
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture
def std_files(tmp_path):
    """What ``tools/build_vocab.py`` of ChopinSharp/ref-nms writes."""
    words = ['<unk>', 'cup', 'left']
    (tmp_path / 'std_vocab_refcoco_unc.txt').write_text(''.join(f'{word}\n' for word in words))
    np.save(tmp_path / 'std_glove_refcoco_unc.npy', np.eye(3, 5, dtype=np.float32))
    return tmp_path / 'std_vocab_refcoco_unc.txt'


@pytest.mark.parametrize('wrap', [lambda state: state, lambda state: {'model': state, 'head_optimizer': {'state': {}}},
                                  lambda state: {'ref_scheduler': {'factor': 0.6, 'patience': 3, 'best': 0.1},
                                                 'head_optimizer': {'state': {}}, 'model': state}],
                         ids=['best', 'epoch', 'ranking epoch'])
@pytest.mark.parametrize('zipped', [False, True], ids=['old', 'zip'])
def test_ref_nms(wrap, zipped, files, std_files):
    """``att_vanilla_*_b.pth`` is a state dict, ``att_vanilla_ckpt_*.pth`` has it among others; ``att_rank_…`` likewise,
    of the same network (``tools/train_att_rank.py``)."""
    state = RefNMS(**SMALL).state_dict()
    torch.save(wrap(state), files[0], _use_new_zipfile_serialization=zipped)
    run(files, 'ref-nms', '--vocabulary', std_files)
    weights = load_weights(files[1]).complete()
    network, vocabulary = load_ref_nms(weights)
    assert weights.meta['model'] == SMALL
    assert all(torch.equal(network.state_dict()[name], value) for name, value in state.items())
    assert vocabulary.words == ('<unk>', 'cup', 'left') and vocabulary(['left']).tolist() == [[0, 0, 1, 0, 0]]
    with pytest.raises(InputError, match=r'--set ref-nms-b\.threshold=VALUE'):
        RefNMSB(weights)
    for rule in (RefNMSB, RefNMSR):
        assert rule(weights, threshold=0.1).network.delta == 0.05


def test_ref_nms_with_vectors_from_elsewhere_or_nowhere(files, std_files, tmp_path):
    torch.save(RefNMS(**SMALL).state_dict(), files[0])
    vectors = tmp_path / 'std_glove_refcoco_unc.npy'
    moved = vectors.rename(tmp_path / 'moved.npy')
    assert 'std_glove_refcoco_unc.npy' in refusal(files, 'ref-nms', '--vocabulary', std_files)
    np.save(tmp_path / 'short.npy', np.zeros((3, 4), np.float32))
    assert 'vectors of 4 numbers, the network takes 5' in refusal(
        files, 'ref-nms', '--vocabulary', std_files, '--vectors', tmp_path / 'short.npy')
    assert run(files, 'ref-nms', '--vocabulary', std_files, '--vectors', moved) == 0


def test_the_detector(files, capsys):
    """As ``lib/model/train_val.py: snapshot`` of mask-faster-rcnn saves it; old files have no counters."""
    state = {name: torch.full(shape, float(i)) for i, (name, shape) in enumerate(ORIGINAL_SHAPES.items())
             if not name.endswith('num_batches_tracked')}
    torch.save(state, files[0], _use_new_zipfile_serialization=False)
    run(files, 'mask-rcnn')
    weights, expected = load_weights(files[1]).complete(), rename(state)
    assert weights.meta['config'] == 'res101_c4' and len(weights.meta['classes']) == 80
    assert weights.tensors.keys() == expected.keys()
    assert all(torch.equal(weights.tensors[name], value) for name, value in expected.items())
    names = json.loads(files[1].with_suffix('.json').read_text())['names']
    assert names['resnet.conv1.weight'] == 'backbone.conv1.weight' and not set(DROPPED) & set(names)
    assert 'cls_score_net.weight' in capsys.readouterr().out


def test_everything_that_does_not_fit_is_listed(files):
    state = RefNMS(**SMALL).state_dict()
    state['extra'], state['rank_fc.bias'] = state.pop('att_fc.bias'), torch.zeros(7)
    state['rank_fc.weight'] = torch.ones(1, 6, dtype=torch.int64)
    torch.save(state, files[0])
    message = refusal(files, 'ref-nms')
    for said in ('att_fc.bias is missing', 'extra is not part of this network', 'rank_fc.bias is (7,), not (1,)',
                 'rank_fc.weight holds torch.int64, not torch.float32'):
        assert said in message


def test_of_another_network_three_faults_of_a_kind_are_named_and_the_rest_counted(files):
    """The whole list was one line of up to 34,000 signs."""
    torch.save(RefNMS(**SMALL).state_dict(), files[0])
    message = refusal(files, 'mask-rcnn')
    missing = sum(not name.endswith('num_batches_tracked') and name not in DROPPED for name in ORIGINAL_SHAPES)
    assert message.startswith(str(files[0])) and message.count(' is missing') == 3
    assert f'{missing - 3} more are missing; head.0.conv1.weight is not part of this network; ' in message
    assert message.count(' is not part of this network') == 3 and ' more are not part of it; give ' in message
    torch.save({name: torch.zeros(1) for name in ORIGINAL_SHAPES}, files[0])
    message = refusal(files, 'mask-rcnn')
    assert message.count(' is (1,), not ') == 3 and f'{len(ORIGINAL_SHAPES) - 3} more are of another shape' in message
    for kind in ('ref-nms', 'nmtree'):
        assert len(refusal(files, kind)) < 1000


def test_a_zip_around_a_checkpoint_is_to_be_unzipped(files, tmp_path):
    torch.save(RefNMS(**SMALL).state_dict(), tmp_path / 'best.pth')
    with zipfile.ZipFile(files[0], 'w') as archive:
        archive.write(tmp_path / 'best.pth', 'output/att_vanilla_b.pth')
    message = refusal(files, 'ref-nms')
    assert 'a zip archive of output/att_vanilla_b.pth; unzip it first' in message and 'damaged' not in message
    files[0].write_bytes(gzip.compress((tmp_path / 'best.pth').read_bytes()))
    assert 'packed by gzip; unpack it first' in refusal(files, 'ref-nms')


@pytest.mark.parametrize(('saved', 'said'), [
    ({'weight': torch.ones(1)}, "holds 'model' and 'opt'"),
    ({'model': JointMatching(), 'opt': {'rnn_type': 'lstm', 'rnn_num_layers': 1}}, "has no 'vocab_size'; give the"),
    ({'model': JointMatching(), 'opt': {**OPT, 'rnn_type': 'Module'}}, "its options: 'rnn_type' must be lstm, gru"),
    ({'model': JointMatching(), 'opt': {**OPT, 'rnn_num_layers': 10**9}}, "'rnn_num_layers' must be less than"),
    ({'model': JointMatching(), 'opt': {'x': float('nan')}}, 'option x is no number'),
    ({'model': JointMatching(), 'opt': {'x': torch.ones(1)}}, 'option x is no number'),
    ({'model': JointMatching(), 'opt': {'x': 'y' * 2_000}}, 'option x is no number'),
    ({'model': JointMatching(), 'opt': [1]}, "'opt' must be options by name"),
    ({'model': [1], 'opt': {}}, 'holds no network'),
    ({'model': {'w': torch.tensor([float('inf')])}, 'opt': {}}, 'w holds numbers that are not finite'),
    ({'model': {'w\n': torch.ones(1)}, 'opt': {}}, 'is no name of a tensor'),
    ({'model': dict.fromkeys(map(str, range(100)), torch.ones(1_000)), 'opt': {}}, 'names more tensors than'),
])
def test_what_is_no_checkpoint_of_mattnet(saved, said, files):
    torch.save(saved, files[0])
    assert said in refusal(files, 'mattnet')


@pytest.mark.parametrize('option', ['vocab_size', 'jemb_dim', 'fc7_dim'])
@pytest.mark.parametrize('size', [-1, 10**12, 'many', None, 1.5])
def test_options_that_lie_take_no_memory(option, size, files):
    torch.save({'model': JointMatching(), 'opt': {**OPT, option: size}}, files[0])
    message = refusal(files, 'mattnet')
    assert f'{option!r} must be ' in message


@pytest.mark.parametrize('kind', small_grounders.OPTS)
def test_a_grounder_says_that_it_needs_another_detector(kind):
    grounder = small_grounders.GROUNDERS_OF[kind](small_grounders.weights(kind))
    image = small_grounders.an_image()
    image.detector.head = lambda crops: crops
    with pytest.raises(InputError, match='takes features of 3 and 4 channels, the detector gives 3 and 3'):
        grounder(image, small_grounders.say('red cup'), [small_grounders.propose([[10, 10, 30, 40]], [0])])


def test_the_command_line(files, capsys, tmp_path):
    torch.save(RefNMS(**SMALL).state_dict(), files[0])
    assert command_line(['convert', *map(str, files), '--as', 'ref-nms']) == 0
    out = capsys.readouterr().out
    assert 'rank_fc.weight' in out and 'model.rank_fc.weight' in out and '(1, 6)' in out
    assert 'still lacks its words; convert it again with --vocabulary std_vocab_….txt' in out
    for wrong, said in (((files[0], tmp_path / 'x.pth', '--as', 'nmtree'), 'something.safetensors'),
                        ((*files, '--as', 'bert'), 'invalid choice'),
                        ((tmp_path / 'none.pth', files[1], '--as', 'nmtree'), 'no such file')):
        assert command_line(['convert', *map(str, wrong)]) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.splitlines()) == 1
