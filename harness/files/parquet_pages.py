"""Where the pages of a parquet file are, and how large, measured before its library unpacks them.

A file of half a kilobyte can unpack to gigabytes: a page says how large it is and how many values it has, and the
library believes it. Here the heads of all pages are read, and what is in them is added up. Where they stand is read
here too: of a damaged list of columns, the library's own way to tell it ends the process.

Source of the layout: ``src/main/thrift/parquet.thrift`` and ``README.md`` of apache/parquet-format; heads are in
Thrift's compact protocol (``doc/specs/thrift-compact-protocol.md`` of apache/thrift).
"""
from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

#: Bytes that the head of a page is looked for in: at first, and at most (statistics of long values stand in it).
_HEAD, _LONGEST_HEAD = 1 << 12, 1 << 24
#: The end of a file: the length of its list of columns, in bytes, and the magic number. No list is longer than this.
_END, _LONGEST_LIST = 8, 64 << 20
#: Fields of ``FileMetaData`` (the first of which ``RowGroup`` has too), ``RowGroup``, ``ColumnChunk`` and
#: ``ColumnMetaData``.
_ROWS, _GROUPS, _COLUMNS, _ABOUT, _LENGTH, _DATA, _DICTIONARY = 3, 4, 1, 3, 7, 9, 11
#: Fields of ``PageHeader``, and the first field of each kind of page: how many values it has.
_UNPACKED, _PACKED, _KINDS, _VALUES = 2, 3, (5, 7, 8), 1
#: Structs and lists within each other.
_DEEPEST = 16


class Contents(NamedTuple):
    """How many rows a file says it has, and where each column of each group of rows begins, with its length; nothing of
    a group without rows."""

    rows: int
    groups: list[list[tuple[int, int]]]


class Extent(NamedTuple):
    """What a column takes in a group of rows when it is unpacked: bytes and values of all pages, and bytes of the
    largest page."""

    unpacked: int
    values: int
    largest: int


def contents(file: BinaryIO) -> Contents:
    """What the list of columns at the end of a file says.

    Raises:
        ValueError: it is none.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _END))
    length = int.from_bytes(file.read(4), 'little')
    if length > min(size - _END, _LONGEST_LIST):
        raise ValueError('its list of columns is longer than the file or than any is')
    file.seek(size - _END - length)
    try:
        about = _Compact(file.read(length)).struct()
        groups = [[_place(column[_ABOUT]) for column in group[_COLUMNS]] if group[_ROWS] else []
                  for group in about.get(_GROUPS) or []]
        rows = about[_ROWS]
    except (IndexError, KeyError, TypeError):
        raise ValueError('its list of columns is none') from None
    if not _size(rows) or not all(_size(number) for group in groups for place in group for number in place):
        raise ValueError('its list of columns is none')
    return Contents(rows, groups)


def _place(about: dict[int, Any]) -> tuple[int, int]:
    """Where a column's first page begins, that of its dictionary if it has one; and the length of all its pages."""
    start, dictionary = about[_DATA], about.get(_DICTIONARY)
    return (dictionary if dictionary and 0 < dictionary < start else start), about[_LENGTH]


def extent(file: BinaryIO, start: int, length: int) -> Extent:
    """Add up the pages of a column.

    Args:
        file: the whole file.
        start: where its first page begins.
        length: bytes of all its pages with their heads.

    Raises:
        ValueError: a head is none, or a page reaches beyond the end.
    """
    at, sizes, values = start, [0], 0
    while at < start + length:
        head, taken = _head(file, at)
        unpacked, packed = head.get(_UNPACKED, -1), head.get(_PACKED, -1)
        kind: dict[int, Any] = next((head[key] for key in _KINDS if isinstance(head.get(key), dict)), {})
        if not _size(unpacked) or not _size(packed) or not _size(kind.get(_VALUES, 0)):
            raise ValueError('the head of a page is none')
        sizes.append(unpacked)
        values += kind.get(_VALUES, 0)
        at += taken + packed
    if at != start + length:
        raise ValueError('a page reaches beyond its column')
    return Extent(sum(sizes), values, max(sizes))


def _size(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _head(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """The head of a page and how many bytes it has."""
    size = _HEAD
    while True:
        file.seek(at)
        data = file.read(size)
        try:
            reader = _Compact(data)
            return reader.struct(), reader.at
        except IndexError:
            if len(data) < size or size >= _LONGEST_HEAD:
                raise ValueError('the head of a page is cut short') from None
            size *= 16


class _Compact:
    """Reads Thrift's compact protocol: whole numbers, structs and lists are kept, what else there is is passed over."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7f) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError('the head of a page has an endless number')

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a struct by number."""
        if depth > _DEEPEST:
            raise ValueError('the head of a page is nested too deeply')
        found: dict[int, Any] = {}
        number = 0
        while (head := self.byte()) & 0x0f:
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            found[number] = self.value(head & 0x0f, depth)
        return found

    def value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):  # true and false
            return None
        if kind == 3:
            self.byte()
            return None
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind in (7, 8):  # a double, or text
            self.pass_over(8 if kind == 7 else self.varint())
            return None
        if kind == 12:
            return self.struct(depth + 1)
        if kind == 9:
            return self.elements(depth + 1)
        raise ValueError('the head of a page holds what no head does')

    def elements(self, depth: int) -> list[Any]:
        head = self.byte()
        count = head >> 4 if head >> 4 < 15 else self.varint()
        if count > len(self.data) or depth > _DEEPEST:
            raise ValueError('a list is longer than the file')
        if head & 0x0f in (1, 2):
            self.pass_over(count)
            return []
        return [self.value(head & 0x0f, depth) for _ in range(count)]

    def pass_over(self, count: int) -> None:
        self.at += count
        if self.at > len(self.data):
            raise IndexError
