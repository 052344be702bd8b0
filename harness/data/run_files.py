"""The files of a run, found by its folder before anything is read."""
from __future__ import annotations

from pathlib import Path

from harness.files.reading import require_file


def results_file(path: Path) -> Path:
    """``results.json`` of a run's folder, or the file itself.

    Raises:
        InputError: there is none.
    """
    return _file(path, 'results.json')


def predictions_file(path: Path) -> Path:
    """``predictions.jsonl`` of a run's folder, or the file itself.

    Raises:
        InputError: there is none.
    """
    return _file(path, 'predictions.jsonl')


def _file(path: Path, name: str) -> Path:
    file = path / name if path.is_dir() else path
    require_file(file, f'give a run\'s folder or its {name}')
    return file
