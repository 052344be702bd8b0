"""The few functions that honest pickles call, and what the reader calls in their place: sets, bytes and numeric arrays.

Each constructor takes the :class:`~harness.files.pickle_values.Budget` of the file first, then the file's arguments,
none of which it trusts.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NoReturn

import numpy as np

from harness.files.pickle_values import Budget, Global, Refused, as_exactly, check_keys, refuse, refuse_name

ARRAY_TYPES = {kind + str(size): np.dtype(f'{kind}{size}') for kind, sizes in
               (('b', (1,)), ('i', (1, 2, 4, 8)), ('u', (1, 2, 4, 8)), ('f', (2, 4, 8))) for size in sizes}
ARRAY_TYPES['b1'] = np.dtype(bool)
_BYTE_ORDERS: dict[str, Literal['<', '>', '=']] = {'<': '<', '>': '>', '=': '=', '|': '='}


class DType:
    """A number type between its name and its byte order."""

    __slots__ = ('dtype',)

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype


class PendingArray:
    """An array whose numbers are still to come; the array replaces it in the memo under ``memo_keys``."""

    __slots__ = ('memo_keys',)

    def __init__(self) -> None:
        self.memo_keys: list[int] = []


def _make_set(kind: type) -> Callable[..., Any]:
    def build(budget: Budget, items: list[Any] | tuple[Any, ...] = ()) -> Any:
        if type(items) not in (list, tuple):
            refuse(f'a set made of type {type(items).__name__}')
        check_keys(items)
        budget.spend_bytes(len(items))
        budget.spend_objects(4)
        return kind(items)
    return build


def _encode(budget: Budget, value: str, encoding: str = 'latin1') -> bytes:
    """Bytes as Python 3 writes them with protocol 2: as text, and the encoding that turns it into bytes."""
    if encoding not in ('latin1', 'latin-1'):
        refuse_name(f'_codecs.encode to {str(encoding)[:20]}')
    budget.spend_bytes(len(as_exactly(str, value)))
    return value.encode('latin1')


def _empty_bytes(budget: Budget) -> bytes:
    return b''


def _dtype(budget: Budget, code: Any, align: Any = False, copy: Any = True) -> DType:
    code = code.decode('latin1') if type(code) is bytes else as_exactly(str, code)
    if code.lstrip('<>|=') not in ARRAY_TYPES:
        refuse(f'numpy numbers of type {code}')
    return DType(ARRAY_TYPES[code.lstrip('<>|=')].newbyteorder(_BYTE_ORDERS.get(code[0], '=')))


def ordered_dtype(dtype: np.dtype, state: tuple[Any, ...]) -> np.dtype:
    version, order, *parts = state
    if any(part is not None for part in parts[:3]) or any(type(p) is not int or p not in (-1, 0) for p in parts[3:]):
        refuse('numpy numbers with fields')
    order = order.decode('latin1') if type(order) is bytes else order
    return dtype.newbyteorder(_BYTE_ORDERS[order])


def _reconstruct(budget: Budget, kind: Any, shape: Any, code: Any) -> PendingArray:
    if type(kind) is not Global or kind.name != 'numpy.ndarray':
        refuse('numpy arrays of another kind')
    return PendingArray()


def filled_array(budget: Budget, shape: Any, dtype: Any, fortran: Any, raw: Any) -> np.ndarray:
    if type(raw) is list:
        refuse('numpy arrays of objects')
    return _array(budget, raw, dtype, shape, 'F' if fortran else 'C')


def _from_buffer(budget: Budget, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _array(budget, raw, dtype, shape, 'F' if order == 'F' else 'C')


def _scalar(budget: Budget, dtype: Any, raw: Any) -> Any:
    return _array(budget, raw, dtype, (1,), 'C')[0]


def _array(budget: Budget, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """A numeric array in this machine's byte order, whose shape and type account for its bytes exactly."""
    dtype = as_exactly(DType, dtype).dtype
    raw = raw.encode('latin1') if type(raw) is str else raw
    if type(raw) not in (bytes, bytearray):
        raise ValueError('an array without bytes')
    sizes = [as_exactly(int, size) for size in as_exactly(tuple, shape)]
    if len(sizes) > 32 or any(size < 0 for size in sizes) or math.prod(sizes) * dtype.itemsize != len(raw):
        raise Refused(f'has an array whose shape and type do not fit its {len(raw)} bytes')
    budget.spend_bytes(len(raw))
    numbers = np.frombuffer(raw, dtype) if raw else np.empty(0, dtype)
    return numbers.reshape(sizes, order=order).astype(dtype.newbyteorder('='))


def _not_callable(budget: Budget, *arguments: Any) -> NoReturn:
    refuse('an array made without its numbers')


#: The functions and classes that a file may name, and what is called in their place.
CONSTRUCTORS: dict[str, Callable[..., Any]] = {
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
