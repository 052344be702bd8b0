"""Reading a stranger's pickle: plain data and numeric arrays come out, and nothing in the file is executed."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.files.pickle_machine import Machine
from harness.files.reading import read_bytes


def load(path: str | Path) -> Any:
    """The object in a pickle file of protocol 0 to 5, Python 2's included (its ``str`` is read as latin-1).

    Builds lists, dicts, tuples, sets, text, bytes, numbers, booleans, ``None``, and numpy arrays and scalars of plain
    booleans, integers and floats. Keys are text, bytes or whole numbers.

    Raises:
        InputError: the file is missing, cut short or damaged, or contains anything else, which the message names.
    """
    return loads(read_bytes(path), str(path))


def loads(data: bytes, where: str) -> Any:
    """:func:`load` for bytes already read; ``where`` begins the messages."""
    return Machine(data, where).run()
