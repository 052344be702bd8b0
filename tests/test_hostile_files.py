"""Files made to run code, to lie about sizes, to unfold or to break off: each is refused in one line, nothing runs.

HDF5 files of that kind are in ``test_hostile_hdf5.py``, single pickles in ``test_safe_pickle.py``.
"""
import gzip
import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

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
from harness.training.runner import fit
from harness.words.vectors import load_vectors
from run_benchmark import command_line
from tests.reference import vector_file

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    """What an attack would leave is a file ``fired`` in the working folder; a small file takes little memory."""
    monkeypatch.chdir(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert not (tmp_path / 'fired').exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB


def refusal(path, read=torch_file.load):
    """The one line that a file is refused with."""
    with pytest.raises(InputError) as error:
        read(path)
    message = str(error.value)
    assert message.startswith(str(path)) and len(message.splitlines()) == 1 and len(message) < 500
    return message


def refused_by_command(capsys, *argv):
    """The line on stderr of a command that ends with 2."""
    assert command_line([str(part) for part in argv]) == 2
    out, err = capsys.readouterr()
    *before, line = err.splitlines()
    assert line.startswith('error: ') and before in ([], ['reading data and weights …']) and not out
    return line


# Pickles put together by hand, in the order of their instructions.

def text(value):
    return b'X' + struct.pack('<I', len(value.encode())) + value.encode()


def number(value):
    return b'\x8a\x0a' + value.to_bytes(10, 'little', signed=True)


def group(*items):
    return b'(' + b''.join(items) + b't'


def named(module, name):
    return f'c{module}\n{name}\n'.encode()


def called(function, *arguments):
    return function + group(*arguments) + b'R'


def record(**items):
    return b'}(' + b''.join(text(key) + value for key, value in items.items()) + b'u'


SYSTEM = called(named('os', 'system'), text('touch fired'))
ORDERED = called(named('collections', 'OrderedDict'))
PLAIN = b'K\x01'
FLOATS, DOUBLES = named('torch', 'FloatStorage'), named('torch', 'DoubleStorage')
MATCHING = named('layers.joint_match', 'JointMatching')


def storage(count, key='0', kind=FLOATS, view=b'N'):
    return group(text('storage'), kind, text(key), text('cpu'), number(count), view) + b'Q'


def tensor(numbers, size, stride, offset=0, function='_rebuild_tensor_v2'):
    return called(named('torch._utils', function), numbers, number(offset), group(*map(number, size)),
                  group(*map(number, stride)), b'\x89', ORDERED)


def module(state, kind=MATCHING):
    return group(text('module'), kind, text('joint_match.py'), text('')) + b'Q)\x81' + state + b'b'


def network(parameters=b'}', buffers=b'}', modules=b'}'):
    return module(record(_parameters=parameters, _buffers=buffers, _modules=modules))


def old(loaded, keys=(), data=b'', header=None):
    """The old layout; ``loaded`` is the object's pickle without its stop sign."""
    header = header or b''.join(pickle.dumps(part, 2) for part in (
        torch_file.MAGIC_NUMBER, torch_file.PROTOCOL_VERSION, {'little_endian': True}))
    return header + b'\x80\x02' + loaded + b'.' + (keys if isinstance(keys, bytes) else pickle.dumps([*keys], 2)) + data


def zipped(loaded, data=(), how=zipfile.ZIP_STORED):
    """The present layout."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', how) as archive:
        archive.writestr('x/data.pkl', b'\x80\x02' + loaded + b'.')
        archive.writestr('x/byteorder', 'little')
        for key, content in dict(data).items():
            archive.writestr(f'x/data/{key}', content)
    return stream.getvalue()


FOUR = struct.pack('<q4f', 4, 1, 2, 3, 4)
CODE = {
    'os.system by reduce': (SYSTEM, 'asks for os.system,'),
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
    'a call of an inert object': (module(b'}') + b')R', 'a call of type Record'),
    'a call of a call': (ORDERED + b')R', 'a call of type dict'),
    'a persistent object in text': (b'Pos.system\n', 'of an unknown kind'),
    'a persistent object of another kind': (group(text('file'), text('/etc/passwd')) + b'Q', 'of an unknown kind'),
    'an extension code': (b'\x82\x01', 'extension registry'),
    'an OrderedDict of no pairs': (called(named('collections', 'OrderedDict'), text('ab')), 'something else'),
    'a defaultdict': (called(named('collections', 'defaultdict'), named('os', 'system')), 'collections.defaultdict'),
    'an array of objects': (pickle.dumps(np.array([{}], object), 2)[2:-1], 'type O8'),
}


class TestCode:
    @pytest.mark.parametrize('layout', [old, zipped], ids=['old', 'zip'])
    @pytest.mark.parametrize('attack', CODE)
    def test_is_refused_by_name(self, attack, layout, tmp_path, capsys):
        loaded, said = CODE[attack]
        path = tmp_path / 'in.pth'
        path.write_bytes(layout(loaded, {'0': FOUR[8:]}) if layout is zipped else old(loaded, '0', FOUR))
        message = refusal(path)
        assert said in message
        assert message in refused_by_command(capsys, 'convert', path, 'out.safetensors', '--as', 'mattnet')
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize('part', range(3))
    def test_in_the_header(self, part, tmp_path):
        parts = [torch_file.MAGIC_NUMBER, torch_file.PROTOCOL_VERSION, {'little_endian': True}]
        header = b''.join(b'\x80\x02' + SYSTEM + b'.' if i == part else pickle.dumps(one, 2)
                          for i, one in enumerate(parts))
        (tmp_path / 'in.pth').write_bytes(old(PLAIN, header=header))
        assert 'os.system' in refusal(tmp_path / 'in.pth')

    def test_in_the_list_of_storages(self, tmp_path):
        (tmp_path / 'in.pth').write_bytes(old(PLAIN, keys=b'\x80\x02' + SYSTEM + b'.'))
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
        (tmp_path / 'in.pth').write_bytes(old(loaded))
        read = torch_file.load(tmp_path / 'in.pth')
        assert read['model'].name == 'os.system' and read['opt']['x'].name == 'antigravity.fly'
        assert 'antigravity' not in sys.modules
        error = refused_by_command(capsys, 'convert', 'in.pth', 'out.safetensors', '--as', 'mattnet')
        assert 'os.system is no torch module' in error

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


MANY = 10_000
OBJECT = named('x', 'X') + b')\x81'
SIZES = {
    'a storage of 2**62 numbers': (storage(2**62), 'more than the file holds'),
    'a storage of a negative size': (storage(-4), 'whose size is none'),
    'a storage whose bytes overflow': (storage(2**61 + 1, kind=DOUBLES), 'more than the file'),
    'a storage of a number of a million digits': (storage(4).replace(
        number(4), b'\x8b' + struct.pack('<I', 1 << 20) + b'\x7f' * (1 << 20)), 'whose size is none'),
    'a storage of a terabyte': (storage(2**38), 'more than the file holds'),
    'a storage of half a number': (group(text('storage'), FLOATS, text('0'), text('cpu'),
                                         b'G' + struct.pack('>d', .5), b'N') + b'Q', 'damaged'),
    'more storages than fit': (b'](' + b''.join(storage(1000, key=str(i)) for i in range(100)) + b'e', 'more than the'),
    'one storage in two ways': (b'](' + storage(4) + storage(2, kind=DOUBLES) + b'e',
                                'in two ways'),
    'a storage inside another': (storage(4, view=group(text('v'), PLAIN, PLAIN)), 'a storage inside another one'),
    'a storage of an unknown type': (storage(4, kind=named('torch', 'QInt8Storage')), 'torch.QInt8Storage'),
    'sizes that overflow': (tensor(storage(4), [2**32, 2**32], [1, 1]), 'reaches to number'),
    'sizes that overflow to nothing': (tensor(storage(4), [2**61, 2**61, 0], [1, 1, 1]), 'a vast shape'),
    'a size beyond 64 bits': (tensor(storage(4), [2**64], [1]), 'sizes and strides are none'),
    'a negative size': (tensor(storage(4), [-1], [1]), 'sizes and strides are none'),
    'a negative stride': (tensor(storage(4), [2], [-1], offset=1), 'sizes and strides are none'),
    'an offset beyond the storage': (tensor(storage(4), [1], [1], offset=4), 'reaches to number 5 of a storage of 4'),
    'an offset before the storage': (tensor(storage(4), [1], [1], offset=-1), 'sizes and strides are none'),
    'strides that reach beyond': (tensor(storage(4), [2, 2], [3, 1]), 'reaches to number 5 of a storage of 4'),
    'strides that overflow': (tensor(storage(4), [3, 1], [2**61, 1]), 'reaches to number'),
    'a number unfolded to a billion': (tensor(storage(4), [10**9], [0]), 'unfolds 4 numbers to 1000000000'),
    'rows that overlap': (tensor(storage(4), [2, 4], [0, 1]), 'unfolds 4 numbers to 8'),
    'more strides than sizes': (tensor(storage(4), [4], [1, 1]), 'sizes and strides are none'),
    'a tensor of a hundred dimensions': (tensor(storage(4), [1] * 100, [1] * 100), 'sizes and strides are none'),
    'a tensor without a storage': (tensor(text('0'), [1], [1]), 'damaged'),
    'a storage as a value': (storage(4), 'a value of type Storage'),
    'the same numbers as ten thousand tensors': (b'](' + storage(4_000) + b'q\x010' + b''.join(
        tensor(b'h\x01', [4_000], [1]) for _ in range(MANY)) + b'e', 'can hold', 4_000),
    'the same pairs as ten thousand dicts': (b'](' + b'](' + group(PLAIN, PLAIN) * 30_000 + b'eq\x01' + b''.join(
        called(named('collections', 'OrderedDict'), b'h\x01') for _ in range(MANY)) + b'e', 'can hold'),
    'lists doubled at every step': (b']' + b''.join(b'q%c0](h%ch%ce' % (i, i, i) for i in range(250)), 'too deeply'),
    'objects ten thousand deep': (OBJECT * MANY + b'}' + b'b' * MANY, 'too deeply'),
    'lists ten thousand deep': (b']' * MANY + b'a' * (MANY - 1), 'too deeply'),
    'seven hundred thousand memo entries': (b']' + b'\x94' * 700_000, 'remembers more objects'),
    'a memo number of four billion': (b'](r\xff\xff\xff\xffj\xff\xff\xff\xfee', 'damaged'),
    'seven hundred thousand lists': (b'](' + b']' * 700_000 + b'e', 'makes more objects'),
    'as many objects': (b'](' + named('x', 'X') + b'q\x010' + b'h\x01)\x81' * 700_000 + b'e', 'makes more objects'),
    'a text of 4 GB': (b'X\xff\xff\xff\xffx', 'damaged'),
    'bytes of an exabyte': (b'\x8e' + struct.pack('<Q', 2**60) + b'x', 'damaged'),
    'tuples as colliding keys': (b'}(' + group(PLAIN, PLAIN) + PLAIN + group(PLAIN, number(2)) + PLAIN + b'u',
                                 'a key of type tuple'),
    'a key whose hash takes for ever': (b'}K\x01' + b'2\x86' * 60 + b'Ns', 'a key of type tuple'),
}


class TestSizes:
    @pytest.mark.parametrize('layout', ['old', 'zip'])
    @pytest.mark.parametrize('lie', SIZES)
    def test_are_checked_before_they_are_believed(self, lie, layout, tmp_path):
        loaded, said, *count = SIZES[lie]
        numbers = np.arange(*count or (4,), dtype='<f4').tobytes()
        path = tmp_path / 'in.pth'
        path.write_bytes(zipped(loaded, {'0': numbers}) if layout == 'zip' else
                         old(loaded, '0', struct.pack('<q', len(numbers) // 4) + numbers))
        message = refusal(path)
        assert said in message or (layout == 'zip' and ' in data/' in message)

    @pytest.mark.parametrize(('keys', 'data', 'said'), [
        ('0', struct.pack('<q4f', 2**62, 1, 2, 3, 4), 'has 4611686018427387904 numbers where 4 belong'),
        ('0', struct.pack('<q4f', -1, 1, 2, 3, 4), 'has -1 numbers where 4 belong'),
        ('0', struct.pack('<q3f', 3, 1, 2, 3), 'is cut short'),
        ('0', b'', 'is cut short'), ('00', FOUR * 2, 'not those that it lists'), ('', b'', 'not those that it lists'),
        ('01', FOUR * 2, 'not those that it lists'), ('1', FOUR, 'not those that it lists'),
        (b'\x80\x02K\x01.', FOUR, 'not those that it lists'), (b'\x80\x02](K\x00e.', FOUR, 'not those that it lists'),
    ])
    def test_counts_that_do_not_fit(self, keys, data, said, tmp_path):
        loaded = tensor(storage(4), [2, 2], [2, 1])
        (tmp_path / 'in.pth').write_bytes(old(loaded, '0', FOUR))
        assert torch_file.load(tmp_path / 'in.pth').tolist() == [[1, 2], [3, 4]]
        (tmp_path / 'in.pth').write_bytes(old(loaded, keys, data))
        assert said in refusal(tmp_path / 'in.pth')

    def test_empty_storages_are_as_many_as_they_are(self, tmp_path, monkeypatch):
        keys = [f'{i}' for i in range(2_000)]
        loaded = b'](' + b''.join(tensor(storage(0, key=key), [0], [1]) for key in keys) + b'e'
        (tmp_path / 'in.pth').write_bytes(old(loaded, keys, bytes(8 * len(keys))))
        assert len(torch_file.load(tmp_path / 'in.pth')) == 2_000
        monkeypatch.setattr(torch_file, '_MAX_STORAGES', 1_000)
        assert 'more than 1000 storages' in refusal(tmp_path / 'in.pth')

    @pytest.mark.parametrize(('loaded', 'said'), [
        (network(modules=record(again=OBJECT + b'q\x07' + record(_parameters=b'}', _buffers=b'}', _modules=record(
            again=b'h\x07')) + b'b')), 'contain one another'),
        (b''.join([network()] + [b'q%c0' % i + network(modules=record(a=b'h%c' % i, b=b'h%c' % i)) for i in range(60)]),
         'contain one another'),
        (b''.join([network(b'}(' + b''.join(text(f'{i}') + b'N' for i in range(5_000)) + b'u')] + [
            b'q%c0' % i + network(modules=record(a=b'h%c' % i, b=b'h%c' % i)) for i in range(16)]),
         'contain one another'),
        (network(modules=b'}' + text('x' * 2_000) + network() + b's'), 'have no names'),
        (network(modules=b'}K\x01' + network() + b's'), 'have no names'),
        (network(modules=record(a=b'](K\x01e')), 'a is of type list, no module'),
        (network(parameters=record(a=text('x'))), 'a is of type str, no tensor'),
        (network(parameters=b']'), 'have no names'),
        (module(record(_parameters=b'}')), 'is no torch module'),
        (module(b'}'), 'layers.joint_match.JointMatching is no torch module'),
        (network(modules=record(a=OBJECT)), 'a.x.X is no torch module'),
    ], ids=['itself', 'doubled', 'wide', 'long', 'numbers', 'list', 'text', 'no members', 'half', 'no state', 'inner'])
    def test_modules_that_are_none(self, loaded, said, tmp_path):
        path = tmp_path / 'in.pth'
        path.write_bytes(old(loaded))
        assert said in refusal(path, lambda _: torch_file.state_dict(torch_file.load(path), str(path)))

    def test_with_a_gigabyte_and_no_more(self, tmp_path):
        """All of them again in a process that may not have more."""
        for i, (loaded, *_) in enumerate(lie for lie in SIZES.values() if len(lie[0]) < 200_000):
            (tmp_path / f'{i}.pth').write_bytes(old(loaded, '0', FOUR))
            (tmp_path / f'{i}z.pth').write_bytes(zipped(loaded, {'0': FOUR[8:]}))
        (tmp_path / 'all.py').write_text(
            'import resource, sys\nfrom pathlib import Path\nfrom harness.files import torch_file\n'
            'from harness.errors import InputError\n'
            "has = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
            'resource.setrlimit(resource.RLIMIT_AS, (has + (1 << 30),) * 2)\n'
            'for path in sorted(Path(sys.argv[1]).glob("*.pth")):\n'
            '    try:\n        torch_file.load(path)\n    except InputError:\n        continue\n'
            '    sys.exit(f"{path} was read")\n')
        done = subprocess.run([sys.executable, 'all.py', '.'], capture_output=True, text=True, check=False,
                              env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'})
        assert done.returncode == 0, done.stderr


def rewritten(archive, **fields):
    """A zip whose directory says something else of its storage ``x/data/0``: 32-bit fields by name."""
    data = bytearray(archive)
    at = data.rindex(b'PK\x01\x02', 0, data.rindex(b'x/data/0'))
    for name, value in fields.items():
        offset, size = {'flags': (8, 2), 'how': (10, 2), 'packed': (20, 4), 'unpacked': (24, 4), 'start': (42, 4)}[name]
        data[at + offset:at + offset + size] = value.to_bytes(size, 'little')
    return bytes(data)


LOADED = tensor(storage(4), [4], [1])
ZIPS = {
    'a bomb of zeros': (zipped(tensor(storage(1 << 22), [1 << 22], [1]), {'0': bytes(1 << 24)}, zipfile.ZIP_DEFLATED),
                        'a packed entry'),
    'a bomb as the object': (zipped(b'X' + struct.pack('<I', 1 << 24) + b'x' * (1 << 24), (), zipfile.ZIP_DEFLATED),
                             'a packed entry'),
    'another bomb': (zipped(tensor(storage(1 << 22), [1 << 22], [1]), {'0': bytes(1 << 24)}, zipfile.ZIP_BZIP2),
                     'a packed entry'),
    'a size of 4 GB': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), unpacked=2**32 - 2), 'a packed entry'),
    'both sizes of 4 GB': (rewritten(zipped(tensor(storage(2**30 - 1), [4], [1]), {'0': FOUR[8:]}),
                                     packed=2**32 - 4, unpacked=2**32 - 4), 'more than the file holds'),
    'sizes that reach into the directory': (rewritten(zipped(tensor(storage(40), [4], [1]), {'0': FOUR[8:]}),
                                                      packed=160, unpacked=160), 'damaged or cut short'),
    'an entry that begins elsewhere': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), start=0), 'damaged or cut short'),
    'an entry that begins behind the end': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), start=2**31), 'damaged'),
    'an unknown packing': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), how=99), 'a packed entry'),
    'a password': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), flags=1), 'damaged or cut short'),
    'a changed number': (zipped(LOADED, {'0': FOUR[8:]}).replace(FOUR[8:], FOUR[:16]), 'Bad CRC-32'),
    'a key that climbs out': (zipped(tensor(storage(4, key='../../data.pkl'), [4], [1])), 'has no entry data/../'),
    'an archive in an archive': (zipped(b'N').replace(b'x/data.pkl', b'x/data.zip'), 'no such zip'),
    'no end': (zipped(LOADED, {'0': FOUR[8:]})[:-30], 'damaged or cut short'),
    'a beginning alone': (b'PK\x03\x04', 'damaged or cut short'),
}


class TestZip:
    @pytest.mark.parametrize('attack', ZIPS)
    def test_is_refused(self, attack, tmp_path, capsys):
        data, said = ZIPS[attack]
        (tmp_path / 'in.pth').write_bytes(data)
        assert said in refusal(tmp_path / 'in.pth')
        assert said in refused_by_command(capsys, 'convert', 'in.pth', 'out.safetensors', '--as', 'nmtree')

    def test_entries_that_share_their_bytes(self, tmp_path):
        """A thousand names for the same megabyte."""
        keys = [f'{i:03}' for i in range(1000)]
        archive = zipped(b'](' + b''.join(tensor(storage(1 << 18, key=key), [4], [1]) for key in keys) + b'e',
                         {'000': bytes(1 << 20)})
        begin, end = archive.rindex(b'PK\x01\x02'), archive.rindex(b'PK\x05\x06')
        entry = archive[begin:end]
        directory = archive[archive.index(b'PK\x01\x02'):begin] + b''.join(
            entry.replace(b'x/data/000', f'x/data/{key}'.encode()) for key in keys)
        tail = bytearray(archive[end:])
        tail[8:16] = struct.pack('<HHI', 1002, 1002, len(directory))
        (tmp_path / 'in.pth').write_bytes(archive[:archive.index(b'PK\x01\x02')] + directory + tail)
        message = refusal(tmp_path / 'in.pth')
        assert 'more than the file holds' in message or 'damaged or cut short' in message


CHECKPOINTS = pytest.mark.parametrize('name', [f'{kind}_{layout}.pth' for kind in ('mattnet', 'cmae', 'nmtree')
                                               for layout in ('legacy', 'py2')])


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


class TestDamage:
    @CHECKPOINTS
    def test_cut_short_at_every_thousandth_byte(self, name, tmp_path):
        """Of a longer file the first bytes, which the pickles are in, and the last ones."""
        data, path = vector_file(name).read_bytes(), tmp_path / 'in.pth'
        path.write_bytes(data)
        cuts = range(0, len(data), 1000)
        for size in reversed(cuts if len(cuts) <= 100 else [*cuts[:60], *cuts[-3:]]):
            os.truncate(path, size)
            refusal(path)

    def test_cut_short_anywhere(self, tmp_path):
        path = tmp_path / 'in.pth'
        for new in (False, True):
            torch.save({'model': nn.Linear(2, 2), 'opt': {'a': 1}}, path, _use_new_zipfile_serialization=new)
            data = path.read_bytes()
            for size in range(0, len(data), 41):
                path.write_bytes(data[:size])
                refusal(path)

    @pytest.mark.parametrize('new', [False, True], ids=['old', 'zip'])
    def test_changed_bytes_give_data_or_one_line(self, new, tmp_path):
        path = tmp_path / 'in.pth'
        torch.save({'model': nn.Linear(2, 2), 'opt': {'a': 1}}, path, _use_new_zipfile_serialization=new)
        data, random = path.read_bytes(), np.random.default_rng(0)
        for place in random.integers(0, len(data), 150):
            changed = bytearray(data)
            changed[place] = random.integers(256)
            path.write_bytes(changed)
            try:
                loaded = torch_file.load(path)
                if isinstance(loaded, dict) and 'model' in loaded:  # else it holds something else now
                    torch_file.state_dict(loaded['model'], str(path))
            except InputError as error:
                assert len(str(error).splitlines()) == 1

    @pytest.mark.parametrize(('content', 'said'), [
        (b'', 'is empty'), (b'weights: none\n', 'is no pickle'), (b'\x00' * 5000, 'is no pickle'),
        (b'\x80\x02K\x01.', 'is no file that torch.save wrote'), (b'\x80\x02}.', 'is no file that torch.save wrote'),
        (pickle.dumps(torch_file.MAGIC_NUMBER, 2), 'cut short'), (b'\x1f\x8b' + bytes(50), 'is no pickle'),
        (old(PLAIN, header=pickle.dumps(torch_file.MAGIC_NUMBER, 2) + pickle.dumps(1000, 2)), 'of an unknown version'),
        (old(PLAIN, header=b''.join(pickle.dumps(part, 2) for part in (
            torch_file.MAGIC_NUMBER, torch_file.PROTOCOL_VERSION, {'little_endian': False}))), 'big-endian'),
        (b'<html>404</html>', 'is no pickle'),
    ])
    def test_other_files(self, content, said, tmp_path, capsys):
        (tmp_path / 'in.pth').write_bytes(content)
        assert said in refusal(tmp_path / 'in.pth')
        assert said in refused_by_command(capsys, 'convert', 'in.pth', 'out.safetensors', '--as', 'mask-rcnn')

    def test_what_is_no_file(self, tmp_path, capsys):
        (tmp_path / 'folder.pth').mkdir()
        os.mkfifo(tmp_path / 'pipe.pth')
        (tmp_path / 'loop.pth').symlink_to(tmp_path / 'loop.pth')
        (tmp_path / 'device.pth').symlink_to('/dev/zero')
        assert 'is a folder' in refusal(tmp_path / 'folder.pth')
        for name, said in (('pipe.pth', 'not a regular file'), ('device.pth', 'not a regular file'),
                           ('loop.pth', 'no such file'), ('none.pth', 'no such file')):
            assert said in refusal(tmp_path / name)
            assert said in refused_by_command(capsys, 'convert', name, 'out.safetensors', '--as', 'cmae')


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
    'a pickle': old(SYSTEM),
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
