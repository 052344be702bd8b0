"""The pickle in a file of ``torch.save``: plain data, tensors whose numbers lie outside it, and objects of any class.

An object of a class becomes an :class:`InertObject`; the class need not exist and is not imported. Calls are refused by
name, except for those in :data:`~harness.files.torch_constructors.CONSTRUCTORS`, which rebuild tensors.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from mmap import mmap
from typing import Any

import torch
from torch import Tensor

from harness.files.pickle_machine import Machine
from harness.files.pickle_values import Global, Refused, as_exactly, check_keys, refuse, refuse_name
from harness.files.torch_constructors import CONSTRUCTORS, InertObject, Storage, TensorBudget, check_parameter_state

_MAX_STORAGES = 200_000
_LONGEST_KEY = 16
_NUMBERS = {f'{module}.{kind}Storage': dtype for module in ('torch', 'torch.cuda') for kind, dtype in {
    'Double': torch.float64, 'Float': torch.float32, 'Half': torch.float16, 'BFloat16': torch.bfloat16,
    'Long': torch.int64, 'Int': torch.int32, 'Short': torch.int16, 'Char': torch.int8, 'Byte': torch.uint8,
    'Bool': torch.bool}.items()}


class ObjectMachine(Machine):
    """The machine for the pickle of the object; the numbers of its tensors are outside the pickle.

    Args:
        data, where, position: as for :class:`Machine`.
        file_size: of the whole file in bytes; all tensors together may show a few times as many.
        numbers_of: returns the numbers ``(count,)`` of a storage by its key, number type and count, or raises
            :class:`~harness.files.pickle_values.Refused`.
    """

    values = Machine.values | {Tensor, InertObject, Global}
    containers = (*Machine.containers, InertObject)

    def __init__(self, data: bytes | mmap, where: str, position: int, file_size: int,
                 numbers_of: Callable[[str, torch.dtype, int], Tensor]) -> None:
        super().__init__(data, where, position)
        self.budget = TensorBudget(len(data), file_size)
        self.numbers_of = numbers_of
        self.storages: dict[str, Storage] = {}

    def named(self, name: str) -> Global:
        return Global(name)

    def constructor(self, name: str) -> Callable[..., Any]:
        return CONSTRUCTORS.get(name) or refuse_name(name)

    def new(self, kind: Any, arguments: Any) -> InertObject:
        """An inert object. One created with arguments is refused: modules have none."""
        name = as_exactly(Global, kind).name
        if arguments != ():
            refuse_name(name)
        return InertObject(name)

    def set_state(self, target: Any, state: Any) -> None:
        if type(target) is InertObject:
            target.state = state
        elif type(target) is Tensor:
            check_parameter_state(state)
        elif type(target) is not dict:  # an OrderedDict's attributes are not needed
            super().set_state(target, state)

    def set_item(self) -> None:
        """Accept a tuple as a key only if it is the only key of its dict: many could be chosen to collide."""
        target, key, value = self.stack[-3:]
        if type(key) is not tuple or len(as_exactly(dict, target)) or len(key) > _LONGEST_KEY:
            super().set_item()
            return
        check_keys(key)
        del self.stack[-2:]
        target[key] = value

    def contents(self, container: Any) -> Iterable[Any]:
        return (container.state,) if type(container) is InertObject else super().contents(container)

    def persistent(self, identifier: Any) -> Any:
        """A storage, or the name of a class that comes with its source code, which is ignored."""
        match identifier:
            case ('module', Global() as named, _, _):
                return named
            case ('storage', *rest):
                return self.storage(*rest)
        refuse('a persistent object of an unknown kind')

    def storage(self, kind: Any, key: Any, device: Any, count: Any, view: Any = None) -> Storage:
        """The storage with this key, the same one at every mention."""
        name = as_exactly(Global, kind).name
        if name not in _NUMBERS:
            refuse_name(name)
        if view is not None:
            refuse('a storage inside another one')
        if not 0 <= as_exactly(int, count) < 1 << 63:
            raise Refused('has a storage of an invalid size')
        if as_exactly(str, key) not in self.storages:
            if len(self.storages) >= _MAX_STORAGES:
                raise Refused(f'has more than {_MAX_STORAGES} storages, more than any model')
            self.storages[key] = Storage(self.numbers_of(key, _NUMBERS[name], count), name)
        known = self.storages[key]
        if (known.type_name, len(known.numbers)) != (name, count):
            raise Refused(f'describes one storage in two ways, {len(known.numbers)} and {count} numbers')
        return known
