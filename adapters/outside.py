"""Answers from outside in whatever layout: the harness's own two, or the originals' result files."""
from __future__ import annotations

from pathlib import Path

from harness.data.answers import Answers, read_answers


def read_predictions(path: Path) -> list[Answers]:
    """The answers in a file; see :mod:`harness.data.answers`."""
    return read_answers(path)
