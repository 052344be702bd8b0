"""The two sides of a comparison as typed: ``PATH``, ``PATH:RULE`` or ``PATH:RULE:GROUNDER``."""
from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.data.run_files import predictions_file
from harness.errors import InputError


class NamedSide(NamedTuple):
    """One of the two: as typed, its file, and the rule and grounder it names."""

    text: str
    path: Path
    rule: str | None
    grounder: str | None


def named_sides(a: str, b: str) -> tuple[NamedSide, NamedSide]:
    """A and B; B without a path is in A's file.

    Raises:
        InputError: A begins with no path, or a path is not there.
    """
    (path_a, *names_a), (path_b, *names_b) = _parts(a), _parts(b)
    if path_a is None:
        raise InputError(f'{a}: begin with a path, as RUN:RULE; only B may leave it out')
    return (NamedSide(a, predictions_file(path_a), *names_a),
            NamedSide(b, predictions_file(path_b or path_a), *names_b))


def _parts(text: str) -> tuple[Path | None, str | None, str | None]:
    """Path, rule and grounder of ``PATH:RULE:GROUNDER``; a path may have colons of its own."""
    pieces = text.split(':')
    cut = next((cut for cut in range(len(pieces), max(0, len(pieces) - 3), -1)
                if not any(pieces[:cut]) or Path(':'.join(pieces[:cut])).exists()), 1)
    path = ':'.join(pieces[:cut])
    rule, grounder = [*(name or None for name in pieces[cut:]), None, None][:2]
    return Path(path) if path else None, rule, grounder
