"""What the tests of hostile files share: how a file is refused, and pickles written by hand."""
import io
import pickle
import struct
import zipfile

import pytest

from harness.errors import InputError
from harness.files import torch_file
from harness.files.torch_legacy import MAGIC_NUMBER, PROTOCOL_VERSION
from run_benchmark import command_line


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
    assert line.startswith('error: ') and not out
    assert all(earlier.endswith(' …') for earlier in before), before  # what it is loading or reading
    return line


# Pickles written by hand: each function gives the bytes of an instruction or of a few.

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


def legacy(loaded, keys=(), data=b'', header=None):
    """The legacy layout; ``loaded`` is the object's pickle without its stop sign."""
    header = header or b''.join(pickle.dumps(part, 2) for part in (
        MAGIC_NUMBER, PROTOCOL_VERSION, {'little_endian': True}))
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
