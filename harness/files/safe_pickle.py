"""The project's one reader of pickles: builds plain data and numeric arrays, and runs nothing that a file asks for.

A pickle is a program for a small stack machine. This is that machine without its dangerous half, written out because
Python's own one, even where it may import nothing, allocates what a file's lengths and memo numbers claim, and hashes
keys that take for ever. Here nothing is imported or called by name: a name is looked up in :data:`BUILDERS` and refused
if it is not there. Time and memory are bounded by the file's size. :mod:`harness.files.torch_file` knows more names.
"""
from __future__ import annotations

import codecs
import gc
import math
import struct
from collections.abc import Callable, Iterable
from itertools import chain
from mmap import mmap
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from harness.errors import InputError, shown
from harness.files.reading import read_bytes

MAX_DEPTH = 200
_MAX_MARKS = 4 * MAX_DEPTH
_FREE_OBJECTS = 500_000
_KEYS = {str, bytes, int, bool, type(None)}
_CONTAINERS = (list, dict, tuple, set, frozenset)
_ARRAY_TYPES = {kind + str(size): np.dtype(f'{kind}{size}') for kind, sizes in
                (('b', (1,)), ('i', (1, 2, 4, 8)), ('u', (1, 2, 4, 8)), ('f', (2, 4, 8))) for size in sizes}
_ARRAY_TYPES['b1'] = np.dtype(bool)
_BYTE_ORDERS: dict[str, Literal['<', '>', '=']] = {'<': '<', '>': '>', '=': '=', '|': '='}
_PLAIN = {*_KEYS, *_CONTAINERS, float, bytearray, np.ndarray, *(t.type for t in _ARRAY_TYPES.values())}


def load(path: str | Path) -> Any:
    """The object in a pickle file of protocol 0 to 5, Python 2's included (its ``str`` is read as latin-1).

    Builds lists, dicts, tuples, sets, text, bytes, numbers, booleans, ``None``, and numpy arrays and scalars of plain
    booleans, integers and floats. Keys are text, bytes or whole numbers.

    Raises:
        InputError: the file is missing, cut short or damaged, or asks for anything else: the message names it.
    """
    return loads(read_bytes(path), str(path))


def loads(data: bytes, where: str) -> Any:
    """:func:`load` for bytes already read; ``where`` begins the messages."""
    return Machine(data, where).run()


class Refused(Exception):
    """Why a pickle is not read on; :meth:`Machine.run` puts the file's name before it."""


class Global:
    """A name that the file asks for, inert."""

    __slots__ = ('name',)

    def __init__(self, name: str) -> None:
        self.name = name


class DType:
    """A number type between its name and its byte order."""

    __slots__ = ('dtype',)

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype


class Array:
    """An array that was announced and has no numbers yet; ``memo_keys`` is where its successor goes."""

    __slots__ = ('memo_keys',)

    def __init__(self) -> None:
        self.memo_keys: list[int] = []


