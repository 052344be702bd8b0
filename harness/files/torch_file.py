"""What ``torch.save`` wrote, read without PyTorch's own reader: tensors and plain data come out, and nothing runs.

Two layouts are known. The old one is five pickles (magic number, protocol version, system, the object, the keys of the
storages), then for each key an 8-byte count and the raw numbers; released MAttNet and NMTree files have it. The present
one is a zip of ``data.pkl`` and ``data/<key>``. Source: ``torch/serialization.py: _legacy_load`` and ``_load`` of
pytorch/pytorch.

A class that the file names becomes a :class:`Record`, inert; its module need not exist and is not imported. Calls are
refused by name, except for the few in :data:`BUILDERS`, which rebuild tensors. Memory is bounded by the file's size.
"""
from __future__ import annotations

import math
import mmap
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import InputError, shown
from harness.files import safe_pickle
from harness.files.archives import packed, unzip
from harness.files.reading import require_regular
from harness.files.safe_pickle import Global, Machine, Refused, as_exactly, check_keys, refuse

MAGIC_NUMBER = 0x1950a86a20f9469cfc6c
PROTOCOL_VERSION = 1001
#: How often the bytes of a file may be seen through tensors: parameters can share storages.
_SHARED = 4
_MAX_STORAGES = 200_000
_MAX_DIMENSIONS = 16
_MAX_NAMES = 100_000
_MAX_NAME = 1_000
_LONGEST_KEY = 16
_NUMBERS = {f'{module}.{kind}Storage': dtype for module in ('torch', 'torch.cuda') for kind, dtype in {
    'Double': torch.float64, 'Float': torch.float32, 'Half': torch.float16, 'BFloat16': torch.bfloat16,
    'Long': torch.int64, 'Int': torch.int32, 'Short': torch.int16, 'Char': torch.int8, 'Byte': torch.uint8,
    'Bool': torch.bool}.items()}


class Record:
    """An object of a class that is not known here: the class's name and the state that the file gives it, inert."""

    __slots__ = ('name', 'state')

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: Any = None

    def __repr__(self) -> str:
        return f'Record({self.name})'


class Storage:
    """Numbers that tensors are views of: ``(count,)``; ``type_name`` is as the file says it."""

    __slots__ = ('numbers', 'type_name')

    def __init__(self, numbers: Tensor, type_name: str) -> None:
        self.numbers, self.type_name = numbers, type_name


def load(path: str | Path) -> Any:
    """The object in a file that ``torch.save`` wrote, under Python 2 too (its ``str`` is read as latin-1).

    Gives plain data as :func:`harness.files.safe_pickle.load` does, an ``OrderedDict`` as a dict, tensors on the CPU,
    objects of other classes as :class:`Record`, and names that are only mentioned as
    :class:`~harness.files.safe_pickle.Global`. A short flat tuple is a key where it is a dict's only one.

    Raises:
        InputError: the file is missing, cut short or damaged, claims more than it holds, or asks for anything else: the
            message names it.
    """
    path = Path(path)
    require_regular(path)
    if not path.is_file():
        raise InputError(f'{path}: there is no such file; check the path')
    if not path.stat().st_size:
        raise InputError(f'{path}: is empty; fetch it again')
    try:
        with path.open('rb') as file:
            zipped = file.read(4) == b'PK\x03\x04'
            if not zipped and (archive := packed(path)) is not None:
                raise InputError(f'{path}: is no pickle: it {archive}')
            with closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as data:
                return _load_zip(path, len(data)) if zipped else _load_old(data, str(path))
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror or error}); check the path and its rights') from None
    except (MemoryError, RuntimeError):  # PyTorch's own error where memory is short
        raise InputError(f'{path}: is too large for the memory of this machine') from None


def state_dict(loaded: Any, where: str) -> dict[str, Tensor]:
    """The parameters and lasting buffers of a network by their dotted names.

    Args:
        loaded: a state dict itself, or a pickled ``nn.Module`` as a :class:`Record`.
        where: the file, for messages.

    Raises:
        InputError: it is neither.
    """
    if type(loaded) is Record:
        return _collected(loaded, where)
    if type(loaded) is dict and loaded and all(type(k) is str and type(v) is Tensor for k, v in loaded.items()):
        return loaded
    raise InputError(f"{where}: holds no network: neither a module nor tensors by name; give a model's checkpoint")


