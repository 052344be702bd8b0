"""Reading a stranger's file: whole, bounded, and with one clear line where that fails."""
from __future__ import annotations

import gzip
import io
import json
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files.archives import BEGINNING, archive_fault, archive_kind

GZIP_MAGIC = b'\x1f\x8b'
_CHUNK = 1 << 20


def require_regular(path: str | Path) -> None:
    """Refuse whatever can hang or never end when it is opened; a missing file is left to whoever opens it.

    Raises:
        InputError: the path is a pipe, socket, device or folder, or no path at all.
    """
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return
    except ValueError:  # a NUL in it
        raise InputError(f'{str(path)!r}: is not a path') from None
    if stat.S_ISDIR(mode):
        raise InputError(f'{path}: is a folder, a file is needed')
    if not stat.S_ISREG(mode):
        raise InputError(f'{path}: is not a regular file (a pipe, socket or device); give a file')


def require_file(path: Path, advice: str = 'check the path') -> None:
    """Refuse a path that is no file to read.

    Args:
        path: of the file.
        advice: what to do where there is none.

    Raises:
        InputError: there is no such file, or it is a pipe, socket, device or folder.
    """
    require_regular(path)
    if not path.is_file():
        raise InputError(f'{path}: there is no such file; {advice}')


def read_bytes(path: str | Path) -> bytes:
    """The content of a file, unpacked where it is gzip (by its first bytes, whatever its name).

    What a gzip may unpack to is bounded by its own size: text packs to a tenth, a bomb to a thousandth.

    Raises:
        InputError: the file is missing, no regular file, unreadable, truncated, another archive than gzip, or unpacks
            to one or to far more than data would.
    """
    path = Path(path)
    require_regular(path)
    with _one_line(path), path.open('rb') as file:
        gzipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        data = _unpack(path, file) if gzipped else file.read()
    if gzipped and (kind := archive_kind(data)) is not None:
        raise InputError(f'{path}: unpacks to what is packed by {kind}; unpack it first and give the file in it')
    if not gzipped and (archive := archive_fault(path)) is not None:
        raise InputError(f'{path}: {archive}')
    return data


def read_lines(path: str | Path, longest: int | None = None) -> Iterator[bytes]:
    """The lines of a file, of which one at a time is in memory; a gzip file is unpacked whole.

    Args:
        path: the file.
        longest: the most bytes of a line, where there is a bound.

    Raises:
        InputError: as :func:`read_bytes`, or a line is longer.
    """
    path = Path(path)
    require_regular(path)
    with _one_line(path), path.open('rb') as file:
        packed = archive_kind(file.peek(BEGINNING)) is not None
        stream = io.BytesIO(read_bytes(path)) if packed else file
        most = -1 if longest is None else longest + 1
        for number, line in enumerate(iter(lambda: stream.readline(most), b''), start=1):
            if longest is not None and len(line) > longest:
                raise InputError(f'{path}: line {number}: is longer than {longest >> 20} MiB, which no record is; '
                                 'check the file')
            yield line.removesuffix(b'\n')


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """What goes wrong with opening and reading a file, in one line."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f'{path}: there is no such file; check the path') from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f'{path}: the gzip file is damaged or cut short ({error}); fetch it again') from None
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror or error}); check the path and its rights') from None
    except MemoryError:
        raise InputError(f'{path}: is too large for the memory of this machine') from None


def _unpack(path: Path, file: Any) -> bytes:
    limit = min(512 << 20, (16 << 20) + 64 * path.stat().st_size)
    parts, size = [], 0
    with gzip.GzipFile(fileobj=file) as stream:
        while part := stream.read(_CHUNK):
            size += len(part)
            if size > limit:
                raise InputError(f'{path}: unpacks to more than {limit >> 20} MiB, far more than such data does; '
                                 'unpack it yourself if you trust it')
            parts.append(part)
    return b''.join(parts)


def _refuse_constant(name: str) -> float:
    raise ValueError(f'{name} is no number')


def parse_json(data: bytes, where: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
               constant: Callable[[str], float] = _refuse_constant) -> Any:
    """One JSON value; ``where`` (file, and line if there are several) begins the message.

    Args:
        data: UTF-8.
        where: the place.
        pairs: what makes a record of its names and values, by default a dict.
        constant: what makes a number of ``NaN`` or ``Infinity``, which are not JSON; by default they are refused.

    Raises:
        InputError: it is not UTF-8 or not JSON, or nested beyond all reason.
    """
    try:
        return json.loads(data.decode('utf-8-sig'), parse_constant=constant, object_pairs_hook=pairs)
    except UnicodeDecodeError:
        raise InputError(f'{where}: is not UTF-8 text, so it is not the JSON that is needed') from None
    except RecursionError:
        raise InputError(f'{where}: is nested too deeply to be data') from None
    except ValueError as error:
        raise InputError(f'{where}: is not valid JSON ({error}); it may be cut short, fetch it again') from None
    except MemoryError:
        raise InputError(f'{where}: is too large for the memory of this machine') from None