class Machine:
    """The stack machine; one instance reads one pickle.

    Attributes:
        data: the bytes that the pickle is in.
        position: of the next byte to read; behind the pickle when :meth:`run` is done.
        values: the types that may be in the result.
        containers: those of them that hold others.
    """

    values: frozenset[type] = frozenset(_PLAIN)
    containers: tuple[type, ...] = _CONTAINERS

    def __init__(self, data: bytes | mmap, where: str, position: int = 0) -> None:
        self.data, self.where, self.position = data, where, position
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.objects_left = _FREE_OBJECTS + len(data) // 4
        self.bytes_left = 2 * len(data)  # Python 3's protocol 2 has bytes as text: encoded once, then in an array

    def run(self) -> Any:
        """Read up to the stop sign and return what is on the stack."""
        data, operations = self.data, OPERATIONS
        collecting = gc.isenabled()
        gc.disable()  # nothing here becomes garbage, and looking for it takes a third of the time
        try:
            while (code := data[self.position]) != 0x2e:
                self.position += 1
                operations[code](self)
            self.position += 1
            result = self.stack.pop()
            self.check_result(result)
            return result
        except Refused as reason:
            raise InputError(f'{self.where}: {reason}') from None
        except MemoryError:
            raise InputError(f'{self.where}: is too large for the memory of this machine') from None
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, struct.error):
            raise InputError(f'{self.where}: is no pickle, or is damaged or cut short at byte {self.position}; '
                             'fetch the file again') from None
        finally:
            if collecting:
                gc.enable()

    # What the operations are made of.

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes, which must be there."""
        start, end = self.position, self.position + size
        if size < 0 or end > len(self.data):
            raise ValueError('beyond the end')
        self.position = end
        return self.data[start:end]

    def number(self, size: int) -> int:
        """The next unsigned little-endian number."""
        return int.from_bytes(self.take(size), 'little')

    def line(self) -> bytes:
        """The bytes up to the next line feed."""
        start = self.position
        end = self.data.find(b'\n', start)
        if end < 0:
            raise ValueError('beyond the end')
        self.position = end + 1
        return self.data[start:end]

    def items(self) -> list[Any]:
        """Everything over the topmost mark."""
        items = self.stack
        self.stack = self.below.pop()
        return items

    def made(self, container: Any, cost: int = 1) -> None:
        """Push a new container, of which a file may make only as many as its size explains."""
        self.objects_left -= cost
        if self.objects_left < 0:
            raise Refused('makes more objects than a file of its size can hold')
        self.stack.append(container)

    def spend(self, size: int) -> None:
        """Account for bytes that are copied; a file of honest data mentions each once and copies it at most twice."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise Refused('unfolds to more than a file of its size can hold')

    def remember(self, key: int) -> None:
        self.objects_left -= 1
        if self.objects_left < 0:
            raise Refused('remembers more objects than a file of its size can hold')
        value = self.stack[-1]
        self.memo[key] = value
        if type(value) is Array:
            value.memo_keys.append(key)

    # The operations that are more than a line.

    def mark(self) -> None:
        if len(self.below) > _MAX_MARKS:
            raise Refused('is nested too deeply to be data')
        self.below.append(self.stack)
        self.stack = []

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.items()

    def protocol(self) -> None:
        version = self.number(1)
        if version > 5:
            raise Refused(f'is a pickle of protocol {version}; 0 to 5 are known')

    def frame(self) -> None:
        if self.number(8) > len(self.data) - self.position:
            raise ValueError('beyond the end')

    def integer_line(self) -> None:
        line = self.line()
        self.stack.append(line == b'01' if line in (b'00', b'01') else int(line))

    def string_line(self) -> None:
        line = self.line()
        if len(line) < 2 or line[0] != line[-1] or line[0] not in b'\'"':
            raise ValueError('a string without quotes')
        line = line[1:-1]
        self.stack.append(_python2_text(codecs.escape_decode(line)[0] if b'\\' in line else line))

    def append(self) -> None:
        value = self.stack.pop()
        as_exactly(list, self.stack[-1]).append(value)

    def appends(self) -> None:
        items = self.items()
        as_exactly(list, self.stack[-1]).extend(items)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        if type(key) is not str:
            check_keys((key,))
        as_exactly(dict, self.stack[-1])[key] = value

    def set_items(self) -> None:
        items = self.items()
        as_exactly(dict, self.stack[-1]).update(_pairs(items))

    def add_items(self) -> None:
        items = self.items()
        check_keys(items)
        as_exactly(set, self.stack[-1]).update(items)

    def make_frozenset(self) -> None:
        items = self.items()
        check_keys(items)
        self.made(frozenset(items), cost=4)

    def make_tuple(self, size: int) -> None:
        items = tuple(self.stack[-size:])
        if len(items) < size:
            raise ValueError('too few items')
        del self.stack[-size:]
        self.made(items)

    def find(self, module: Any, name: Any) -> None:
        """Push a name, inert."""
        self.stack.append(self.named(f'{as_exactly(str, module)}.{as_exactly(str, name)}'))

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.find(module, name)

    def instance(self) -> None:
        module, name = self.line().decode(), self.line().decode()
        refuse(f'{module}.{name}')

    def reduce(self) -> None:
        """Where Python calls a function, take the one builder of that name."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Global:
            refuse(f'a call of type {type(function).__name__}')
        self.made(self.builder(function.name)(self, *as_exactly(tuple, arguments)))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        self.set_state(target, state)

    def new_object(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        self.made(self.new(kind, arguments), cost=4)

    # What a kind of file that knows more has its own way with.

    def named(self, name: str) -> Global:
        """A name that is known; every other one is refused."""
        if name not in BUILDERS:
            refuse(name)
        return Global(name)

    def builder(self, name: str) -> Callable[..., Any]:
        """What stands for the function of that name."""
        return BUILDERS[name]

    def new(self, kind: Any, arguments: Any) -> Any:
        """Where Python makes an object of a class."""
        refuse('an object of a class')

    def persistent(self, identifier: Any) -> Any:
        """Where Python asks the program for an object outside the pickle."""
        refuse('a persistent object')

    def set_state(self, target: Any, state: Any) -> None:
        """Where Python sets an object's state: only arrays and their number types have one."""
        if type(target) is DType:
            target.dtype = _ordered_dtype(target.dtype, as_exactly(tuple, state))
        elif type(target) is Array:
            array = _filled_array(self, *as_exactly(tuple, state)[-4:])
            self.stack[-1] = array
            for key in target.memo_keys:
                self.memo[key] = array
        else:
            refuse(f'a state for type {type(target).__name__}')

    def contents(self, container: Any) -> Iterable[Any]:
        """What a container holds, its keys aside."""
        return container.values() if type(container) is dict else container

    def check_result(self, result: Any) -> None:
        """Walk what was built, level by level: nothing unfinished in it, and no deeper than data is."""
        level = [result]
        seen: set[int] = set()
        for _ in range(MAX_DEPTH):
            for kind in set(map(type, level)) - self.values:
                refuse(f'a value of type {kind.__name__}')
            containers = {id(value): value for value in level if isinstance(value, self.containers)}
            new = [value for key, value in containers.items() if key not in seen]
            if not new:
                return
            seen.update(containers)
            level = list(chain.from_iterable(map(self.contents, new)))
        raise Refused('is nested too deeply to be data')


