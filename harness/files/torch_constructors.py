"""The few functions that ``torch.save`` has a file call, and what the reader calls in their place: tensors are rebuilt.

Each constructor takes the :class:`TensorBudget` of the file first, then the file's arguments, none of which it trusts.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from harness.files import pickle_constructors
from harness.files.pickle_values import Budget, Global, Refused, as_exactly, check_keys, refuse, refuse_name

#: How many times over tensors may show the bytes of a file: parameters can share storages.
_SHARED = 4
_MAX_DIMENSIONS = 16
_LONGEST_MENTION = 200
_HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'


class InertObject:
    """An object of a class that is not imported: the name of the class, and the state that the file gives it."""

    __slots__ = ('name', 'state')

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: Any = None

    def __repr__(self) -> str:
        return f'InertObject({self.name})'


class Storage:
    """The numbers ``(count,)`` that tensors are views of; ``type_name`` is the file's name of their type."""

    __slots__ = ('numbers', 'type_name')

    def __init__(self, numbers: Tensor, type_name: str) -> None:
        self.numbers, self.type_name = numbers, type_name


class TensorBudget(Budget):
    """How many objects, copied bytes and bytes in tensors a file of this size can account for.

    Args:
        size: of the pickle in bytes.
        file_size: of the whole file in bytes.
    """

    def __init__(self, size: int, file_size: int) -> None:
        super().__init__(size)
        self.tensor_bytes_left = _SHARED * file_size

    def spend_tensor(self, size: int) -> None:
        """Account for a tensor that shows ``size`` bytes of a storage."""
        self.spend_objects(4)
        self.tensor_bytes_left -= size
        if self.tensor_bytes_left < 0:
            raise Refused('has tensors that unfold to more than a file of its size can hold')


def _tensor(budget: TensorBudget, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """A view of a storage that stays inside it; ``rest`` concerns gradients and is ignored."""
    numbers = as_exactly(Storage, storage).numbers
    sizes, strides = as_exactly(tuple, size), as_exactly(tuple, stride)
    if len(sizes) != len(strides) or len(sizes) > _MAX_DIMENSIONS or \
            any(type(n) is not int or not 0 <= n < 1 << 62 for n in (offset, *sizes, *strides)):
        raise Refused('has a tensor with invalid sizes or strides')
    count = math.prod(sizes)
    reach = offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True)) + 1 if count else offset
    if reach > len(numbers):
        raise Refused(f'has a tensor that reaches to number {reach} of a storage of {len(numbers)}')
    if count > len(numbers):
        raise Refused(f'has a tensor that unfolds {len(numbers)} numbers to {count}')
    budget.spend_tensor(count * numbers.itemsize)
    if count == 0:
        if math.prod(filter(None, sizes)) >= 1 << 62:
            raise Refused('has an empty tensor of a vast shape')
        return numbers.new_empty(sizes)
    return numbers.as_strided(sizes, strides, offset)


def _parameter(budget: TensorBudget, tensor: Any, *rest: Any) -> Tensor:
    if type(tensor) is not Tensor:
        refuse(f'a parameter made of type {type(tensor).__name__}')
    return tensor


def check_parameter_state(state: Any) -> None:
    """Refuse a state with more than ``requires_grad``, ``volatile`` and hooks, all of which are ignored."""
    flags = as_exactly(tuple, state)
    if len(flags) > 3 or any(flag is not None and flag != {} and type(flag) is not bool for flag in flags):
        refuse('a state for a tensor')


def _ordered(budget: TensorBudget, pairs: Any = ()) -> dict[Any, Any]:
    """An ``OrderedDict`` without items or from pairs, as a dict."""
    if type(pairs) not in (list, tuple) or any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
        refuse('a collections.OrderedDict made of something other than pairs')
    budget.spend_bytes(8 * len(pairs))
    check_keys(key for key, _ in pairs)
    return dict(pairs)


def _size(budget: TensorBudget, sizes: Any = ()) -> tuple[Any, ...]:
    return as_exactly(tuple, sizes)


def _counter(budget: TensorBudget, counts: Any = ()) -> dict[Any, Any]:
    """A ``Counter``, which mmengine's schedulers keep milestones in, as a dict."""
    if type(counts) is not dict:
        return _ordered(budget, counts)
    budget.spend_bytes(8 * len(counts))
    return dict(counts)


def _method(called: str, budget: TensorBudget, owner: Any = None, name: Any = '', *rest: Any) -> InertObject:
    """The mention of a method of mmengine's histories, which its Runner saves in the message hub; nothing is looked up,
    and nobody can call it."""
    if type(owner) not in (InertObject, Global) or owner.name != _HISTORY or type(name) is not str or rest:
        refuse_name(called)
    budget.spend_objects(1)
    return InertObject(f'{owner.name}.{name}'[:_LONGEST_MENTION])


def _nothing(budget: TensorBudget) -> None:
    """``None`` for the function backend that modules of PyTorch 0.3 carry along."""


#: The functions that a file may call, and what is called in their place.
CONSTRUCTORS: Mapping[str, Callable[..., Any]] = {
    **pickle_constructors.CONSTRUCTORS,
    'torch._utils._rebuild_tensor': _tensor,
    'torch._utils._rebuild_tensor_v2': _tensor,
    'torch._utils._rebuild_parameter': _parameter,
    'torch.nn.parameter.Parameter': _parameter,
    'torch.autograd.variable.Variable': _parameter,
    'torch.Size': _size,
    'torch.nn.backends.thnn._get_thnn_function_backend': _nothing,
    'collections.OrderedDict': _ordered,
    'collections.Counter': _counter,
    **{name: partial(_method, name) for name in ('__builtin__.getattr', 'builtins.getattr')},
}
