"""HDF5 files made to mislead: each is refused in one line, and nothing outside the file is opened."""
import resource
import time

import h5py
import numpy as np
import pytest

from adapters.originals.features import StoredBoxFeatures, read_head
from adapters.originals.hdf5 import numbers
from harness.errors import InputError

ROWS = np.arange(6 * 8, dtype=np.float32).reshape(6, 8)


@pytest.fixture(autouse=True)
def bounded():
    """A small file takes neither much memory nor much time."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert time.monotonic() - start < 10


@pytest.fixture
def secret(tmp_path):
    """A good file that the hostile ones try to reach."""
    path = tmp_path / 'secret.h5'
    with h5py.File(path, 'w') as file:
        file['fc7'] = ROWS
    return path


def refusal(path, name='fc7'):
    with pytest.raises(InputError) as error:
        np.array(numbers(path, name, (None, None)))
    message = str(error.value)
    assert str(path) in message and len(message.splitlines()) == 1 and len(message) < 400
    return message


def made(tmp_path, make, **options):
    path = tmp_path / 'det_feats.h5'
    with h5py.File(path, 'w', **options) as file:
        make(file)
    return path


class TestWaysOut:
    def test_an_external_link(self, tmp_path, secret):
        path = made(tmp_path, lambda f: f.__setitem__('fc7', h5py.ExternalLink(str(secret), '/fc7')))
        with h5py.File(path, 'r') as file:
            assert file['fc7'].shape == (6, 8)  # h5py itself follows it
        assert 'a link to somewhere else' in refusal(path)

    def test_a_link_to_a_device(self, tmp_path):
        assert 'link' in refusal(made(tmp_path, lambda f: f.__setitem__('fc7', h5py.ExternalLink('/dev/zero', '/fc7'))))

    def test_a_soft_link(self, tmp_path):
        def make(file):
            file['real'] = ROWS
            file['fc7'] = h5py.SoftLink('/real')
        assert 'a link to somewhere else' in refusal(made(tmp_path, make))

    def test_a_soft_link_through_an_external_one(self, tmp_path, secret):
        def make(file):
            file['away'] = h5py.ExternalLink(str(secret), '/')
            file['fc7'] = h5py.SoftLink('/away/fc7')
        assert 'a link to somewhere else' in refusal(made(tmp_path, make))

    def test_a_soft_link_to_itself(self, tmp_path):
        assert 'link' in refusal(made(tmp_path, lambda f: f.__setitem__('fc7', h5py.SoftLink('/fc7'))))

    def test_numbers_in_another_file(self, tmp_path):
        password = tmp_path / 'password'
        password.write_bytes(b'open sesame' * 40)
        path = made(tmp_path, lambda f: f.create_dataset(
            'fc7', (6, 8), np.float32, external=[(str(password), 0, h5py.h5f.UNLIMITED)]))
        with h5py.File(path, 'r') as file:
            assert file['fc7'][0].tobytes().startswith(b'open sesame')  # h5py itself reads it
        assert 'in other files' in refusal(path)

    def test_a_virtual_dataset(self, tmp_path, secret):
        layout = h5py.VirtualLayout((6, 8), np.float32)
        layout[:] = h5py.VirtualSource(str(secret), 'fc7', (6, 8))
        assert 'other datasets' in refusal(made(tmp_path, lambda f: f.create_virtual_dataset('fc7', layout),
                                                libver='latest'))

    def test_a_name_with_folders_is_no_dataset_of_the_root(self, tmp_path, secret):
        path = made(tmp_path, lambda f: f.__setitem__('away', h5py.ExternalLink(str(secret), '/')))
        with pytest.raises(InputError, match="'away/fc7' is not in this file"):
            numbers(path, 'away/fc7', (None, None))


class TestLyingShapes:
    def test_a_shape_without_bytes(self, tmp_path):
        path = made(tmp_path, lambda f: f.create_dataset('fc7', (10**9, 2048), np.float32))
        assert 'claims 8192000000000 bytes' in refusal(path)

    def test_a_shape_beyond_the_end(self, tmp_path, secret):
        data = secret.read_bytes()
        shape = np.array([6, 8], '<u8').tobytes()
        assert data.count(shape) >= 1
        path = tmp_path / 'lying.h5'
        path.write_bytes(data.replace(shape, np.array([6 << 30, 8], '<u8').tobytes()))
        refusal(path)

    def test_a_bomb_of_zeros(self, tmp_path):
        path = made(tmp_path, lambda f: f.create_dataset('fc7', (1, 1 << 26), np.uint8, compression='gzip'))
        with h5py.File(path, 'a') as file:
            file['fc7'][0, :1 << 22] = 0
        assert 'packed or in chunks' in refusal(path)

    def test_a_chunk_of_gigabytes(self, tmp_path):
        shape = (1 << 20, 1 << 10)
        path = made(tmp_path, lambda f: f.create_dataset('fc7', shape, np.uint8, chunks=shape))
        assert 'packed or in chunks' in refusal(path)

    def test_a_filter_that_this_machine_would_have_to_load(self, tmp_path):
        def make(file):
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            properties.set_chunk((6, 8))
            properties.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (1,))
            h5py.h5d.create(file.id, b'fc7', h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((6, 8)), properties)
        assert 'packed or in chunks' in refusal(made(tmp_path, make))

    def test_another_shape_than_the_one_needed(self, tmp_path):
        assert 'has the shape (6, 8, 1)' in refusal(made(tmp_path, lambda f: f.__setitem__('fc7', ROWS[..., None])))

    def test_a_map_that_does_not_fit_its_image(self, tmp_path):
        def make(file):
            file['head'] = np.zeros((1, 4, 3, 4000), np.float32)
            file['im_info'] = np.array([[48, 64, 1.5]], np.float32)
        made(tmp_path, make).rename(tmp_path / '7.h5')
        with pytest.raises(InputError, match='does not fit an input of 48 by 64'):
            read_head(tmp_path, 7)


class TestTypes:
    @pytest.mark.parametrize('make', [
        lambda f: f.create_dataset('fc7', (2, 2), h5py.string_dtype(), data=[['a', 'b'], ['c', 'd']]),
        lambda f: f.create_dataset('fc7', (2, 2), h5py.vlen_dtype(np.float32)),
        lambda f: f.create_dataset('fc7', (2, 2), h5py.ref_dtype),
        lambda f: f.create_dataset('fc7', (2, 2), [('a', 'f4'), ('b', 'f4')]),
        lambda f: f.create_dataset('fc7', data=np.full((2, 2), b'abcd')),
        lambda f: f.create_dataset('fc7', data=np.zeros((2, 2), bool)),
        lambda f: f.create_dataset('fc7', data=np.zeros((2, 2), complex)),
        lambda f: f.create_dataset('fc7', (2, 2), '(3,)f4'),
    ], ids=['text', 'lists', 'references', 'records', 'bytes', 'booleans', 'complex', 'arrays'])
    def test_what_is_no_plain_number(self, tmp_path, make):
        assert 'plain numbers' in refusal(made(tmp_path, make))

    def test_a_group(self, tmp_path):
        assert 'is a group or a type' in refusal(made(tmp_path, lambda f: f.create_group('fc7')))

    def test_a_named_type(self, tmp_path):
        assert 'is a group or a type' in refusal(made(tmp_path, lambda f: f.__setitem__('fc7', np.dtype('f4'))))

    def test_numbers_that_are_not_finite(self, tmp_path):
        path = made(tmp_path, lambda f: f.__setitem__('fc7', np.array([[1, np.nan]], np.float32)))
        with pytest.raises(InputError, match='not finite'):
            StoredBoxFeatures(path).fc7([0])


class TestDamage:
    def test_no_hdf5_and_no_file(self, tmp_path):
        path = tmp_path / 'text.h5'
        path.write_text('cos\nsystem\n')
        assert 'is not an HDF5 file' in refusal(path)
        assert 'no such file' in refusal(tmp_path / 'none.h5')
        assert 'no such file' in refusal(tmp_path)

    def test_cut_short_anywhere(self, tmp_path, secret):
        data = secret.read_bytes()
        path = tmp_path / 'short.h5'
        for size in range(0, len(data), 97):
            path.write_bytes(data[:size])
            refusal(path)

    def test_a_changed_byte_gives_numbers_or_one_line(self, tmp_path, secret):
        data, path = secret.read_bytes(), tmp_path / 'changed.h5'
        random = np.random.default_rng(0)
        for place in random.integers(0, len(data) - ROWS.nbytes, 300):
            changed = bytearray(data)
            changed[place] = random.integers(256)
            path.write_bytes(changed)
            try:
                assert np.array(numbers(path, 'fc7', (None, None))).nbytes <= len(data)
            except InputError as error:
                assert len(str(error).splitlines()) == 1