def refuse(asked: str) -> NoReturn:
    """Refuse by name, on one line whatever the name holds."""
    raise Refused(f'asks for {shown(asked)}, which is no plain data; nothing of it was run, get it from its publisher')


# The builders: what stands for the few functions that honest data names.

def _make_set(kind: type) -> Callable[..., Any]:
    def build(machine: Machine, items: list[Any] | tuple[Any, ...] = ()) -> Any:
        if type(items) not in (list, tuple):
            refuse(f'a set made of type {type(items).__name__}')
        check_keys(items)
        machine.spend(len(items))
        machine.objects_left -= 4
        return kind(items)
    return build


def _encode(machine: Machine, value: str, encoding: str = 'latin1') -> bytes:
    """Bytes as Python 3 writes them for protocol 2: text and the encoding that gives them."""
    if encoding not in ('latin1', 'latin-1'):
        refuse(f'_codecs.encode to {str(encoding)[:20]}')
    machine.spend(len(as_exactly(str, value)))
    return value.encode('latin1')


def _empty_bytes(machine: Machine) -> bytes:
    return b''


def _dtype(machine: Machine, code: Any, align: Any = False, copy: Any = True) -> DType:
    code = code.decode('latin1') if type(code) is bytes else as_exactly(str, code)
    if code.lstrip('<>|=') not in _ARRAY_TYPES:
        refuse(f'numpy numbers of type {code}')
    return DType(_ARRAY_TYPES[code.lstrip('<>|=')].newbyteorder(_BYTE_ORDERS.get(code[0], '=')))