def _collected(network: Record, where: str) -> dict[str, Tensor]:
    """What ``nn.Module.state_dict`` gives, in its order."""
    found: dict[str, Tensor] = {}
    waiting, seen = [('', network)], 0
    while waiting:
        prefix, module = waiting.pop()
        state = module.state if type(module.state) is dict else {}
        if not {'_parameters', '_buffers', '_modules'} <= state.keys():
            raise InputError(f"{where}: {shown(prefix + module.name)} is no torch module; give a model's checkpoint")
        parameters, buffers, modules = (_named(state[kind], where) for kind in ('_parameters', '_buffers', '_modules'))
        seen += 1 + len(parameters) + len(buffers) + len(modules)
        if seen > _MAX_NAMES or len(prefix) > _MAX_NAME:
            raise InputError(f'{where}: its modules contain one another without an end; it is no network')
        passing = state.get('_non_persistent_buffers_set')
        kept = [one for one in buffers if type(passing) is not set or one[0] not in passing]
        for name, tensor in (*parameters, *kept):
            if type(tensor) is Tensor:
                found[prefix + name] = tensor
            elif tensor is not None:
                raise InputError(f'{where}: {shown(prefix + name)} is of type {type(tensor).__name__}, no tensor')
        for name, inner in reversed(modules):
            if type(inner) is Record:
                waiting.append((f'{prefix}{name}.', inner))
            elif inner is not None:
                raise InputError(f'{where}: {shown(prefix + name)} is of type {type(inner).__name__}, no module')
    return found


def _named(members: Any, where: str) -> list[tuple[str, Any]]:
    if type(members) is not dict or any(type(name) is not str or len(name) > _MAX_NAME for name in members):
        raise InputError(f'{where}: members of a module have no names; it is no network')
    return list(members.items())


class ObjectMachine(Machine):
    """The pickle that holds the object, whose tensors are outside it.

    Args:
        data, where, position: as for :class:`Machine`.
        file_size: bytes of the whole file; tensors together show at most a few times as many.
        numbers_of: from a storage's key, number type and count to its numbers ``(count,)``, or :class:`Refused`.
    """

    values = Machine.values | {Tensor, Record, Global}
    containers = (*Machine.containers, Record)

    def __init__(self, data: bytes | mmap.mmap, where: str, position: int, file_size: int,
                 numbers_of: Callable[[str, torch.dtype, int], Tensor]) -> None:
        super().__init__(data, where, position)
        self.numbers_left = _SHARED * file_size
        self.numbers_of = numbers_of
        self.storages: dict[str, Storage] = {}

    def named(self, name: str) -> Global:
        return Global(name)

    def builder(self, name: str) -> Callable[..., Any]:
        return BUILDERS.get(name) or refuse(name)

    def new(self, kind: Any, arguments: Any) -> Record:
        """An inert object; one made with arguments is refused, a module has none."""
        name = as_exactly(Global, kind).name
        if arguments != ():
            refuse(name)
        return Record(name)

    def set_state(self, target: Any, state: Any) -> None:
        if type(target) is Record:
            target.state = state
        elif type(target) is Tensor:
            _check_parameter_state(state)
        elif type(target) is not dict:  # an OrderedDict's attributes are not needed
            super().set_state(target, state)

    def set_item(self) -> None:
        """A tuple is taken as the only key of a dict: many could be made to collide."""
        target, key, value = self.stack[-3:]
        if type(key) is not tuple or len(as_exactly(dict, target)) or len(key) > _LONGEST_KEY:
            super().set_item()
            return
        check_keys(key)
        del self.stack[-2:]
        target[key] = value

    def contents(self, container: Any) -> Iterable[Any]:
        return (container.state,) if type(container) is Record else super().contents(container)

    def persistent(self, identifier: Any) -> Any:
        """A storage, or a class with its source, which is not looked at."""
        match identifier:
            case ('module', Global() as named, _, _):
                return named
            case ('storage', *rest):
                return self.storage(*rest)
        refuse('a persistent object of an unknown kind')

    def storage(self, kind: Any, key: Any, device: Any, count: Any, view: Any = None) -> Storage:
        """The storage of that key, read or announced once."""
        name = as_exactly(Global, kind).name
        if name not in _NUMBERS:
            refuse(name)
        if view is not None:
            refuse('a storage inside another one')
        if not 0 <= as_exactly(int, count) < 1 << 63:
            raise Refused('has a storage whose size is none')
        if as_exactly(str, key) not in self.storages:
            if len(self.storages) >= _MAX_STORAGES:
                raise Refused(f'has more than {_MAX_STORAGES} storages, more than any model')
            self.storages[key] = Storage(self.numbers_of(key, _NUMBERS[name], count), name)
        known = self.storages[key]
        if (known.type_name, len(known.numbers)) != (name, count):
            raise Refused(f'describes one storage in two ways, {len(known.numbers)} and {count} numbers')
        return known


