"""Answers from outside in whatever layout: the harness's own two, or the originals' result files."""
from __future__ import annotations

from pathlib import Path

from adapters.originals.results import is_results, read_results
from harness.data.answers import Answers, read_answers
from harness.data.files import read_bytes


def read_predictions(path: Path) -> list[Answers]:
    """The answers in a file, a set for each rule and grounder.

    Raises:
        InputError: as :func:`harness.data.answers.read_answers` and :func:`adapters.originals.results.read_results`.
    """
    return [read_results(path)] if is_results(read_bytes(path)) else read_answers(path)
