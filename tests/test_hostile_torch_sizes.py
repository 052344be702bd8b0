"""Files of ``torch.save`` that lie about sizes or unfold: each is refused in one line, within bounded memory."""
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.files import torch_file, torch_objects
from tests.hostile import (
    DOUBLES,
    FLOATS,
    FOUR,
    PLAIN,
    called,
    group,
    legacy,
    module,
    named,
    network,
    number,
    record,
    refusal,
    storage,
    tensor,
    text,
    zipped,
)

pytestmark = pytest.mark.usefixtures('nothing_runs')
ROOT = Path(__file__).parents[1]

MANY = 10_000
OBJECT = named('x', 'X') + b')\x81'
SIZES = {
    'a storage of 2**62 numbers': (storage(2**62), 'more than the file holds'),
    'a storage of a negative size': (storage(-4), 'of an invalid size'),
    'a storage whose bytes overflow': (storage(2**61 + 1, kind=DOUBLES), 'more than the file'),
    'a storage of a number of a million digits': (storage(4).replace(
        number(4), b'\x8b' + struct.pack('<I', 1 << 20) + b'\x7f' * (1 << 20)), 'of an invalid size'),
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
    'a size beyond 64 bits': (tensor(storage(4), [2**64], [1]), 'invalid sizes or strides'),
    'a negative size': (tensor(storage(4), [-1], [1]), 'invalid sizes or strides'),
    'a negative stride': (tensor(storage(4), [2], [-1], offset=1), 'invalid sizes or strides'),
    'an offset beyond the storage': (tensor(storage(4), [1], [1], offset=4), 'reaches to number 5 of a storage of 4'),
    'an offset before the storage': (tensor(storage(4), [1], [1], offset=-1), 'invalid sizes or strides'),
    'strides that reach beyond': (tensor(storage(4), [2, 2], [3, 1]), 'reaches to number 5 of a storage of 4'),
    'strides that overflow': (tensor(storage(4), [3, 1], [2**61, 1]), 'reaches to number'),
    'a number unfolded to a billion': (tensor(storage(4), [10**9], [0]), 'unfolds 4 numbers to 1000000000'),
    'rows that overlap': (tensor(storage(4), [2, 4], [0, 1]), 'unfolds 4 numbers to 8'),
    'more strides than sizes': (tensor(storage(4), [4], [1, 1]), 'invalid sizes or strides'),
    'a tensor of a hundred dimensions': (tensor(storage(4), [1] * 100, [1] * 100), 'invalid sizes or strides'),
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
    @pytest.mark.parametrize('layout', ['legacy', 'zip'])
    @pytest.mark.parametrize('lie', SIZES)
    def test_are_checked_before_they_are_believed(self, lie, layout, tmp_path):
        loaded, said, *count = SIZES[lie]
        numbers = np.arange(*count or (4,), dtype='<f4').tobytes()
        path = tmp_path / 'in.pth'
        path.write_bytes(zipped(loaded, {'0': numbers}) if layout == 'zip' else
                         legacy(loaded, '0', struct.pack('<q', len(numbers) // 4) + numbers))
        message = refusal(path)
        assert said in message or (layout == 'zip' and ' in data/' in message)

    @pytest.mark.parametrize(('keys', 'data', 'said'), [
        ('0', struct.pack('<q4f', 2**62, 1, 2, 3, 4), 'has 4611686018427387904 numbers instead of 4'),
        ('0', struct.pack('<q4f', -1, 1, 2, 3, 4), 'has -1 numbers instead of 4'),
        ('0', struct.pack('<q3f', 3, 1, 2, 3), 'is cut short'),
        ('0', b'', 'is cut short'), ('00', FOUR * 2, 'not the ones that'), ('', b'', 'not the ones that it lists'),
        ('01', FOUR * 2, 'not the ones that it lists'), ('1', FOUR, 'not the ones that it lists'),
        (b'\x80\x02K\x01.', FOUR, 'not the ones that it lists'),
        (b'\x80\x02](K\x00e.', FOUR, 'not the ones that it lists'),
    ])
    def test_counts_that_do_not_fit(self, keys, data, said, tmp_path):
        loaded = tensor(storage(4), [2, 2], [2, 1])
        (tmp_path / 'in.pth').write_bytes(legacy(loaded, '0', FOUR))
        assert torch_file.load(tmp_path / 'in.pth').tolist() == [[1, 2], [3, 4]]
        (tmp_path / 'in.pth').write_bytes(legacy(loaded, keys, data))
        assert said in refusal(tmp_path / 'in.pth')

    def test_empty_storages_are_as_many_as_they_are(self, tmp_path, monkeypatch):
        keys = [f'{i}' for i in range(2_000)]
        loaded = b'](' + b''.join(tensor(storage(0, key=key), [0], [1]) for key in keys) + b'e'
        (tmp_path / 'in.pth').write_bytes(legacy(loaded, keys, bytes(8 * len(keys))))
        assert len(torch_file.load(tmp_path / 'in.pth')) == 2_000
        monkeypatch.setattr(torch_objects, '_MAX_STORAGES', 1_000)
        assert 'more than 1000 storages' in refusal(tmp_path / 'in.pth')

    @pytest.mark.parametrize(('loaded', 'said'), [
        (network(modules=record(again=OBJECT + b'q\x07' + record(_parameters=b'}', _buffers=b'}', _modules=record(
            again=b'h\x07')) + b'b')), 'contain one another'),
        (b''.join([network()] + [b'q%c0' % i + network(modules=record(a=b'h%c' % i, b=b'h%c' % i)) for i in range(60)]),
         'contain one another'),
        (b''.join([network(b'}(' + b''.join(text(f'{i}') + b'N' for i in range(5_000)) + b'u')] + [
            b'q%c0' % i + network(modules=record(a=b'h%c' % i, b=b'h%c' % i)) for i in range(16)]),
         'contain one another'),
        (network(modules=b'}' + text('x' * 2_000) + network() + b's'), 'must have names'),
        (network(modules=b'}K\x01' + network() + b's'), 'must have names'),
        (network(modules=record(a=b'](K\x01e')), 'a is of type list, not a module'),
        (network(parameters=record(a=text('x'))), 'a is of type str, not a tensor'),
        (network(parameters=b']'), 'must have names'),
        (module(record(_parameters=b'}')), 'is not a torch module'),
        (module(b'}'), 'layers.joint_match.JointMatching is not a torch module'),
        (network(modules=record(a=OBJECT)), 'a.x.X is not a torch module'),
    ], ids=['itself', 'doubled', 'wide', 'long', 'numbers', 'list', 'text', 'no members', 'half', 'no state', 'inner'])
    def test_modules_that_are_none(self, loaded, said, tmp_path):
        path = tmp_path / 'in.pth'
        path.write_bytes(legacy(loaded))
        assert said in refusal(path, lambda _: torch_file.state_dict(torch_file.load(path), str(path)))

    def test_with_a_gigabyte_and_no_more(self, tmp_path):
        """All of them again in a process that may not have more."""
        for i, (loaded, *_) in enumerate(lie for lie in SIZES.values() if len(lie[0]) < 200_000):
            (tmp_path / f'{i}.pth').write_bytes(legacy(loaded, '0', FOUR))
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