# The builders: what stands for the few functions that rebuild tensors.

def _tensor(machine: ObjectMachine, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """A view of a storage that stays inside it; ``rest`` is about gradients."""
    numbers = as_exactly(Storage, storage).numbers
    sizes, strides = as_exactly(tuple, size), as_exactly(tuple, stride)
    if len(sizes) != len(strides) or len(sizes) > _MAX_DIMENSIONS or \
            any(type(n) is not int or not 0 <= n < 1 << 62 for n in (offset, *sizes, *strides)):
        raise Refused('has a tensor whose sizes and strides are none')
    count = math.prod(sizes)
    reach = offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True)) + 1 if count else offset
    if reach > len(numbers):
        raise Refused(f'has a tensor that reaches to number {reach} of a storage of {len(numbers)}')
    if count > len(numbers):
        raise Refused(f'has a tensor that unfolds {len(numbers)} numbers to {count}')
    machine.numbers_left -= count * numbers.itemsize
    machine.objects_left -= 4
    if machine.numbers_left < 0:
        raise Refused('has tensors that unfold to more than a file of its size can hold')
    if count == 0:
        if math.prod(filter(None, sizes)) >= 1 << 62:
            raise Refused('has an empty tensor of a vast shape')
        return numbers.new_empty(sizes)
    return numbers.as_strided(sizes, strides, offset)


def _parameter(machine: ObjectMachine, tensor: Any, *rest: Any) -> Tensor:
    if type(tensor) is not Tensor:
        refuse(f'a parameter made of type {type(tensor).__name__}')
    return tensor


def _check_parameter_state(state: Any) -> None:
    """Requires gradients, volatile, hooks: none of them matters, and nothing else may be there."""
    flags = as_exactly(tuple, state)
    if len(flags) > 3 or any(flag is not None and flag != {} and type(flag) is not bool for flag in flags):
        refuse('a state for a tensor')


def _ordered(machine: ObjectMachine, pairs: Any = ()) -> dict[Any, Any]:
    """An ``OrderedDict``, empty or of pairs."""
    if type(pairs) not in (list, tuple) or any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
        refuse('collections.OrderedDict of something else than pairs')
    machine.spend(8 * len(pairs))
    check_keys(key for key, _ in pairs)
    return dict(pairs)


def _size(machine: ObjectMachine, sizes: Any = ()) -> tuple[Any, ...]:
    return as_exactly(tuple, sizes)


def _nothing(machine: ObjectMachine) -> None:
    """PyTorch 0.3's modules carry the functions that they ran on."""


#: Every name that may be called, and what is done in its place.
BUILDERS: Mapping[str, Callable[..., Any]] = {
    **safe_pickle.BUILDERS,
    'torch._utils._rebuild_tensor': _tensor,
    'torch._utils._rebuild_tensor_v2': _tensor,
    'torch._utils._rebuild_parameter': _parameter,
    'torch.nn.parameter.Parameter': _parameter,
    'torch.autograd.variable.Variable': _parameter,
    'torch.Size': _size,
    'torch.nn.backends.thnn._get_thnn_function_backend': _nothing,
    'collections.OrderedDict': _ordered,
}


# The old layout.

def _load_old(data: mmap.mmap, where: str) -> Any:
    announced = _Announced(len(data))
    machine = ObjectMachine(data, where, _check_header(data, where), len(data), announced.numbers)
    loaded = machine.run()
    keys = Machine(data, where, machine.position)
    order = keys.run()
    if type(order) is not list or any(type(key) is not str for key in order) or \
            sorted(order) != sorted(announced.storages):
        raise InputError(f'{where}: its storages are not those that it lists; it is damaged, fetch it again')
    position = keys.position
    for key in order:
        position = _fill(announced.storages[key], data, position, where)
    return loaded


