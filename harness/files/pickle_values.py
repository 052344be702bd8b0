"""What the pickle reader and its constructors share: refusals, limits, and names that stay names."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from harness.errors import shown

_FREE_OBJECTS = 500_000
KEY_TYPES = {str, bytes, int, bool, type(None)}


class Refused(Exception):
    """The reason why a pickle is not read any further; the reader puts the file's name before it."""


class Global:
    """A function or class that the file mentions: its name alone, never the object."""

    __slots__ = ('name',)

    def __init__(self, name: str) -> None:
        self.name = name


class Budget:
    """How many objects and how many copied bytes a file of this size can account for.

    Args:
        size: of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self.objects_left = _FREE_OBJECTS + size // 4
        self.bytes_left = 2 * size  # Python 3's protocol 2 has bytes as text: encoded once, then in an array

    def spend_objects(self, count: int, verb: str = 'makes') -> None:
        """Account for new objects; ``verb`` begins the refusal."""
        self.objects_left -= count
        if self.objects_left < 0:
            raise Refused(f'{verb} more objects than a file of its size can hold')

    def spend_bytes(self, count: int) -> None:
        """Account for copied bytes: honest data mention each byte once, and it is copied twice at most."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise Refused('unfolds to more than a file of its size can hold')


def refuse_name(name: str) -> NoReturn:
    """Refuse a function or class that the file names."""
    raise Refused(f'references {shown(name)}, {_REFUSAL}')


def refuse(found: str) -> NoReturn:
    """Refuse anything else that is not plain data, said on one line whatever it holds."""
    raise Refused(f'contains {shown(found)}, {_REFUSAL}')


_REFUSAL = 'which is not plain data; nothing was executed; get the file from its publisher'


def as_exactly(kind: type, value: Any) -> Any:
    """``value``, if its type is exactly ``kind`` and not a subclass."""
    if type(value) is not kind:
        raise TypeError(f'not a {kind.__name__}')
    return value


def check_keys(keys: Iterable[Any]) -> None:
    """Refuse keys that are slow to hash by design: nested tuples, and whole numbers chosen to collide."""
    for key in keys:
        if type(key) is not str and (type(key) not in KEY_TYPES or (type(key) is int and abs(key) >= (1 << 61) - 1)):
            refuse(f'a key of type {type(key).__name__}')
