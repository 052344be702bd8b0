"""Files that are there whole or not at all: written beside, then renamed."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from harness.errors import InputError

ANOTHER_OUT = 'free some space or choose another --out'


@contextmanager
def replacing(path: Path, advice: str | None = None, where: str | None = None, ending: str = '.part') -> Iterator[Path]:
    """A file beside ``path`` to write to, which takes its place at the end of the block.

    Where the block fails or the disk refuses, ``path`` is what it was and nothing half-written stays behind.

    Args:
        path: the file that is to be there.
        advice: what to do where it can't be written, maybe nothing (``''``); ``None`` lets the ``OSError`` pass.
        where: what the message begins with, ``path`` itself by default.
        ending: of the name of the file beside; one of its own for each process where several write the same file.

    Raises:
        InputError: it can't be written (a full disk, no permission), and there is advice.
    """
    beside = path.with_name(path.name + ending)
    try:
        yield beside
        os.replace(beside, path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if advice is None or not isinstance(error, OSError):
            raise
        fix = f'; {advice}' if advice else ''
        raise InputError(f'{path if where is None else where}: cannot be written ({error.strerror}){fix}') from None


def append_whole(file: BinaryIO, text: bytes | bytearray, where: Path, advice: str) -> None:
    """Append to an unbuffered file, all of ``text`` or nothing.

    Args:
        file: open for writing without a buffer.
        text: what to append.
        where: what the message begins with.
        advice: what to do if it can't be written.

    Raises:
        InputError: it can't be written, for instance because the disk is full.
    """
    left, whole = memoryview(text), file.seek(0, os.SEEK_END)
    try:
        while left:
            left = left[file.write(left):]
    except OSError as error:
        with suppress(OSError):
            file.truncate(whole)
        raise InputError(f'{where}: cannot be written ({error.strerror}); {advice}') from None


def write_text(path: Path, text: str, advice: str | None = ANOTHER_OUT, where: str | None = None) -> None:
    """A text file in UTF-8 by :func:`replacing`."""
    with replacing(path, advice, where) as beside:
        beside.write_text(text, encoding='utf-8')
