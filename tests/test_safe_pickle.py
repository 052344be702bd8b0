"""The safe unpickler: plain data comes out as it went in; everything else is refused, and nothing of it runs."""
import pickle
import resource
import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.files import safe_pickle

PROTOCOLS = range(6)
keys = st.one_of(st.text(), st.integers(-2**60, 2**60), st.booleans(), st.none(), st.binary())
leaves = st.one_of(keys, st.integers(), st.floats(allow_nan=False), st.text(alphabet='\\\'"\n\r\t\x00é漢😀'))
plain = st.recursive(leaves, lambda inner: st.one_of(
    st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(keys, inner),
    st.sets(keys), st.frozensets(keys)), max_leaves=12)
arrays = st.sampled_from([
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(5, np.uint8),
    np.zeros((0, 4), np.float32), np.array([True, False]), np.arange(3, dtype='>i4'), np.float16([1, np.inf]),
])


@pytest.fixture
def bounded_memory():
    """A small file must not take much memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def loads(data):
    return safe_pickle.loads(data, 'refs(unc).p')


def refusal(data):
    """The one line that a file is refused with."""
    with pytest.raises(InputError) as error:
        loads(data)
    message = str(error.value)
    assert message.startswith('refs(unc).p: ') and len(message.splitlines()) == 1 and len(message) < 300
    return message


class TestPlainData:
    @settings(max_examples=30, deadline=None)
    @given(plain, st.sampled_from(PROTOCOLS))
    def test_comes_out_as_it_went_in(self, data, protocol):
        assert loads(pickle.dumps(data, protocol)) == data

    @settings(deadline=None)
    @given(arrays, st.sampled_from(PROTOCOLS))
    def test_arrays_too_in_this_machines_byte_order(self, array, protocol):
        twice, read = loads(pickle.dumps([array, array], protocol))
        assert twice is read
        assert read.dtype == array.dtype.newbyteorder('=') and read.shape == array.shape
        np.testing.assert_array_equal(read, array)
        assert read.flags.writeable

    @pytest.mark.parametrize('protocol', PROTOCOLS)
    def test_large_ones_too(self, protocol):
        """Half of these bytes are two in a text, so that the file is hardly larger than what is copied of it."""
        array = np.arange(30_000, dtype=np.float32).reshape(300, 100)
        np.testing.assert_array_equal(loads(pickle.dumps({581857: array}, protocol))[581857], array)

    @pytest.mark.parametrize('scalar', [np.float32(1.5), np.float64(-2), np.int64(7), np.uint8(255), np.bool_(True)])
    @pytest.mark.parametrize('protocol', PROTOCOLS)
    def test_scalars_too(self, scalar, protocol):
        read = loads(pickle.dumps(scalar, protocol))
        assert read == scalar and type(read) is type(scalar)

    def test_a_shared_or_cyclic_list_stays_one(self):
        inner = [1]
        first, second = loads(pickle.dumps([inner, inner]))
        assert first is second
        inner.append(inner)
        read = loads(pickle.dumps(inner))
        assert read[1] is read

    def test_of_python_2(self):
        """``cPickle.dumps([{'tokens': ['left', 'caf\\xc3\\xa9'], 'sent_id': 3L, 'raw': u'\\xe9'}])`` under Python 2."""
        data = (b"(lp1\n(dp2\nS'tokens'\np3\n(lp4\nS'left'\np5\naS'caf\\xc3\\xa9'\np6\nasS'sent_id'\np7\nL3L\ns"
                b"S'raw'\np8\nV\xe9\np9\nsa.")
        assert loads(data) == [{'tokens': ['left', 'caf\u00c3\u00a9'], 'sent_id': 3, 'raw': '\u00e9'}]

    def test_arrays_of_python_2(self):
        """Their bytes are a ``str``, their names are of the old module."""
        raw = struct.pack('<2d', 1.5, -2)
        data = (b'\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03'
                b'(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02f8K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xff'
                b'J\xff\xff\xff\xffK\x00tb\x89U\x10' + raw + b'tb.')
        np.testing.assert_array_equal(loads(data), [1.5, -2])

    def test_a_long_list_of_refs(self):
        refs = [{'ref_id': i, 'sentences': [{'tokens': ['left', f'cup{i}'], 'sent_id': i}]} for i in range(3_000)]
        assert loads(pickle.dumps(refs, 2)) == refs

    def test_from_a_file(self, tmp_path):
        path = tmp_path / 'refs(unc).p'
        path.write_bytes(pickle.dumps([1]))
        assert safe_pickle.load(path) == [1]
        with pytest.raises(InputError, match=r'missing\.p: there is no such file'):
            safe_pickle.load(tmp_path / 'missing.p')


FIRED = []


def fire(*arguments):
    """What an attack tries to have called."""
    FIRED.append(arguments)


class Attack:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def text(value):
    return b'\x8c' + bytes([len(value)]) + value


def long(value):
    return b'\x8a\x09' + value.to_bytes(9, 'little')


def name(module, attribute):
    return text(module) + text(attribute) + b'\x93'


RECONSTRUCT = name(b'numpy.core.multiarray', b'_reconstruct') + name(b'numpy', b'ndarray') + b'K\x00\x85C\x01b\x87R'


def dtype(code, parts=b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00'):
    return name(b'numpy', b'dtype') + text(code) + b'\x89\x88\x87R(K\x03' + text(b'<') + parts + b'tb'


def array(shape, code, raw):
    """A float64 array as numpy writes it, with every part open to lies."""
    return RECONSTRUCT + b'(K\x01' + shape + dtype(code) + b'\x89' + raw + b'tb'


HERE = fire.__module__.encode()
CALLS = {
    'os.system by reduce': (b'cos\nsystem\n(S"touch fired"\ntR.', 'os.system'),
    'posix.system': (b'cposix\nsystem\n(S"touch fired"\ntR.', 'posix.system'),
    'eval': (b"c__builtin__\neval\n(S'1+1'\ntR.", '__builtin__.eval'),
    'getattr chain': (b'cbuiltins\ngetattr\n(cbuiltins\nopen\nS"write"\ntR.', 'builtins.getattr'),
    'dotted name by STACK_GLOBAL': (name(b'numpy', b'ndarray.__class__') + b'.', 'numpy.ndarray.__class__'),
    'known name in another module': (b'\x80\x04' + name(b'os', b'ndarray') + b'.', 'os.ndarray'),
    'module from a joined name': (b'\x80\x04' + name(b'numpy.core', b'multiarray._reconstruct') + b')R.', None),
    'INST': (b'(S"x"\nios\nsystem\n.', 'os.system'),
    'OBJ': (b'(cnumpy\ndtype\nS"f8"\no.', 'an object of a class'),
    'NEWOBJ': (b'\x80\x02cnumpy\nndarray\n)\x81.', 'an object of a class'),
    'NEWOBJ_EX': (b'\x80\x04cnumpy\nndarray\n)}\x92.', 'an object of a class'),
    'persistent id': (b'Pfile\n.', 'a persistent object'),
    'binary persistent id': (b'K\x01Q.', 'a persistent object'),
    'extension code': (b'\x82\x01.', 'extension registry'),
    'four-byte extension code': (b'\x84\x01\x00\x00\x00.', 'extension registry'),
    'buffer outside the file': (b'\x80\x05\x97.', 'a buffer outside the file'),
    'call of a list': (b'](K\x01tR.', 'a call of type list'),
    'state for a list': (b']}b.', 'a state for type list'),
    'state for a name': (b'cnumpy\ndtype\n}b.', 'a state for type Global'),
    'a name as a value': (b'cnumpy\ndtype\n.', 'a value of type Global'),
    'a name in a list': (b'(lcnumpy\ndtype\na.', 'a value of type Global'),
    'an array without numbers': (RECONSTRUCT + b'.', 'a value of type PendingArray'),
    'another codec': (name(b'_codecs', b'encode') + text(b'x') + text(b'zip') + b'\x86R.', '_codecs.encode'),
    'array of objects': (array(b'K\x01\x85', b'O8', b']'), 'type O8'),
    'list in place of bytes': (array(b'K\x01\x85', b'f8', b'](K\x01e') + b'.', 'arrays of objects'),
    'array of records': (RECONSTRUCT + b'(K\x01K\x01\x85' + dtype(b'f8', b'N' + text(b'a') + b'\x85}K\x08K\x01K\x00')
                         + b'\x89C\x08\0\0\0\0\0\0\0\0tb.', 'numbers with fields'),
    'number type with object flags': (dtype(b'f8', b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3f'), 'with fields'),
    'void numbers': (dtype(b'V1000000'), 'type V1000000'),
    'another array class': (name(b'numpy.core.multiarray', b'_reconstruct') + name(b'numpy', b'dtype')
                            + b'K\x00\x85C\x01b\x87R.', 'arrays of another kind'),
    'numpy function': (name(b'numpy', b'load') + text(b'x') + b'\x85R.', 'numpy.load'),
    'line feed in a name': (b'\x80\x04' + name(b'os', b'a\nb') + b'.', 'os.a'),
    'a tuple as a key': (b'}((K\x01K\x02tK\x03u.', 'a key of type tuple'),
    'keys made to collide': (b'}' + long(2**61 - 1) + b'Ns.', 'a key of type int'),
}


class TestCode:
    @pytest.mark.parametrize('attack', CALLS)
    def test_is_refused_by_name(self, attack, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        data, asked = CALLS[attack]
        message = refusal(data)
        assert asked is None or (('references ' in message or 'contains ' in message) and asked in message)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize('protocol', PROTOCOLS)
    @pytest.mark.parametrize('wrap', [lambda a: a, lambda a: {'refs': [{'sent': a}]}, lambda a: (1, [a, a])])
    def test_is_never_called(self, protocol, wrap):
        message = refusal(pickle.dumps(wrap(Attack(fire, ('x',))), protocol))
        assert f'{fire.__module__}.fire' in message
        assert not FIRED

    def test_is_not_imported(self):
        assert 'antigravity.fly' in refusal(b'cantigravity\nfly\n)R.')
        assert 'antigravity' not in sys.modules

    @pytest.mark.parametrize('value', [object(), print, complex(1), range(3), np.dtype('f8'), np.array(['a']), Attack,
                                       np.array([{}], object), np.longdouble(1), pickle.PicklingError('x')])
    def test_what_is_no_plain_data(self, value):
        refusal(pickle.dumps(value))


BOMBS = {
    'BINBYTES8 claims an exabyte': b'\x8e' + struct.pack('<Q', 1 << 60) + b'x.',
    'BINBYTES8 claims a negative size': b'\x8e' + b'\xff' * 8 + b'x.',
    'BYTEARRAY8 claims a terabyte': b'\x80\x05\x96' + struct.pack('<Q', 1 << 40) + b'x.',
    'BINUNICODE claims 4 GB': b'X\xff\xff\xff\xffx.',
    'BINSTRING claims 2 GB': b'T\xff\xff\xff\x7fx.',
    'LONG4 claims 2 GB': b'\x8b\xff\xff\xff\x7fx.',
    'LONG4 claims a negative size': b'\x8b\xff\xff\xff\xffx.',
    'FRAME claims an exabyte': b'\x80\x04\x95' + struct.pack('<Q', 1 << 60) + b'N.',
    'a number of a million digits': b'I' + b'9' * 1_000_000 + b'\n.',
    'an array of 10^18 numbers': array(long(10**18) + b'\x85', b'f8', b'C\x00') + b'.',
    'an array whose size overflows': array(long(2**64) + b'\x85', b'f8', b'C\x00') + b'.',
    'an array of a negative shape': array(b'J\xff\xff\xff\xff\x85', b'f8', b'C\x08' + bytes(8)) + b'.',
    'an array of fewer bytes': array(b'K\x02\x85', b'f8', b'C\x08' + bytes(8)) + b'.',
    'an empty array of a vast shape': array(b'K\x00' + long(2**62) + b'\x86', b'f8', b'C\x00') + b'.',
    'the same bytes as ten thousand arrays': (
        b'\x8e' + struct.pack('<Q', 100_000) + bytes(100_000) + b'q\x01' + dtype(b'f8') + b'q\x020]('
        + (RECONSTRUCT + b'(K\x01M\xd4\x30\x85h\x02\x89h\x01tb') * 10_000 + b'e.'),
    'the same text encoded ten thousand times': (
        b'X' + struct.pack('<I', 100_000) + b'x' * 100_000 + b'q\x010](' + (
            name(b'_codecs', b'encode') + b'h\x01' + text(b'latin1') + b'\x86R') * 10_000 + b'e.'),
    'the same list as ten thousand sets': (
        b'](' + b''.join(b'M' + struct.pack('<H', i) for i in range(60_000)) + b'eq\x010]('
        + (name(b'builtins', b'set') + b'h\x01\x85R') * 10_000 + b'e.'),
    'memo doubled at every step': b']' + b''.join(
        b'q%c0](h%ch%ce' % (i, i, i) for i in range(250)) + b'.',
    'a key whose hash takes for ever': b'}K\x01' + b'2\x86' * 60 + b'Ns.',
    'too many lists': b'(' + b']' * 700_000 + b'l.',
    'too many sets': b'(' + b'\x8f' * 700_000 + b'l.',
    'too many memo entries': b']' + b'\x94' * 700_000 + b'.',
    'too many marks': b'(' * 10_000 + b'.',
    'lists two hundred thousand deep': b']' * 200_000 + b'a' * 199_999 + b'.',
    'tuples a hundred thousand deep': b'N' + b'\x85' * 100_000 + b'.',
    'dicts a thousand deep': b'}' + b'K\x01}' * 1000 + b's' * 1000 + b'.',
}


class TestBombs:
    @pytest.mark.parametrize('bomb', BOMBS)
    @pytest.mark.usefixtures('bounded_memory')
    def test_are_refused_before_they_grow(self, bomb):
        refusal(BOMBS[bomb])

    def test_a_huge_memo_number_costs_nothing(self):
        assert loads(b']r\xff\xff\xff\xff.') == []


DAMAGED = {
    'nothing': b'', 'text': b'[1, 2, 3]', 'zip': b'PK\x03\x04', 'a later protocol': b'\x80\x06N.', 'no stop': b'N',
    'an empty stack': b'.', 'APPEND on nothing': b'Na.', 'APPEND on a number': b'K\x01K\x02a.', 'TUPLE unmarked': b't.',
    'TUPLE3 of one': b'K\x01\x87.', 'SETITEM on a list': b']K\x01K\x02s.', 'odd SETITEMS': b'}(K\x01u.',
    'unknown memo': b'h\x05.', 'unquoted string': b'Sabc\n.', 'invalid UTF-8': b'X\x01\x00\x00\x00\xff.',
    'a word as a number': b'Iabc\n.', 'ADDITEMS on a list': b'](K\x01\x90.', 'REDUCE of nothing': b'R.',
    'BUILD of nothing': b'b.', 'wrong arguments': b'cnumpy\ndtype\n)R.', 'bad escape': b"S'\\x'\n.",
}


class TestDamage:
    @pytest.mark.parametrize('damage', DAMAGED)
    def test_is_one_line(self, damage):
        refusal(DAMAGED[damage])

    @pytest.mark.parametrize('protocol', PROTOCOLS)
    def test_cut_short_anywhere(self, protocol):
        data = pickle.dumps([{'sent': 'left cup', 'ids': [1, 300, 2**40], 'x': 1.5, 'a': np.arange(3.0)}], protocol)
        for end in range(len(data)):
            refusal(data[:end])

    @settings(deadline=None)
    @given(st.binary(max_size=60))
    def test_noise_is_refused_or_plain(self, noise):
        try:
            loads(noise)
        except InputError as error:
            assert len(str(error).splitlines()) == 1

    @settings(deadline=None)
    @given(st.data())
    def test_one_changed_byte_is_refused_or_plain(self, data):
        raw = bytearray(pickle.dumps([{'sent': 'cup', 'a': np.arange(3.0), 'b': {1, 2}}], data.draw(st.integers(0, 5))))
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        try:
            loads(bytes(raw))
        except InputError as error:
            assert len(str(error).splitlines()) == 1
