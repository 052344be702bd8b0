"""What a stranger's result files may hold in the place of anything, and what every report has to make of it."""
from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import command_line

#: In the place of any value: other types, edges, signs that a terminal obeys, numbers beyond 64 bits and beyond floats.
VALUES = (None, True, -1, 0, 0.5, 1e308, -1e308, 10 ** 19, 10 ** 400, '', ' ', '\x1b[31mred', 'two\nlines', '\0',
          '\ud800', 'x' * 3000, '../../etc/passwd', '<script>', '| *_`$\\', [], [[]], [None], [1e999], {}, {'': None},
          {'a': [1]})
#: In the place of a whole file.
CONTENTS = (b'', b'\n', b'\0' * 100, b'\xff\xfe{', b'[' * 200_000, b'null', b'{}', b'[]', b'1e999', b'"text"',
            b'\x1f\x8b')

FILES = ('results.json', 'predictions.jsonl', 'proposals.jsonl')
#: Each report that reads a run's folder RUN, with another, OTHER, that is well.
COMMANDS = (
    'tables RUN', 'tables RUN --format terminal', 'tables RUN OTHER --like paper --ci',
    'tables RUN --like paper --format latex', 'compare RUN:greedy :ref-nms-b --no-groups', 'compare OTHER RUN',
    'failures RUN', 'failures RUN --list right --format terminal', 'failures RUN --from greedy --to ref-nms-b',
    'conventions RUN', 'conventions RUN --format csv',
    'check RUN --against OTHER', 'check OTHER --against RUN',
    'check RUN --against OTHER --significant --max-slowdown 2',
    'html RUN -o PAGE',
)


def places(value: Any, here: tuple = ()) -> Iterator[tuple]:
    """The way to every value in a file's JSON, the whole first."""
    yield here
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*here, key))


def changed(value: Any, place: Sequence[Any], new: Any) -> Any:
    """A copy of JSON with another value at one place."""
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = changed(value[place[0]], place[1:], new)
    return copy


def read(file: Path) -> list[Any]:
    """A file's JSON, a value a line, or the one of ``results.json``."""
    text = file.read_text()
    return [json.loads(text)] if file.name == 'results.json' else [json.loads(line) for line in text.splitlines()]


def write(file: Path, values: Sequence[Any]) -> None:
    file.write_text('\n'.join(map(json.dumps, values)) + '\n')


def one_line_at_most(capsys: pytest.CaptureFixture[str], command: str, run: Path, other: Path) -> str:
    """Run a report: it ends with 0 or 1, or with 2 and one clear line. Nothing that it prints moves a terminal's
    cursor. Returns the line."""
    names = {'RUN': str(run), 'OTHER': str(other), 'PAGE': str(run / 'page.html')}
    arguments = [names.get(word.partition(':')[0], word.partition(':')[0]) + ''.join(word.partition(':')[1:])
                 for word in command.split()]
    capsys.readouterr()
    code = command_line(arguments)
    out, error = capsys.readouterr()
    assert code in (0, 1, 2), command
    assert not any(sign < ' ' and sign not in '\n' or sign == '\x7f' for sign in out + error), (command, out, error)
    if code == 2:
        assert error.startswith('error: ') and error.endswith('\n') and error.count('\n') == 1 and out == '', command
        assert len(error) < 1500, command
    assert not (run / 'page.html.part').exists()
    return error if code == 2 else ''


def in_the_place_of(file: Path, what: str) -> None:
    """Something that is no regular file."""
    file.unlink()
    if what == 'a pipe':
        os.mkfifo(file)
    elif what == 'a folder':
        file.mkdir()
    elif what == 'a device':
        file.symlink_to('/dev/zero')
    else:
        file.symlink_to(file)