class _Announced:
    """Room for the numbers that come behind the pickles, at most as much as the file has bytes."""

    def __init__(self, file_size: int) -> None:
        self.left = file_size
        self.storages: dict[str, Tensor] = {}

    def numbers(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        self.left -= count * dtype.itemsize
        if self.left < 0:
            raise Refused(f'claims a storage of {count} numbers, more than the file holds')
        self.storages[key] = torch.empty(count, dtype=dtype)
        return self.storages[key]


def _check_header(data: mmap.mmap, where: str) -> int:
    """Where the object's pickle begins."""
    expected: tuple[Callable[[Any], bool], ...] = (
        lambda magic: magic == MAGIC_NUMBER, lambda version: version == PROTOCOL_VERSION,
        lambda system: type(system) is dict and system.get('little_endian') is True)
    position = 0
    for part, right in zip(('no file that torch.save wrote', 'of an unknown version of torch.save',
                            'of a big-endian machine'), expected, strict=True):
        machine = Machine(data, where, position)
        if not right(machine.run()):
            raise InputError(f'{where}: is {part}; save it again with a present PyTorch')
        position = machine.position
    return position


def _fill(numbers: Tensor, data: mmap.mmap, position: int, where: str) -> int:
    """Copy a storage's numbers in; gives where the next one begins."""
    start, end = position + 8, position + 8 + numbers.nbytes
    if end > len(data):
        raise InputError(f'{where}: is cut short; fetch it again')
    (count,) = struct.unpack('<q', data[position:start])
    if count != len(numbers):
        raise InputError(f'{where}: has {count} numbers where {len(numbers)} belong; it is damaged, fetch it again')
    if count:
        numbers.view(torch.uint8).numpy()[:] = np.frombuffer(data, np.uint8, numbers.nbytes, start)
    return end


# The present layout.

def _load_zip(path: Path, file_size: int) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                entries = _Entries(archive, file_size)
                if entries.has('byteorder') and bytes(entries.read('byteorder').numpy()) != b'little':
                    raise Refused('is of a big-endian machine; save it again with a present PyTorch')
                pickle = bytes(entries.read('data.pkl').numpy())
            except Refused as reason:
                raise InputError(f'{path}: {reason}') from None
            return ObjectMachine(pickle, str(path), 0, file_size, entries.numbers).run()
    except (zipfile.BadZipFile, EOFError, struct.error, RuntimeError, ValueError, OverflowError) as error:
        what = ' '.join(str(error).split())[:120]
        raise InputError(f'{path}: the zip file is damaged or cut short ({what}); fetch it again') from None


class _Entries:
    """The entries under an archive's one folder: each is read at most once, all of them at most to the file's size."""

    def __init__(self, archive: zipfile.ZipFile, file_size: int) -> None:
        self.archive = archive
        self.left = file_size
        entries = archive.infolist()
        tops = [entry.filename.removesuffix('data.pkl') for entry in entries
                if entry.filename.count('/') == 1 and entry.filename.endswith('/data.pkl')]
        if len(tops) != 1:
            raise Refused(f'torch.save wrote no such zip: it {unzip(entry.filename for entry in entries)}')
        self.entries = {entry.filename.removeprefix(tops[0]): entry for entry in entries
                        if entry.filename.startswith(tops[0])}

    def has(self, name: str) -> bool:
        return name in self.entries

    def read(self, name: str, size: int | None = None) -> Tensor:
        """The bytes of an entry, which has to be stored as it is."""
        entry = self.entries.pop(name, None)
        if entry is None:
            raise Refused(f'has no entry {shown(name)}')
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise Refused(f'has a packed entry {shown(name)}, torch.save packs none; unpack it and zip it unpacked')
        if size is not None and entry.file_size != size:
            raise Refused(f'has {entry.file_size} bytes in {shown(name)} where {size} belong')
        self.left -= entry.file_size
        if self.left < 0:
            raise Refused(f'claims {entry.file_size} bytes in {shown(name)}, more than the file holds')
        content = torch.empty(entry.file_size, dtype=torch.uint8)
        with self.archive.open(entry) as stream:
            if stream.readinto(content.numpy()) != entry.file_size or stream.read(1):  # type: ignore[attr-defined]
                raise EOFError('an entry is shorter than it says')
        return content

    def numbers(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        """A storage's numbers."""
        return self.read(f'data/{key}', count * dtype.itemsize).view(dtype)
