"""Files of ``torch.save`` whose layout is forged or damaged: each is refused in one line."""
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import InputError
from harness.files import torch_file
from harness.files.torch_legacy import MAGIC_NUMBER, PROTOCOL_VERSION
from tests.hostile import FOUR, PLAIN, legacy, refusal, refused_by_command, storage, tensor, zipped
from tests.reference import vector_file

pytestmark = pytest.mark.usefixtures('nothing_runs')


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
                        'a compressed entry'),
    'a bomb as the object': (zipped(b'X' + struct.pack('<I', 1 << 24) + b'x' * (1 << 24), (), zipfile.ZIP_DEFLATED),
                             'a compressed entry'),
    'another bomb': (zipped(tensor(storage(1 << 22), [1 << 22], [1]), {'0': bytes(1 << 24)}, zipfile.ZIP_BZIP2),
                     'a compressed entry'),
    'a size of 4 GB': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), unpacked=2**32 - 2), 'a compressed entry'),
    'both sizes of 4 GB': (rewritten(zipped(tensor(storage(2**30 - 1), [4], [1]), {'0': FOUR[8:]}),
                                     packed=2**32 - 4, unpacked=2**32 - 4), 'more than the file holds'),
    'sizes that reach into the directory': (rewritten(zipped(tensor(storage(40), [4], [1]), {'0': FOUR[8:]}),
                                                      packed=160, unpacked=160), 'damaged or cut short'),
    'an entry that begins elsewhere': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), start=0), 'damaged or cut short'),
    'an entry that begins behind the end': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), start=2**31), 'damaged'),
    'an unknown packing': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), how=99), 'a compressed entry'),
    'a password': (rewritten(zipped(LOADED, {'0': FOUR[8:]}), flags=1), 'damaged or cut short'),
    'a changed number': (zipped(LOADED, {'0': FOUR[8:]}).replace(FOUR[8:], FOUR[:16]), 'Bad CRC-32'),
    'a key that climbs out': (zipped(tensor(storage(4, key='../../data.pkl'), [4], [1])), 'has no entry data/../'),
    'an archive in an archive': (zipped(b'N').replace(b'x/data.pkl', b'x/data.zip'), 'was not written by torch.save'),
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

    @pytest.mark.parametrize('new', [False, True], ids=['legacy', 'zip'])
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
        (b'', 'is empty'), (b'weights: none\n', 'is not a pickle'), (b'\x00' * 5000, 'is not a pickle'),
        (b'\x80\x02K\x01.', 'was not written by torch.save'), (b'\x80\x02}.', 'was not written by torch.save'),
        (pickle.dumps(MAGIC_NUMBER, 2), 'cut short'), (b'\x1f\x8b' + bytes(50), 'is not a pickle'),
        (legacy(PLAIN, header=pickle.dumps(MAGIC_NUMBER, 2) + pickle.dumps(1000, 2)), 'by an unknown version'),
        (legacy(PLAIN, header=b''.join(pickle.dumps(part, 2) for part in (
            MAGIC_NUMBER, PROTOCOL_VERSION, {'little_endian': False}))), 'big-endian'),
        (b'<html>404</html>', 'is not a pickle'),
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
