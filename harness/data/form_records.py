"""The records of a file of data, each held against the fields that its form has."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import fields
from harness.files.json_stream import records

#: Why REC is not defined for a row.
NO_TARGET, SEVERAL_TARGETS = 'no target', 'several targets'


def records_of(path: Path, layout: str, names: Sequence[str], form: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The records of a list or of lines, each with its place for messages.

    Args:
        path: JSON, also packed by gzip.
        layout: ``'list'`` or ``'lines'``.
        names: the fields that every record of the form has.
        form: its name.

    Raises:
        InputError: the file cannot be read, or a record is of another form.
    """
    for where, record in records(path, layout):
        yield where, of_form(record, names, where, form)


def of_form(record: Any, names: Sequence[str], where: str, form: str) -> Mapping[str, Any]:
    """A record that has the fields of its form.

    Raises:
        InputError: it is none, or lacks one; a file holds records of one form.
    """
    wanted = f'the form {form} has {", ".join(names)}'
    if not isinstance(record, Mapping):
        raise InputError(f'{where}: must be a record, not {fields.kind(record)}; {wanted}')
    missing = [name for name in names if name not in record]
    if missing:
        raise InputError(f'{where}: has no {missing[0]!r}; {wanted}, and a file holds one form')
    return record


def undefined_with(targets: int) -> str | None:
    """Why REC is not defined for a sentence with so many targets; ``None`` where it is."""
    return None if targets == 1 else SEVERAL_TARGETS if targets else NO_TARGET


def optional_id(record: Mapping[str, Any], key: str, where: str) -> int | None:
    """An id, ``None`` where the record has none."""
    return None if record.get(key) is None else fields.integer(record, key, where)