def _ordered_dtype(dtype: np.dtype, state: tuple[Any, ...]) -> np.dtype:
    version, order, *parts = state
    if any(part is not None for part in parts[:3]) or any(type(p) is not int or p not in (-1, 0) for p in parts[3:]):
        refuse('numpy numbers with fields')
    order = order.decode('latin1') if type(order) is bytes else order
    return dtype.newbyteorder(_BYTE_ORDERS[order])


def _reconstruct(machine: Machine, kind: Any, shape: Any, code: Any) -> Array:
    if type(kind) is not Global or kind.name != 'numpy.ndarray':
        refuse('numpy arrays of another kind')
    return Array()


def _filled_array(machine: Machine, shape: Any, dtype: Any, fortran: Any, raw: Any) -> np.ndarray:
    if type(raw) is list:
        refuse('numpy arrays of objects')
    return _array(machine, raw, dtype, shape, 'F' if fortran else 'C')


def _from_buffer(machine: Machine, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _array(machine, raw, dtype, shape, 'F' if order == 'F' else 'C')


def _scalar(machine: Machine, dtype: Any, raw: Any) -> Any:
    return _array(machine, raw, dtype, (1,), 'C')[0]


def _array(machine: Machine, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """A numeric array in this machine's byte order, whose shape and type account for its bytes exactly."""
    dtype = as_exactly(DType, dtype).dtype
    raw = raw.encode('latin1') if type(raw) is str else raw
    if type(raw) not in (bytes, bytearray):
        raise ValueError('an array without bytes')
    sizes = [as_exactly(int, size) for size in as_exactly(tuple, shape)]
    if len(sizes) > 32 or any(size < 0 for size in sizes) or math.prod(sizes) * dtype.itemsize != len(raw):
        raise Refused(f'has an array whose shape and type do not fit its {len(raw)} bytes')
    machine.spend(len(raw))
    numbers = np.frombuffer(raw, dtype) if raw else np.empty(0, dtype)
    return numbers.reshape(sizes, order=order).astype(dtype.newbyteorder('='))


def _not_callable(machine: Machine, *arguments: Any) -> NoReturn:
    refuse('an array made without its numbers')


#: Every name that a file may mention, and what is done in its place.
BUILDERS: dict[str, Callable[..., Any]] = {
    **{f'{core}.multiarray._reconstruct': _reconstruct for core in ('numpy.core', 'numpy._core')},
    **{f'{core}.multiarray.scalar': _scalar for core in ('numpy.core', 'numpy._core')},
    **{f'{core}.numeric._frombuffer': _from_buffer for core in ('numpy.core', 'numpy._core')},
    **{f'{builtins}.set': _make_set(set) for builtins in ('builtins', '__builtin__')},
    **{f'{builtins}.frozenset': _make_set(frozenset) for builtins in ('builtins', '__builtin__')},
    **{f'{builtins}.bytes': _empty_bytes for builtins in ('builtins', '__builtin__')},
    '_codecs.encode': _encode,
    'numpy.ndarray': _not_callable,
    'numpy.dtype': _dtype,
}


# Checks.

def as_exactly(kind: type, value: Any) -> Any:
    """``value`` if it is exactly of the kind; subclasses do not occur."""
    if type(value) is not kind:
        raise TypeError(f'not a {kind.__name__}')
    return value


def check_keys(keys: Iterable[Any]) -> None:
    """Refuse keys whose hash could take for ever: nested tuples, and whole numbers made to collide."""
    for key in keys:
        if type(key) is not str and (type(key) not in _KEYS or (type(key) is int and abs(key) >= (1 << 61) - 1)):
            refuse(f'a key of type {type(key).__name__}')


def _pairs(items: list[Any]) -> dict[Any, Any]:
    keys = items[::2]
    check_keys(keys)
    return dict(zip(keys, items[1::2], strict=True))


def _python2_text(raw: bytes) -> str:
    return raw.decode('latin1')


def _push(read: Callable[[Machine], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(read(machine))


def _refused(name: str) -> Callable[[Machine], None]:
    return lambda machine: refuse(name)


#: The machine's instructions (Python's ``Lib/pickletools.py`` describes each); a code that is not here is damage.
OPERATIONS: dict[int, Callable[[Machine], None]] = {ord(code): operation for code, operation in {
    '\x80': Machine.protocol,
    '\x95': Machine.frame,
    '(': Machine.mark,
    '0': Machine.pop,
    '1': lambda m: m.items() and None,
    '2': lambda m: m.stack.append(m.stack[-1]),
    # Numbers and constants.
    'N': lambda m: m.stack.append(None),
    '\x88': lambda m: m.stack.append(True),
    '\x89': lambda m: m.stack.append(False),
    'I': Machine.integer_line,
    'L': _push(lambda m: int(m.line().removesuffix(b'L'))),
    'F': _push(lambda m: float(m.line())),
    'J': _push(lambda m: int.from_bytes(m.take(4), 'little', signed=True)),
    'K': _push(lambda m: m.number(1)),
    'M': _push(lambda m: m.number(2)),
    'G': _push(lambda m: struct.unpack('>d', m.take(8))[0]),
    '\x8a': _push(lambda m: int.from_bytes(m.take(m.number(1)), 'little', signed=True)),
    '\x8b': _push(lambda m: int.from_bytes(m.take(m.number(4)), 'little', signed=True)),
    # Text and bytes.
    'S': Machine.string_line,
    'T': _push(lambda m: _python2_text(m.take(m.number(4)))),
    'U': _push(lambda m: _python2_text(m.take(m.number(1)))),
    'V': _push(lambda m: m.line().decode('raw-unicode-escape')),
    'X': _push(lambda m: m.take(m.number(4)).decode('utf-8', 'surrogatepass')),
    '\x8c': _push(lambda m: m.take(m.number(1)).decode('utf-8', 'surrogatepass')),
    '\x8d': _push(lambda m: m.take(m.number(8)).decode('utf-8', 'surrogatepass')),
    'B': _push(lambda m: m.take(m.number(4))),
    'C': _push(lambda m: m.take(m.number(1))),
    '\x8e': _push(lambda m: m.take(m.number(8))),
    '\x96': _push(lambda m: bytearray(m.take(m.number(8)))),
    # Containers.
    ']': lambda m: m.made([]),
    'l': lambda m: m.made(m.items()),
    'a': Machine.append,
    'e': Machine.appends,
    '}': lambda m: m.made({}),
    'd': lambda m: m.made(_pairs(m.items())),
    's': lambda m: m.set_item(),
    'u': Machine.set_items,
    ')': lambda m: m.stack.append(()),
    't': lambda m: m.made(tuple(m.items())),
    '\x85': lambda m: m.make_tuple(1),
    '\x86': lambda m: m.make_tuple(2),
    '\x87': lambda m: m.make_tuple(3),
    '\x8f': lambda m: m.made(set(), cost=4),
    '\x90': Machine.add_items,
    '\x91': Machine.make_frozenset,
    # Memory.
    'p': lambda m: m.remember(int(m.line())),
    'q': lambda m: m.remember(m.number(1)),
    'r': lambda m: m.remember(m.number(4)),
    '\x94': lambda m: m.remember(len(m.memo)),
    'g': _push(lambda m: m.memo[int(m.line())]),
    'h': _push(lambda m: m.memo[m.number(1)]),
    'j': _push(lambda m: m.memo[m.number(4)]),
    # What names functions and classes.
    'c': lambda m: m.find(m.line().decode(), m.line().decode()),
    '\x93': Machine.stack_global,
    'R': Machine.reduce,
    'b': Machine.build,
    'i': Machine.instance,
    'o': _refused('an object of a class'),
    '\x81': Machine.new_object,
    '\x92': _refused('an object of a class'),
    'P': _push(lambda m: m.persistent(m.line().decode())),
    'Q': _push(lambda m: m.persistent(m.stack.pop())),
    '\x82': _refused('a class of the extension registry'),
    '\x83': _refused('a class of the extension registry'),
    '\x84': _refused('a class of the extension registry'),
    '\x97': _refused('a buffer outside the file'),
    '\x98': _refused('a buffer outside the file'),
}.items()}
