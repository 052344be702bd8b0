"""Taking typed fields from a stranger's records.

``where`` names the file and the record (``refs(unc).p: refs[12]``) and begins every message. All functions raise
:class:`~harness.errors.InputError` on a missing field or one of the wrong type.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from harness.errors import InputError
from harness.types import XYWH

#: No image, box or mask of this field comes near these; what is beyond them is damage or an attack on the memory.
MAX_PIXELS = 100_000_000
MAX_COORDINATE = 1e6
MAX_NUMBER = 1e300
MAX_NAME = 255
_KINDS = {type(None): 'null', bool: 'true or false', int: 'a whole number', float: 'a fraction', str: 'text',
          list: 'a list', tuple: 'a list', dict: 'a record'}
_INTEGERS = (int, np.integer)
_NUMBERS = (int, float, np.integer, np.floating)


def required(record: Any, key: str, where: str) -> Any:
    """``record[key]``."""
    if not isinstance(record, Mapping):
        raise InputError(f'{where}: must be a record with named fields, not {kind(record)}')
    if key not in record:
        raise InputError(f'{where}: has no {key!r}')
    return record[key]


def kind(value: Any) -> str:
    """What a value is, in a word or two for a message; never the value itself, which may be a megabyte long."""
    return _KINDS.get(type(value), type(value).__name__)


def integer(record: Any, key: str, where: str) -> int:
    value = required(record, key, where)
    if not isinstance(value, _INTEGERS) or isinstance(value, bool):
        raise InputError(f'{where}: {key!r} must be an integer, not {kind(value)}')
    if abs(int(value)) >= 1 << 63:
        raise InputError(f'{where}: {key!r} is beyond 64 bits')
    return int(value)


def text(record: Any, key: str, where: str) -> str:
    value = required(record, key, where)
    if not isinstance(value, str):
        raise InputError(f'{where}: {key!r} must be text, not {kind(value)}')
    _valid_unicode(value, key, where)
    return value


def name(record: Any, key: str, where: str) -> str:
    """Text that stands in tables and messages: not empty, on one line, without control characters, not endless."""
    value = text(record, key, where)
    if not value.strip():
        raise InputError(f'{where}: {key!r} is empty')
    if not value.isprintable():
        raise InputError(f'{where}: {key!r} holds a line feed or another character that cannot be printed')
    if len(value) > MAX_NAME:
        raise InputError(f'{where}: {key!r} is {len(value)} characters long, names have {MAX_NAME} at most')
    return value


def file_name(record: Any, key: str, where: str) -> str:
    """A name that is a file's in a known folder, or a part of one: it leads nowhere else."""
    value = name(record, key, where)
    if value in ('.', '..') or set(value) & set('/\\'):
        raise InputError(f'{where}: {key!r} must be a bare name, without a folder')
    return value


def number(record: Any, key: str, where: str) -> float:
    """A finite number in double precision."""
    value = required(record, key, where)
    if not isinstance(value, _NUMBERS) or isinstance(value, bool):
        raise InputError(f'{where}: {key!r} must be a finite number, not {kind(value)}')
    found = int(value) if isinstance(value, _INTEGERS) else float(value)
    if not abs(found) < MAX_NUMBER:
        raise InputError(f'{where}: {key!r} must be a finite number')
    return float(found)


def items(record: Any, key: str, where: str) -> list[Any] | tuple[Any, ...]:
    value = required(record, key, where)
    if not isinstance(value, list | tuple):
        raise InputError(f'{where}: {key!r} must be a list, not {kind(value)}')
    return value


def words(record: Any, key: str, where: str) -> tuple[str, ...]:
    values = items(record, key, where)
    if not all(isinstance(word, str) for word in values):
        raise InputError(f'{where}: {key!r} must be a list of words')
    _valid_unicode(''.join(values), key, where)
    return tuple(values)


def box(record: Any, key: str, where: str, may_be_empty: bool = False) -> XYWH:
    """An ``xywh`` box: four finite numbers in double precision, the sizes over 0 (or also 0)."""
    x, y, width, height = four_numbers(record, key, where, 'x, y, width, height')
    if width < 0 or height < 0:
        raise InputError(f'{where}: {key!r} has a negative width or height')
    if not may_be_empty and width * height == 0:
        raise InputError(f'{where}: {key!r} has no area, so nothing can be found there')
    return x, y, width, height


def four_numbers(record: Any, key: str, where: str, what: str = 'of a box') -> tuple[float, float, float, float]:
    """Four finite numbers in double precision; ``what`` they are is said where they are none."""
    value = required(record, key, where)
    values = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(values, list | tuple) or len(values) != 4 or not all(
            isinstance(v, _NUMBERS) and not isinstance(v, bool) for v in values):
        raise InputError(f'{where}: {key!r} must be four numbers {what}')
    if not all(abs(v) <= MAX_COORDINATE for v in values):
        raise InputError(f'{where}: {key!r} holds a number that is not finite or beyond a million pixels')
    a, b, c, d = map(float, values)
    return a, b, c, d


def image_size(record: Any, where: str) -> tuple[int, int]:
    """``height`` and ``width`` in pixels."""
    height, width = integer(record, 'height', where), integer(record, 'width', where)
    if height <= 0 or width <= 0:
        raise InputError(f"{where}: 'height' and 'width' must be over 0, they are {height} and {width}")
    if height * width > MAX_PIXELS:
        raise InputError(f"{where}: 'height' {height} times 'width' {width} is no image's size")
    return height, width


def unique(values: Iterable[Any], what: str, where: str) -> None:
    """Refuse the first value that comes twice."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise InputError(f'{where}: {what} {value} comes twice; every one must be unique')
        seen.add(value)


def _valid_unicode(value: str, key: str, where: str) -> None:
    """Refuse halves of signs, which JSON and pickles can hold and no file or terminal can be given."""
    if not value.isascii() and any('\ud800' <= sign <= '\udfff' for sign in value):
        raise InputError(f'{where}: {key!r} is not valid Unicode')
