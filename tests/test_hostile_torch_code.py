"""Files of ``torch.save`` made to run code: each is refused in one line that names what it references, nothing runs."""
import os
import pickle
import sys

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import InputError
from harness.files import torch_file
from harness.files.torch_legacy import MAGIC_NUMBER, PROTOCOL_VERSION
from harness.training.runner import fit
from tests.hostile import (
    FLOATS,
    FOUR,
    ORDERED,
    PLAIN,
    SYSTEM,
    called,
    group,
    legacy,
    module,
    named,
    number,
    record,
    refusal,
    refused_by_command,
    storage,
    tensor,
    text,
    zipped,
)

pytestmark = pytest.mark.usefixtures('nothing_runs')


CODE = {
    'os.system by reduce': (SYSTEM, 'references os.system,'),
    'deep in lists and dicts': (record(a=b'](' + record(b=SYSTEM) + b'e'), 'os.system'),
    "in a module's state": (module(record(_parameters=SYSTEM)), 'os.system'),
    "as a module's state": (module(SYSTEM), 'os.system'),
    "among a module's hooks": (module(record(_forward_hooks=called(
        named('collections', 'OrderedDict'), b'](' + group(PLAIN, SYSTEM) + b'e'))), 'os.system'),
    "as a storage's type": (storage(4, kind=SYSTEM), 'os.system'),
    "as the name of a storage's type": (storage(4, kind=named('os', 'system')), 'os.system'),
    "as a storage's key": (group(text('storage'), FLOATS, SYSTEM, text('cpu'), PLAIN, b'N')
                           + b'Q', 'os.system'),
    "as a storage's place in another one": (storage(4, view=SYSTEM), 'os.system'),
    "as a module's class": (module(b'}', kind=SYSTEM), 'os.system'),
    'as a tensor to rebuild': (tensor(SYSTEM, [1], [1]), 'os.system'),
    "as a tensor's hooks": (called(named('torch._utils', '_rebuild_tensor_v2'), storage(4), number(0), group(), group(),
                                   b'\x89', SYSTEM), 'os.system'),
    "as a parameter's state": (called(named('torch.nn.parameter', 'Parameter'), tensor(storage(4), [1], [1])) + group(
        b'\x88', b'\x89', record(hook=named('os', 'system'))) + b'b', 'a state for a tensor'),
    'a parameter of a name': (called(named('torch.nn.parameter', 'Parameter'), named('os', 'system')), 'type Global'),
    'a pickle in a pickle': (called(named('_pickle', 'loads'), text('cos\nsystem\n(S"touch fired"\ntR.')), '.loads'),
    'another file by torch.load': (called(named('torch', 'load'), text('other.pth')), 'torch.load'),
    'code from elsewhere by torch.hub': (called(named('torch.hub', 'load'), text('x/y')), 'torch.hub.load'),
    'eval': (called(named('builtins', 'eval'), text("open('fired', 'w')")), 'builtins.eval'),
    'exec of Python 2': (called(named('__builtin__', 'execfile'), text('x.py')), '__builtin__.execfile'),
    'getattr': (called(named('builtins', 'getattr'), named('os', 'path'), text('os')), 'builtins.getattr'),
    'a name behind a known one': (called(named('torch._utils', '_rebuild_tensor_v2.__globals__.get'), text('x')),
                                  '_rebuild_tensor_v2.__globals__.get'),
    'a known name of another module': (called(named('posix', '_rebuild_tensor_v2')), 'posix._rebuild_tensor_v2'),
    'a line feed in a name': (text('os\nsystem') + text('x\ny') + b'\x93)R', 'os'),
    'a name with a carriage return': (called(named('os\r', 'system'), text('touch fired')), "'os\\r.system'"),
    'an object made with arguments': (named('subprocess', 'Popen') + group(text('touch fired')) + b'\x81',
                                      'subprocess.Popen'),
    'an object made with named arguments': (named('subprocess', 'Popen') + b')' + record(args=text('touch fired'))
                                            + b'\x92', 'an object of a class'),
    'an object of Python 2': (b'(S"touch fired"\nios\nsystem\n', 'os.system'),
    'an object of Python 2, of a class': (b'(cos\nsystem\nS"touch fired"\no', 'an object of a class'),
    'a state for a class': (named('os', 'system') + record(x=PLAIN) + b'b', 'a state for type Global'),
    'a call of an inert object': (module(b'}') + b')R', 'a call of type InertObject'),
    'a call of a call': (ORDERED + b')R', 'a call of type dict'),
    'a persistent object in text': (b'Pos.system\n', 'of an unknown kind'),
    'a persistent object of another kind': (group(text('file'), text('/etc/passwd')) + b'Q', 'of an unknown kind'),
    'an extension code': (b'\x82\x01', 'extension registry'),
    'an OrderedDict of no pairs': (called(named('collections', 'OrderedDict'), text('ab')), 'something other than'),
    'a defaultdict': (called(named('collections', 'defaultdict'), named('os', 'system')), 'collections.defaultdict'),
    'an array of objects': (pickle.dumps(np.array([{}], object), 2)[2:-1], 'type O8'),
}


