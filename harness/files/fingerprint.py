"""What shaped something that is kept for reuse: a flat record, as JSON in its folder, and refusal where another one
differs.

A record names everything that a different value of would give different numbers: options, the seed, hashes of the
data, of the weights and of the word vectors, and the project's own code (:func:`code_of`). How long something may take,
how often it is saved and where it lies are no part of it.
"""
from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import InputError, shown
from harness.files.reading import parse_json, read_bytes
from harness.files.writing import write_text
from harness.plugin_files import imported_by

Record = Mapping[str, Any]

FILE = 'fingerprint.json'
_ROOT = Path(__file__).resolve().parents[2]
#: The packages whose code a run can use.
OURS = ('harness', 'adapters', 'grounders')
#: What reads, checks, names, reports and stores: files are known by their hashes and options by their values.
_APART = ('adapters.modular.recipes', 'adapters.nmtree.recipes', 'harness.data', 'harness.errors', 'harness.files',
          'harness.names', 'harness.options', 'harness.registry', 'harness.evaluation.results', 'harness.studies',
          'harness.training.ref_nms.options', 'harness.training.ref_nms.records', 'harness.training.runner',
          'harness.training.settings')
_ABSENT = object()
_DIGITS_OF_A_HASH = 12
_TOLD = 3


def flat(values: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested mappings as one, with dotted names; everything else as JSON keeps it."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f'{prefix}{name}.') if isinstance(value, Mapping) else {prefix + name: value}
    kept: dict[str, Any] = json.loads(json.dumps(found, default=str))
    return kept


@cache
def code_of(*modules: str) -> str:
    """SHA-256 of the project's code that computes something.

    That is the modules named and all of the project's that they import, directly or not, but for those that only read
    files, check options and report (:data:`_APART`). Of each its meaning counts, without comments, docstrings and
    layout, so that an edit of another part of the project, or of a comment, changes nothing.
    """
    sources: dict[str, str] = {}
    _collect(modules, sources)
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()


@cache
def code_of_the_project() -> str:
    """The SHA-256 of the sources of all :data:`OURS`, to the letter."""
    digest = hashlib.sha256()
    for path in sorted(path for package in OURS for path in (_ROOT / package).rglob('*.py')):
        digest.update(f'{path.relative_to(_ROOT)}\0'.encode() + path.read_bytes())
    return digest.hexdigest()


def _collect(names: Iterable[str], sources: dict[str, str]) -> None:
    for name in names:
        path = _file_of(name)
        if name in sources or path is None:
            continue
        sources[name], imported = _understood(path.read_bytes())
        _collect((one for one in imported if not one.startswith(_APART)), sources)


@cache
def _understood(source: bytes) -> tuple[str, tuple[str, ...]]:
    """The meaning of a file, and the names that it imports; most files count for several records."""
    tree = ast.parse(source)
    return _meaning(tree), tuple(one for node in ast.walk(tree) for one in imported_by(node))


def _file_of(name: str) -> Path | None:
    """The file of a module of the project; ``None`` for anything else, such as a function."""
    if name.split('.')[0] not in OURS:
        return None
    path = _ROOT.joinpath(*name.split('.'))
    return next((file for file in (path.with_name(f'{path.name}.py'), path / '__init__.py') if file.is_file()), None)


def _meaning(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
                ast.get_docstring(node, clean=False) is not None):
            del node.body[0]
    return ast.dump(tree)


def sha256_of(path: Path) -> str:
    """Of a file."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def short(record: Record) -> str:
    """A few digits that tell a record from another, for the name of a file."""
    return hashlib.sha256(json.dumps(flat(record), sort_keys=True).encode()).hexdigest()[:8]


def differences(kept: Record, now: Record) -> list[str]:
    """What differs, in the order of ``now``: ``'lr was 0.0005, is 0.5'``."""
    kept, now = flat(kept), flat(now)
    return [f'{name} {_said(kept, name, "was")}, {_said(now, name, "is")}' for name in dict.fromkeys([*now, *kept])
            if kept.get(name, _ABSENT) != now.get(name, _ABSENT)]


def _said(record: Record, name: str, verb: str) -> str:
    if name not in record:
        return f'{verb} not there'
    value = record[name]
    if isinstance(value, str) and len(value) == 64:
        value = value[:_DIGITS_OF_A_HASH]
    return f'{verb} {shown(str(value))}'


def listed(found: list[str]) -> str:
    """The first few differences, and how many more there are."""
    more = f' and {len(found) - _TOLD} more' if len(found) > _TOLD else ''
    return '; '.join(found[:_TOLD]) + more


def read(folder: Path) -> Record | None:
    """The record that a folder keeps; ``None`` where it keeps none.

    Raises:
        InputError: it is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    record = parse_json(read_bytes(path), str(path))
    if not isinstance(record, dict):
        raise InputError(f'{path}: is not a record of what shaped the folder; delete the folder')
    return record


def check(folder: Path, now: Record, advice: str) -> None:
    """Refuse to use again what is in a folder of another record.

    Args:
        folder: holds something.
        now: of what is about to go on or to be used again; of a part of it, only that part is compared.
        advice: what to do.

    Raises:
        InputError: the records differ, or the folder keeps none.
    """
    kept = read(folder)
    if kept is None:
        raise InputError(f'{folder}: nothing in it says what shaped it, an older version or another program wrote it; '
                         f'{advice}')
    refuse_differences(str(folder), {name: value for name, value in kept.items() if name in flat(now)}, now, advice)


def refuse_differences(where: str, kept: Record, now: Record, advice: str) -> None:
    """
    Raises:
        InputError: the records differ; in one line that says in what.
    """
    if found := differences(kept, now):
        raise InputError(f'{where}: was made with other options, data or code: {listed(found)}; {advice}')


def keep(folder: Path, now: Record) -> None:
    """Write the record, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FILE, json.dumps(flat(now), indent=1) + '\n', advice=None)
