"""JSON record by record, so that a file of gigabytes takes the memory of one record.

A file is a list of records, a record whose lists hold them, or one record a line. What a file is and what its first
records look like is told from its beginning.
"""
from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import InputError
from harness.files.archives import BEGINNING, archive_kind
from harness.files.reading import parse_json, read_bytes, read_lines, require_file

#: Characters that are read at a time, in which a file's first records stand.
_CHUNK = 1 << 20
#: No record has more characters: one with a photograph in it has some millions.
_LARGEST = 64 << 20
#: What is cut short at the end of a chunk fails so near to it: a word or an escaped sign.
_NEAR = 16
_SPACE = ' \t\r\n'


class Beginning(NamedTuple):
    """What a JSON file is.

    ``layout`` is ``'list'``, ``'lines'`` or ``'lists'`` (a record of lists). ``first`` has the first record: of a list
    or of lines under ``''``, of each list of a record under its key.
    """

    layout: str
    first: dict[str, Any]


def beginning(path: Path) -> list[Beginning]:
    """What a JSON file may be, by what stands in its first million characters; one record alone may be a single line or
    a record of lists, and nothing is said of what is no JSON.

    Raises:
        InputError: the file cannot be read.
    """
    text = _Text(path, chunks=1)
    try:
        if text.peek() == '[':
            return [Beginning('list', {'': next(iter(_items(text)), None)})]
        if text.peek() != '{':
            return []
        lists = dict(_first_of_lists(_Text(path, chunks=1)))
        found = [Beginning('lists', lists)] if lists else []
        try:
            return [Beginning('lines', {'': text.value()}), *found]
        except InputError:  # longer than that: no line
            return found
    except InputError:
        return []


def records(path: Path, layout: str, key: str = '') -> Iterator[tuple[str, Any]]:
    """The records of a file, each with its place for messages.

    Args:
        path: JSON, also packed by gzip.
        layout: as :class:`Beginning` tells it.
        key: of the list in a record of lists.

    Raises:
        InputError: the file cannot be read, is cut short or no JSON, or a record is larger than any is.
    """
    if layout == 'lines':
        for number, line in enumerate(read_lines(path), start=1):
            if line.strip():
                yield f'{path}: line {number}', parse_json(line, f'{path}: line {number}')
        return
    text = _Text(path)
    if layout == 'lists':
        for name in _keys(text):
            if name == key:
                break
            _skip(text)
        else:
            raise InputError(f'{path}: has no {key!r}')
    for number, record in enumerate(_items(text)):
        yield f'{path}: {key}[{number}]' if key else f'{path}: row {number + 1}', record
    if layout == 'list' and text.peek():
        raise InputError(f'{path}: is not valid JSON (more stands after its list); fetch it again')


def every_list(path: Path) -> Iterator[tuple[str, Any]]:
    """The records of all lists of a record of lists, each with the key of its list, in the file's order.

    Raises:
        InputError: as of :func:`records`.
    """
    text = _Text(path)
    for key in _keys(text):
        if text.peek() == '[':
            yield from ((key, record) for record in _items(text))
        else:
            text.value()


class _Text:
    """The text of a file, of which no more is kept than the value that is being read."""

    def __init__(self, path: Path, chunks: int | None = None) -> None:
        self.path, self._left, self._chunks = path, chunks, _chunks(path)
        self._decoder = codecs.getincrementaldecoder('utf-8-sig')()
        self._json = json.JSONDecoder(parse_constant=_refuse_constant)
        self._buffer, self._at, self._done = '', 0, False

    def peek(self) -> str:
        """The next sign that is no space; nothing at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _SPACE:
                    return self._buffer[self._at]
                self._at += 1
            if not self._more():
                return ''

    def take(self, signs: str) -> str:
        """The next sign, which must be one of these."""
        sign = self.peek()
        if not sign or sign not in signs:
            raise InputError(f'{self.path}: is not valid JSON ({" or ".join(map(repr, signs))} is missing); it may be '
                             'cut short, fetch it again')
        self._at += 1
        return sign

    def value(self) -> Any:
        """The next value."""
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._buffer, self._at)
                if end < len(self._buffer) or not self._more():
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                cut = error.msg.startswith('Unterminated') or error.pos >= len(self._buffer) - _NEAR
                if not cut or not self._more():
                    raise InputError(f'{self.path}: is not valid JSON ({error.msg}); it may be cut short, fetch it '
                                     'again') from None
            except RecursionError:
                raise InputError(f'{self.path}: is nested too deeply to be data') from None
            except ValueError as error:  # a constant, or a number of thousands of digits
                raise InputError(f'{self.path}: is not valid JSON ({str(error).split(";")[0]})') from None
            if len(self._buffer) - self._at > _LARGEST:
                raise InputError(f'{self.path}: a record has more than {_LARGEST >> 20} million characters, no data '
                                 'has; fetch it again')

    def _more(self) -> bool:
        """Read at least as much again as is kept; whether anything came."""
        if self._done:
            return False
        parts, wanted = [self._buffer[self._at:]], max(len(self._buffer) - self._at, 1)
        self._at = 0
        while wanted > 0 and not self._done:
            part = b'' if self._left == 0 else next(self._chunks, b'')
            self._left = self._left and self._left - 1
            self._done = not part
            try:
                parts.append(self._decoder.decode(part, final=not part and self._left is None))
            except UnicodeDecodeError:
                raise InputError(f'{self.path}: is not UTF-8 text, so it is not the JSON that is needed') from None
            wanted -= len(parts[-1])
        self._buffer = ''.join(parts)
        return len(self._buffer) > len(parts[0])


def _chunks(path: Path) -> Iterator[bytes]:
    require_file(path)
    with path.open('rb') as file:
        if archive_kind(file.read(BEGINNING)) is None:
            file.seek(0)
            while part := file.read(_CHUNK):
                yield part
            return
    data = read_bytes(path)
    yield from (data[start:start + _CHUNK] for start in range(0, len(data), _CHUNK))


def _refuse_constant(name: str) -> None:
    raise ValueError(f'{name} is no number')


def _items(text: _Text) -> Iterator[Any]:
    """The elements of the list that comes next."""
    text.take('[')
    if text.peek() == ']':
        text.take(']')
        return
    while True:
        yield text.value()
        if text.take(',]') == ']':
            return


def _keys(text: _Text) -> Iterator[str]:
    """The keys of the record that comes next; whoever asks for the next one has read the value of the last."""
    text.take('{')
    if text.peek() == '}':
        return
    while True:
        key = text.value()
        text.take(':')
        yield str(key)
        if text.take(',}') == '}':
            return


def _skip(text: _Text) -> None:
    if text.peek() == '[':
        for _ in _items(text):
            pass
    else:
        text.value()


def _first_of_lists(text: _Text) -> Iterator[tuple[str, Any]]:
    try:
        for key in _keys(text):
            if text.peek() != '[':
                text.value()
                continue
            for number, item in enumerate(_items(text)):
                if number == 0:
                    yield key, item
    except InputError:  # the beginning ends here
        return
