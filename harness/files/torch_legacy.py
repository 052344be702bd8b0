"""The legacy layout of ``torch.save``: a stream of pickles, then the numbers.

The pickles are the magic number, the protocol version, the system, the object and the keys of the storages. An 8-byte
count and the raw numbers of each storage follow. Released MAttNet and NMTree files have this layout. Source:
``torch/serialization.py: _legacy_load`` of pytorch/pytorch.
"""
from __future__ import annotations

import struct
from collections.abc import Callable
from mmap import mmap
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import InputError
from harness.files.pickle_machine import Machine
from harness.files.pickle_values import Refused
from harness.files.torch_objects import ObjectMachine

MAGIC_NUMBER = 0x1950a86a20f9469cfc6c
PROTOCOL_VERSION = 1001


def load_legacy(data: mmap, where: str) -> Any:
    pending = _PendingStorages(len(data))
    machine = ObjectMachine(data, where, _check_header(data, where), len(data), pending.numbers)
    loaded = machine.run()
    keys = Machine(data, where, machine.position)
    order = keys.run()
    if type(order) is not list or any(type(key) is not str for key in order) or \
            sorted(order) != sorted(pending.storages):
        raise InputError(f'{where}: its storages are not the ones that it lists; it is damaged, fetch it again')
    position = keys.position
    for key in order:
        position = _fill(pending.storages[key], data, position, where)
    return loaded


class _PendingStorages:
    """Memory for the numbers that follow the pickles, in all at most as much as the file has bytes."""

    def __init__(self, file_size: int) -> None:
        self.left = file_size
        self.storages: dict[str, Tensor] = {}

    def numbers(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        self.left -= count * dtype.itemsize
        if self.left < 0:
            raise Refused(f'claims a storage of {count} numbers, more than the file holds')
        self.storages[key] = torch.empty(count, dtype=dtype)
        return self.storages[key]


def _check_header(data: mmap, where: str) -> int:
    """Check the first three pickles and return where the fourth begins, which holds the object."""
    expected: tuple[Callable[[Any], bool], ...] = (
        lambda magic: magic == MAGIC_NUMBER, lambda version: version == PROTOCOL_VERSION,
        lambda system: type(system) is dict and system.get('little_endian') is True)
    position = 0
    for fault, right in zip(('was not written by torch.save', 'was written by an unknown version of torch.save',
                            'was saved on a big-endian machine'), expected, strict=True):
        machine = Machine(data, where, position)
        if not right(machine.run()):
            raise InputError(f'{where}: {fault}; save it again with a current PyTorch')
        position = machine.position
    return position


def _fill(numbers: Tensor, data: mmap, position: int, where: str) -> int:
    """Copy the numbers of a storage from the file and return where the next storage begins."""
    start, end = position + 8, position + 8 + numbers.nbytes
    if end > len(data):
        raise InputError(f'{where}: is cut short; fetch it again')
    (count,) = struct.unpack('<q', data[position:start])
    if count != len(numbers):
        raise InputError(f'{where}: has {count} numbers instead of {len(numbers)}; it is damaged, fetch it again')
    if count:
        numbers.view(torch.uint8).numpy()[:] = np.frombuffer(data, np.uint8, numbers.nbytes, start)
    return end