class TestCode:
    @pytest.mark.parametrize('layout', [legacy, zipped], ids=['legacy', 'zip'])
    @pytest.mark.parametrize('attack', CODE)
    def test_is_refused_by_name(self, attack, layout, tmp_path, capsys):
        loaded, said = CODE[attack]
        path = tmp_path / 'in.pth'
        path.write_bytes(layout(loaded, {'0': FOUR[8:]}) if layout is zipped else legacy(loaded, '0', FOUR))
        message = refusal(path)
        assert said in message
        assert message in refused_by_command(capsys, 'convert', path, 'out.safetensors', '--as', 'mattnet')
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize('part', range(3))
    def test_in_the_header(self, part, tmp_path):
        parts = [MAGIC_NUMBER, PROTOCOL_VERSION, {'little_endian': True}]
        header = b''.join(b'\x80\x02' + SYSTEM + b'.' if i == part else pickle.dumps(one, 2)
                          for i, one in enumerate(parts))
        (tmp_path / 'in.pth').write_bytes(legacy(PLAIN, header=header))
        assert 'os.system' in refusal(tmp_path / 'in.pth')

    def test_in_the_list_of_storages(self, tmp_path):
        (tmp_path / 'in.pth').write_bytes(legacy(PLAIN, keys=b'\x80\x02' + SYSTEM + b'.'))
        assert 'os.system' in refusal(tmp_path / 'in.pth')

    def test_of_pytorch_itself_in_every_part_of_a_model(self, tmp_path):
        """What ``torch.save`` writes of an object that wants to run something."""
        class Attack(nn.Module):
            def __reduce__(self):
                return os.system, ('touch fired',)
        for saved in (Attack(), {'model': nn.Sequential(nn.Linear(2, 2), Attack())}, {'opt': {'x': Attack()}}):
            for new in (False, True):
                torch.save(saved, tmp_path / 'in.pth', _use_new_zipfile_serialization=new)
                assert f'{os.system.__module__}.system' in refusal(tmp_path / 'in.pth')

    def test_names_and_classes_that_are_only_mentioned_stay_inert(self, tmp_path, capsys):
        loaded = record(model=module(b'}', kind=named('os', 'system')), opt=record(x=named('antigravity', 'fly')))
        (tmp_path / 'in.pth').write_bytes(legacy(loaded))
        read = torch_file.load(tmp_path / 'in.pth')
        assert read['model'].name == 'os.system' and read['opt']['x'].name == 'antigravity.fly'
        assert 'antigravity' not in sys.modules
        error = refused_by_command(capsys, 'convert', 'in.pth', 'out.safetensors', '--as', 'mattnet')
        assert 'os.system is not a torch module' in error

    def test_in_a_training_to_resume(self, tmp_path):
        """mmengine would read such a checkpoint a second time without its guard."""
        class Attack:
            def __reduce__(self):
                return os.system, ('touch fired',)
        def train():
            fit('hostile', nothing_to_learn(), [torch.ones(1)], collate=lambda items: {'x': items[0]}, batch_size=1,
                epochs=2, optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.)), work_dir=tmp_path, seed=0)
        train()
        (tmp_path / 'elsewhere').mkdir()
        for folder in (tmp_path, tmp_path / 'elsewhere'):  # the name of a checkpoint in another folder is not followed
            torch.save({'state_dict': {}, 'x': Attack()}, tmp_path / 'epoch_1.pth')
            (tmp_path / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
            with pytest.raises(InputError, match='is not a checkpoint of this training') as error:
                train()
            assert len(str(error.value).splitlines()) == 1
        (tmp_path / 'fingerprint.json').unlink()
        with pytest.raises(InputError, match='nothing in it says what shaped it'):
            train()


def nothing_to_learn():
    from mmengine.model import BaseModel

    class Model(BaseModel):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x, mode='loss'):
            return {'loss': (self.weight * x).sum()}
    return Model()
