"""``docs/architecture.md`` shows the code as it is: its rooms, the arrows between them, and what each room imports.

Imports are read from every file, those inside functions and for type checkers too. The picture leaves out the arrows
that follow from others (its transitive reduction); the line "Imports" under each room has them all.
"""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/architecture.md').read_text()
(PICTURE,) = re.findall(r'```mermaid\n(.*?)```', PAGE, flags=re.S)
Graph = dict[str, set[str]]


def drawn_rooms() -> dict[str, list[str]]:
    """The places of each room, as the boxes of the picture name them: folders and files."""
    return {room: label.split('<br/>')[1:] for room, label in re.findall(r'(\w+)\["(.*?)"\]', PICTURE)}


def drawn_arrows() -> Graph:
    arrows: Graph = {room: set() for room in drawn_rooms()}
    for start, ends in re.findall(r'^ *(\w+) --> (.*)$', PICTURE, flags=re.M):
        assert not arrows[start], f'{start}: all of its arrows stand in one line'
        arrows[start] = set(ends.split(' & '))
    return arrows


def listed_imports() -> Graph:
    """What the lines "Imports" say; the one room that imports nothing says so."""
    listed = dict(re.findall(r'^### (\w+)\n.*?^Imports: ([^\n]*)\.$', PAGE, flags=re.S | re.M))
    return {room: set() if others == 'nothing' else set(others.split(', ')) for room, others in listed.items()}


def room_by_file() -> dict[Path, str]:
    """A file that the picture names itself is in its own room, whatever folder it lies in."""
    places = [(place, room) for room, places in drawn_rooms().items() for place in places]
    places.sort(key=lambda place: '*' not in place[0] and not place[0].endswith('/'))
    return {file: room for place, room in places
            for file in ROOT.glob(f'{place}**/*.py' if place.endswith('/') else place)}


def module_name(file: Path) -> str:
    return '.'.join(file.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


def imported(file: Path) -> Iterator[str]:
    """Everything that a file's import statements may mean by a module."""
    package = module_name(file) if file.name == '__init__.py' else module_name(file).rpartition('.')[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name('.' * node.level + (node.module or ''), package)
            yield from (f'{module}.{name.name}' if f'{module}.{name.name}' in MODULES else module
                        for name in node.names)


MODULES = {module_name(file): file for name in ('adapters', 'grounders', 'harness', 'reports')
           for file in (ROOT / name).rglob('*.py')} | {'run_benchmark': ROOT / 'run_benchmark.py'}
ROOM_BY_FILE = room_by_file()


@cache
def by_file() -> Graph:
    return {module: {name for name in imported(file) if name in MODULES} for module, file in MODULES.items()}


@cache
def by_room() -> Graph:
    arrows: Graph = {room: set() for room in drawn_rooms()}
    for module, others in by_file().items():
        room = ROOM_BY_FILE[MODULES[module]]
        arrows[room] |= {ROOM_BY_FILE[MODULES[other]] for other in others} - {room}
    return arrows


def reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """All that the arrows lead to from ``start``, itself left out where there is no circle."""
    return graph[start] | {far for near in graph[start] for far in reached(graph, near)}


def reduced(graph: Graph) -> Graph:
    """The same without the arrows that follow from others."""
    return {start: ends - {far for near in ends for far in reached(graph, near)} for start, ends in graph.items()}


def test_every_file_is_in_a_room_and_every_room_has_one() -> None:
    assert set(MODULES.values()) == set(ROOM_BY_FILE)
    assert set(drawn_rooms()) == set(ROOM_BY_FILE.values()) == set(listed_imports())


@pytest.mark.parametrize('graph', [by_file(), by_room()], ids=['files', 'rooms'])
def test_there_is_no_circle(graph: Graph) -> None:
    TopologicalSorter(graph).prepare()


def test_every_import_between_rooms_is_listed_and_every_listed_one_is_there() -> None:
    assert listed_imports() == by_room()


def test_the_picture_has_the_arrows_that_the_imports_need_and_no_other() -> None:
    assert drawn_arrows() == reduced(by_room())


def test_an_arrow_that_follows_from_others_and_a_circle_would_be_found() -> None:
    assert reduced({'a': {'b', 'c'}, 'b': {'c'}, 'c': set()}) == {'a': {'b'}, 'b': {'c'}, 'c': set()}
    with pytest.raises(CycleError):
        TopologicalSorter({'a': {'b'}, 'b': {'a'}}).prepare()
