"""Parquet files of strangers: of a file of gigabytes the columns that are asked for, a few rows at a time.

What is asked for is a shape for each column: ``'text'``, ``'integer'``, ``'number'`` or ``'bytes'``, a list of one
shape, or a record of shapes by field::

    rows(path, {'file_name': 'text', 'bbox': ['number'], 'image': {'bytes': 'bytes'}})

No more is read: of ``image`` above neither its path nor any other field. Columns of another type are refused. Pages are
measured before they are unpacked (:mod:`harness.files.parquet_pages`). Text in lists that a file has once and names a
million times is kept once until its rows are known to be small enough.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import InputError, shown
from harness.files.parquet_pages import Extent, contents, extent
from harness.files.reading import require_file

if TYPE_CHECKING:
    import pyarrow

Shape = Any
#: First bytes of a file, and of one whose list of columns is encrypted.
MAGIC, ENCRYPTED = b'PAR1', b'PARE'
#: Rows that are in memory at a time, and their bytes; one row has no more than the last.
_ROWS, _AT_ONCE, _BYTES = 1024, 64 << 20, 128 << 20
#: Bytes of all rows without their images, which whoever reads them may keep; the largest published ones have a tenth.
_ALL = 768 << 20
#: Bytes of a page, and of all that one row may have: a column of lists in a group of rows; and values of such a column.
_PAGE, _LISTS, _VALUES = 256 << 20, 256 << 20, 8_000_000
#: Groups of rows, and rows: no data of this field have a tenth of it.
_MOST_GROUPS, _MOST_ROWS = 100_000, 5_000_000
#: What is read at a time.
_BUFFER = 1 << 20
#: What a damaged list of columns may claim.
_LIMITS = {'thrift_string_size_limit': 16 << 20, 'thrift_container_size_limit': 1_000_000}
_WORDS = {'text': 'text', 'integer': 'whole numbers', 'number': 'numbers', 'bytes': 'bytes'}


def columns(path: Path) -> list[str]:
    """The names of a file's columns.

    Raises:
        InputError: the file is no parquet, encrypted, damaged or cut short.
    """
    with _opened(path) as file:
        names = list(file.schema_arrow.names)
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f'{path}: several columns are called {shown(twice[0])!r}')
    return names


def rows(path: Path, wanted: Mapping[str, Shape]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file, each with its place for messages, as plain values of the columns that are wanted. A number
    that is stored in 32 bits comes with the digits that it was written with.

    Args:
        path: the file.
        wanted: the shape of each column.

    Raises:
        InputError: a column is missing or of another type, or the file is damaged, encrypted or unpacks to more than
            any data do.
    """
    with _opened(path) as file:
        leaves, texts = _leaves_of(file, wanted, path)
        extents = _measured(leaves, path)
    number = kept = 0
    paths = [name for _, name, _ in leaves]
    at_once = max(1, min(_ROWS, _AT_ONCE // max((e.largest for e in extents), default=1)))
    with _opened(path, read_dictionary=texts) as file:
        for group in range(file.metadata.num_row_groups):
            for batch in file.iter_batches(batch_size=at_once, row_groups=[group], columns=paths):
                for part in _parts(batch, path):
                    kept += sum(_written_out(column, images=False) for column in part.columns)
                    if kept > _ALL:
                        raise InputError(f'{path}: its columns {", ".join(wanted)} unpack to more than {_ALL >> 20} '
                                         'MiB, no data have')
                    kinds = {field.name: field.type for field in part.schema}
                    for row in part.to_pylist():
                        number += 1
                        yield f'{path}: row {number}', {
                            name: _digits(row[name], kind) for name, kind in kinds.items()}


@contextmanager
def _opened(path: Path, **how: Any) -> Iterator[Any]:
    """An open file; what its library says of damage is said in one line."""
    import pyarrow
    import pyarrow.parquet

    require_file(path)
    try:
        with path.open('rb') as first:
            if first.read(4) == ENCRYPTED:
                raise InputError(f'{path}: is an encrypted parquet file; decrypt it first')
        with pyarrow.parquet.ParquetFile(path, memory_map=False, pre_buffer=False, buffer_size=_BUFFER,
                                         page_checksum_verification=True, **_LIMITS, **how) as file:
            yield file
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        why = shown(' '.join(str(error).split()))
        if 'crypt' in why:
            raise InputError(f'{path}: is an encrypted parquet file; decrypt it first') from None
        raise InputError(f'{path}: is a damaged parquet file ({why}); fetch it again') from None
    except MemoryError:
        raise InputError(f'{path}: is too large for the memory of this machine') from None


def _leaves_of(file: Any, wanted: Mapping[str, Shape], path: Path) -> tuple[list[tuple[int, str, bool]], list[str]]:
    """The columns that are stored for what is wanted, each with its number, its name, and whether a row may have
    several values of it; and the names of those with lists of text, which is kept once however often it is named."""
    schema = file.schema_arrow
    first = dict(zip(schema.names, np.cumsum([0, *(_width(field.type) for field in schema)]).tolist(), strict=False))
    if sum(_width(field.type) for field in schema) != len(file.schema):
        raise InputError(f'{path}: has columns of types that are not read here')
    found: list[tuple[int, str, bool]] = []
    texts = []
    for name, shape in wanted.items():
        if name not in first:
            raise InputError(f'{path}: has no column {name!r}; it has {", ".join(map(shown, schema.names[:12]))}')
        for number, kind, several in _leaves(shape, schema.field(name).type, first[name], name, path):
            found.append((number, file.schema.column(number).path, several))
            if several and kind in ('text', 'bytes'):
                texts.append(found[-1][1])
    return found, texts


def _leaves(shape: Shape, kind: pyarrow.DataType, first: int, name: str, path: Path,
            several: bool = False) -> Iterator[tuple[int, str, bool]]:
    """The numbers of the stored columns of a shape, what is in each, and whether it is one of a list."""
    if isinstance(shape, list):
        if not _is_list(kind):
            raise _another_type(path, name, kind, shape)
        yield from _leaves(shape[0], kind.value_type, first, name, path, several=True)
    elif isinstance(shape, dict):
        if not _is_struct(kind) or not all(kind.get_field_index(key) >= 0 for key in shape):
            raise _another_type(path, name, kind, shape)
        starts = np.cumsum([0, *(_width(kind.field(i).type) for i in range(kind.num_fields))]).tolist()
        for key, inner in shape.items():
            at = kind.get_field_index(key)
            yield from _leaves(inner, kind.field(at).type, first + starts[at], f'{name}.{key}', path, several)
    elif not _IS[shape](kind):
        raise _another_type(path, name, kind, shape)
    else:
        yield first, shape, several


def _another_type(path: Path, name: str, kind: Any, shape: Shape) -> InputError:
    return InputError(f'{path}: its column {shown(name)!r} must have {_in_words(shape)}, and is of type '
                      f'{shown(str(kind))}')


def _in_words(shape: Shape) -> str:
    if isinstance(shape, dict):
        return f'records of {", ".join(shape)}'
    return f'lists of {_in_words(shape[0])}' if isinstance(shape, list) else _WORDS[shape]


def _is_list(kind: Any) -> bool:
    from pyarrow import types
    return bool(types.is_list(kind) or types.is_large_list(kind))


def _is_struct(kind: Any) -> bool:
    from pyarrow import types
    return bool(types.is_struct(kind))


def _is_text(kind: Any) -> bool:
    from pyarrow import types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_integer(kind: Any) -> bool:
    from pyarrow import types
    return bool(types.is_integer(kind))


def _is_number(kind: Any) -> bool:
    from pyarrow import types
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


_IS: dict[str, Callable[[Any], bool]] = {'text': _is_text, 'integer': _is_integer, 'number': _is_number,
                                         'bytes': _is_bytes}


def _width(kind: Any) -> int:
    """How many columns are stored for one of this type."""
    kind = getattr(kind, 'storage_type', kind)
    return sum(_width(kind.field(i).type) for i in range(kind.num_fields)) or 1


def _measured(leaves: Sequence[tuple[int, str, bool]], path: Path) -> list[Extent]:
    """What the wanted columns take in each group of rows."""
    found = []
    with path.open('rb') as file:
        listed = contents(file)
        if len(listed.groups) > _MOST_GROUPS or listed.rows > _MOST_ROWS:
            raise InputError(f'{path}: has {listed.rows:,} rows in {len(listed.groups):,} groups, no data have')
        for group in filter(None, listed.groups):
            if len(group) <= max(number for number, _, _ in leaves):
                raise ValueError('a group of rows lacks columns')
            for number, name, several in leaves:
                mine = extent(file, *group[number])
                if mine.largest > _PAGE or several and (mine.unpacked > _LISTS or mine.values > _VALUES):
                    raise InputError(f'{path}: its column {shown(name)!r} unpacks to more than any data do '
                                     f'({mine.unpacked >> 20:,} MiB, {mine.values:,} values in one group of rows); '
                                     'if you trust it, write it again in smaller groups and pages')
                found.append(mine)
    return found


def _parts(batch: Any, path: Path) -> Iterator[Any]:
    """Rows in parts that are small enough to be written out."""
    size = sum(_written_out(column) for column in batch.columns)
    if size <= _BYTES:
        yield batch
    elif batch.num_rows == 1:
        raise InputError(f'{path}: a row of it has {size >> 20:,} MiB, no data have')
    else:
        half = batch.num_rows // 2
        yield from _parts(batch.slice(0, half), path)
        yield from _parts(batch.slice(half), path)


def _written_out(array: Any, images: bool = True) -> int:
    """Bytes of an array, text that is kept once counted as often as it is named; ``images``: bytes count as well."""
    import pyarrow.compute as pc
    from pyarrow import types
    if types.is_dictionary(array.type):
        lengths = pc.take(pc.binary_length(array.dictionary), array.indices)
        return (pc.sum(pc.cast(lengths, 'int64')).as_py() or 0) + 64 * len(array)
    if _is_struct(array.type):
        return sum(_written_out(part, images) for part in array.flatten())
    if _is_list(array.type):
        return _written_out(array.flatten(), images)
    if _is_bytes(array.type) and not images:
        return 0
    return array.nbytes + 32 * len(array)


def _digits(value: Any, kind: Any) -> Any:
    """A value whose numbers of 32 bits have as few digits as tell them apart: 26.93, not 26.93000030517578."""
    from pyarrow import types
    if value is None:
        return None
    if types.is_floating(kind) and kind.bit_width < 64:
        return float(str(np.float32(value)))
    if _is_list(kind) and not _is_text(kind.value_type):
        return [_digits(one, kind.value_type) for one in value]
    if _is_struct(kind):
        return {field.name: _digits(value[field.name], field.type) for field in kind}
    return value
