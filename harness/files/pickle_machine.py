"""A pickle is a program for a small stack machine; this is that machine without its dangerous half.

It is written out because Python's own unpickler, even one that may import nothing, allocates what a file's lengths and
memo numbers claim, and hashes keys that take forever. Here nothing is imported or called by name: a name is looked up
in :data:`~harness.files.pickle_constructors.CONSTRUCTORS` and refused if it is not there. Time and memory are bounded
by the file's size. :mod:`harness.files.torch_objects` adds more names.
"""
from __future__ import annotations

import codecs
import gc
import struct
from collections.abc import Callable, Iterable
from itertools import chain
from mmap import mmap
from typing import Any

import numpy as np

from harness.errors import InputError
from harness.files.pickle_constructors import (
    ARRAY_TYPES,
    CONSTRUCTORS,
    DType,
    PendingArray,
    filled_array,
    ordered_dtype,
)
from harness.files.pickle_values import KEY_TYPES, Budget, Global, Refused, as_exactly, check_keys, refuse, refuse_name

MAX_DEPTH = 200
_MAX_MARKS = 4 * MAX_DEPTH
_CONTAINERS = (list, dict, tuple, set, frozenset)
_PLAIN = {*KEY_TYPES, *_CONTAINERS, float, bytearray, np.ndarray, *(t.type for t in ARRAY_TYPES.values())}


class Machine:
    """The stack machine; one instance reads one pickle.

    Attributes:
        data: the bytes that the pickle is in.
        position: of the next byte to read; just after the pickle once :meth:`run` is done.
        values: the types that may be in the result.
        containers: the types among them that hold other values.
    """

    values: frozenset[type] = frozenset(_PLAIN)
    containers: tuple[type, ...] = _CONTAINERS

    def __init__(self, data: bytes | mmap, where: str, position: int = 0) -> None:
        self.data, self.where, self.position = data, where, position
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.budget = Budget(len(data))

    def run(self) -> Any:
        """Execute up to the STOP instruction and return the top of the stack."""
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
            raise InputError(f'{self.where}: is not a pickle, or is damaged or cut short at byte {self.position}; '
                             'fetch the file again') from None
        finally:
            if collecting:
                gc.enable()

    # The parts that operations are made of.

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
        """The items above the topmost mark, which is removed."""
        items = self.stack
        self.stack = self.below.pop()
        return items

    def push_new(self, container: Any, cost: int = 1) -> None:
        """Push a new container, of which a file may make only as many as its size accounts for."""
        self.budget.spend_objects(cost)
        self.stack.append(container)

    def remember(self, key: int) -> None:
        """Put the top of the stack into the memo."""
        self.budget.spend_objects(1, 'remembers')
        value = self.stack[-1]
        self.memo[key] = value
        if type(value) is PendingArray:
            value.memo_keys.append(key)

    # Operations that take more than one line.

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
        self.push_new(frozenset(items), cost=4)

    def make_tuple(self, size: int) -> None:
        items = tuple(self.stack[-size:])
        if len(items) < size:
            raise ValueError('too few items')
        del self.stack[-size:]
        self.push_new(items)

    def find(self, module: Any, name: Any) -> None:
        """Push a name without importing it."""
        self.stack.append(self.named(f'{as_exactly(str, module)}.{as_exactly(str, name)}'))

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.find(module, name)

    def instance(self) -> None:
        module, name = self.line().decode(), self.line().decode()
        refuse_name(f'{module}.{name}')

    def reduce(self) -> None:
        """Where Python would call a function, call the constructor that stands for it."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Global:
            refuse(f'a call of type {type(function).__name__}')
        self.push_new(self.constructor(function.name)(self.budget, *as_exactly(tuple, arguments)))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        self.set_state(target, state)

    def new_object(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        self.push_new(self.new(kind, arguments), cost=4)

    # What readers of other kinds of file override.

    def named(self, name: str) -> Global:
        """The name, if it is a known one; any other is refused."""
        if name not in CONSTRUCTORS:
            refuse_name(name)
        return Global(name)

    def constructor(self, name: str) -> Callable[..., Any]:
        """The constructor that is called in place of the function of that name."""
        return CONSTRUCTORS[name]

    def new(self, kind: Any, arguments: Any) -> Any:
        """What is pushed where Python would create an object of a class."""
        refuse('an object of a class')

    def persistent(self, identifier: Any) -> Any:
        """What is pushed where Python would fetch an object from outside the pickle."""
        refuse('a persistent object')

    def set_state(self, target: Any, state: Any) -> None:
        """Called where Python would set the state of an object: only arrays and their number types have one."""
        if type(target) is DType:
            target.dtype = ordered_dtype(target.dtype, as_exactly(tuple, state))
        elif type(target) is PendingArray:
            array = filled_array(self.budget, *as_exactly(tuple, state)[-4:])
            self.stack[-1] = array
            for key in target.memo_keys:
                self.memo[key] = array
        else:
            refuse(f'a state for type {type(target).__name__}')

    def contents(self, container: Any) -> Iterable[Any]:
        """The values in a container, without its keys."""
        return container.values() if type(container) is dict else container

    def check_result(self, result: Any) -> None:
        """Walk through the result level by level: refuse unfinished values, and nesting deeper than data has."""
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


def _pairs(items: list[Any]) -> dict[Any, Any]:
    keys = items[::2]
    check_keys(keys)
    return dict(zip(keys, items[1::2], strict=True))


def _python2_text(raw: bytes) -> str:
    return raw.decode('latin1')


def _push(read: Callable[[Machine], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(read(machine))


def _refused(found: str) -> Callable[[Machine], None]:
    return lambda machine: refuse(found)


#: The machine's instructions, which Python's ``Lib/pickletools.py`` describes; any other code means a damaged file.
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
    ']': lambda m: m.push_new([]),
    'l': lambda m: m.push_new(m.items()),
    'a': Machine.append,
    'e': Machine.appends,
    '}': lambda m: m.push_new({}),
    'd': lambda m: m.push_new(_pairs(m.items())),
    's': lambda m: m.set_item(),
    'u': Machine.set_items,
    ')': lambda m: m.stack.append(()),
    't': lambda m: m.push_new(tuple(m.items())),
    '\x85': lambda m: m.make_tuple(1),
    '\x86': lambda m: m.make_tuple(2),
    '\x87': lambda m: m.make_tuple(3),
    '\x8f': lambda m: m.push_new(set(), cost=4),
    '\x90': Machine.add_items,
    '\x91': Machine.make_frozenset,
    # The memo.
    'p': lambda m: m.remember(int(m.line())),
    'q': lambda m: m.remember(m.number(1)),
    'r': lambda m: m.remember(m.number(4)),
    '\x94': lambda m: m.remember(len(m.memo)),
    'g': _push(lambda m: m.memo[int(m.line())]),
    'h': _push(lambda m: m.memo[m.number(1)]),
    'j': _push(lambda m: m.memo[m.number(4)]),
    # Functions, classes and objects from outside.
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
