"""What can be wrong with a value, a record, the text of a command line, and the bytes of a file."""
from __future__ import annotations

import copy
import gzip
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

#: What a file is made of: its bytes, or what makes it at its path.
Content = bytes | Callable[[Path], object]
#: What an attack would leave in the working folder.
FIRED = 'fired'


class Raw:
    """A value that JSON can write and :func:`json.dumps` would not; ``python`` is what a pickle holds in its place."""

    def __init__(self, text: str, python: Any) -> None:
        self.text, self.python = text, python


WRONG: dict[str, Any] = {
    'null': None, 'true': True, '-1': -1, '0': 0, '1.5': 1.5, '2**63': 2**63, '1e308': 1e308, 'text': 'abc',
    'no text': '', 'a blank': ' ', 'a line feed': 'a\nb', 'NUL': 'a\0b', 'an escape': '\x1b[2Ja',
    'a path out': '../../../etc/passwd', 'a long text': 'x' * 100_000, 'digits': '12', 'a list': [],
    'a list of null': [None], 'lists': [[[]]], 'a record': {}, 'a record of one': {'a': 1},
    'a long list': list(range(3000)),
    '1e999': Raw('1e999', float('inf')), '-1e999': Raw('-1e999', float('-inf')), 'NaN': Raw('NaN', float('nan')),
    'Infinity': Raw('Infinity', float('inf')), '400 digits': Raw('1' + '0' * 400, 10**400),
    '5000 digits': Raw('1' + '0' * 5000, 10**4000), 'half a sign': Raw('"\\ud800"', '\ud800'),
    'ten thousand lists': Raw('[' * 10_000 + ']' * 10_000, [[[[[[]]]]]]),
    'a name twice': Raw('{"a": 1, "a": 2}', {'a': 2}),
}
#: What someone can type behind ``--set NAME.OPTION=`` or another option.
TYPED = (
    '', ' ', 'abc', 'None', 'True', 'False', '-1', '0', '1', '2', '0.5', '2.5', '-0.5', '1e308', '-1e308', '1e999',
    '-1e999', '1e-300', 'nan', 'inf', '9' * 400, '9' * 5000, '1_000', '0x10', '1j', '...', '[]', '[1]', '[null]', '{}',
    "{'a': 1}", '()', "'x'", "b'x'", '[' * 300, '-' * 300 + '1', 'a\nb', '\x1b[2J', '\udc80', 'lambda: 1',
    f'__import__("os").system("touch {FIRED}")', '*', '/dev/zero', '../../etc/passwd', 'x' * 20_000, '１')


class Fires:
    """What runs a command where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f'touch {FIRED}',)


def dumped(value: Any) -> bytes:
    """JSON, with every :class:`Raw` as its text."""
    raws: list[str] = []

    def mark(one: Any) -> str:
        raws.append(one.text)
        return f'@raw {len(raws) - 1}@'
    text = json.dumps(value, default=mark)
    for i, raw in enumerate(raws):
        text = text.replace(f'"@raw {i}@"', raw)
    return text.encode()


def pythonic(value: Any) -> Any:
    """The same for pickles: every :class:`Raw` as its Python value."""
    if isinstance(value, Raw):
        return value.python
    if isinstance(value, dict):
        return {key: pythonic(one) for key, one in value.items()}
    return [pythonic(one) for one in value] if isinstance(value, list) else value


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a record: itself, its fields, theirs; of a list's alike members the first and the last."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list) and value:
        for i in sorted({0, len(value) - 1}):
            yield from places(value[i], (*path, i))


def broken(value: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What makes a record with one thing wrong each: a wrong value at a place, a field too few, a member twice, another
    key."""
    for path in places(value):
        name = '.'.join(map(str, path)) or 'all'
        for what, wrong in WRONG.items():
            yield f'{name} = {what}', partial(_with, value, path, lambda old, wrong=wrong: wrong)
        if path:
            yield f'{name} left out', partial(_without, value, path)
        found = _at(value, path)
        if isinstance(found, list) and found:
            yield f'{name}: a member twice', partial(_with, value, path, lambda old: [*old, copy.deepcopy(old[-1])])
        if isinstance(found, dict) and found:
            for key in ('', 'a\nb', '9' * 400, '-1', '__class__'):
                yield f'{name}: key {key[:9]!r}', partial(_with, value, path, lambda old, key=key: {
                    (key if k == next(iter(old)) else k): v for k, v in old.items()})


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _with(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    copied = copy.deepcopy(value)
    parent = _at(copied, path[:-1])
    parent[path[-1]] = change(parent[path[-1]])
    return copied


def _without(value: Any, path: tuple[Any, ...]) -> Any:
    copied = copy.deepcopy(value)
    del _at(copied, path[:-1])[path[-1]]
    return copied


def damaged(data: bytes) -> Iterator[tuple[str, Content]]:
    """A file cut short, overwritten, packed, made to run something, or none at all."""
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        yield f'cut at {share:.0%}', data[:int(len(data) * share)]
    yield 'without its last byte', data[:-1]
    for share in (0, 0.2, 0.4, 0.6, 0.8, 0.95):
        at = int(len(data) * share)
        yield f'a byte changed at {share:.0%}', data[:at] + bytes([data[at] ^ 0xff]) + data[at + 1:]
        yield f'zeros from {share:.0%} on', data[:at] + bytes(min(64, len(data) - at)) + data[at + 64:]
    yield from {
        'text behind it': data + b'\ntrailing', 'twice': data + data, 'a byte order mark': b'\xef\xbb\xbf' + data,
        'zeros': bytes(5000), 'a line feed': b'\n', 'another text': b'<html>404</html>',
        'a hundred thousand brackets': b'[' * 100_000, 'records in records': b'{"a":' * 100_000,
        'a bomb': _bomb(), 'a pickle that runs': pickle.dumps(Fires(), 2),
        'a pickle of text that runs': pickle.dumps([Fires()], 0),
        'UTF-16': written(lambda: b'\xff\xfe' + data.decode('latin-1').encode('utf-16-le')),
        'gzip': written(lambda: gzip.compress(data)), 'half a gzip': written(lambda: gzip.compress(data)[:-9]),
        'a zip': written(lambda: _zip(data)), 'half a zip': written(lambda: _zip(data)[:-30]),
        'a folder': lambda path: path.mkdir(), 'a pipe': os.mkfifo, 'nothing': lambda path: None,
        'a device': lambda path: path.symlink_to('/dev/zero'), 'a link to itself': lambda path: path.symlink_to(path),
        'a link to nothing': lambda path: path.symlink_to('/no/such/file'),
    }.items()


def written(make: Callable[[], bytes]) -> Content:
    """A file whose bytes are made when it is written: of thousands a few are chosen."""
    return lambda path: path.write_bytes(make())


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(1 << 27))


def _zip(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr('inside', data)
    return stream.getvalue()
