"""Parquet files of strangers, batch by batch: of a file of gigabytes a few rows are in memory at a time."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files.reading import require_file

#: Rows that are in memory at a time, each maybe with a photograph.
_BATCH = 64


def columns(path: Path) -> list[str]:
    """The names of a file's columns.

    Raises:
        InputError: the file is no parquet, damaged or cut short.
    """
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def rows(path: Path, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file, each with its place for messages, as plain values of the named columns.

    Raises:
        InputError: a column is missing, or the file is damaged.
    """
    with _opened(path) as file:
        there = list(file.schema_arrow.names)
        for name in names:
            if name not in there:
                raise InputError(f'{path}: has no column {name!r}; it has {", ".join(there[:12])}')
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH, columns=list(names)):
            for row in batch.to_pylist():
                number += 1
                yield f'{path}: row {number}', row


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open file; what its library says of damage is said in one line."""
    import pyarrow
    import pyarrow.parquet

    require_file(path)
    try:
        with pyarrow.parquet.ParquetFile(path, memory_map=False) as file:
            yield file
    except (pyarrow.ArrowException, OSError, ValueError, UnicodeDecodeError, OverflowError) as error:
        why = ' '.join(str(error).split())[:120]
        raise InputError(f'{path}: is a damaged parquet file ({why}); fetch it again') from None
    except MemoryError:
        raise InputError(f'{path}: is too large for the memory of this machine') from None
