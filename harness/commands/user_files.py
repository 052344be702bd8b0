"""A user's own Python files (``--import FILE.py``), which are run to register plug-ins."""
from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness.errors import InputError
from harness.files.reading import require_regular

#: The prefix of the module names of a user's own files.
IMPORTED = 'imported_'


def check_files(files: Sequence[Path]) -> None:
    """Refuse a file that is not there, before libraries that take seconds are loaded for it.

    Raises:
        InputError: there is no such file.
    """
    for file in files:
        require_regular(file)
        if not file.is_file() or file.suffix != '.py':
            raise InputError(f'--import {file}: there is no such Python file; check the path, which ends in .py')


def import_plugins(files: Sequence[Path]) -> None:
    """Run a user's own files, which register grounders, rules, metrics and detectors."""
    for file in files:
        import_file(file)


def import_file(file: Path) -> None:
    """Run one of a user's own files."""
    require_regular(file)
    spec = importlib.util.spec_from_file_location(f'{IMPORTED}{file.stem}', file)
    if spec is None or spec.loader is None or not file.is_file():
        raise InputError(f'--import {file}: there is no such Python file')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(user_code_error(error) or f'--import {file}: {said(error)}; fix the file') from error


def user_code_error(error: Exception) -> str | None:
    """The place in a user's own file where an exception was raised, and its message; ``None`` if it has none."""
    lines = [f'{frame.f_code.co_filename}:{number}' for frame, number in traceback.walk_tb(error.__traceback__)
             if str(frame.f_globals.get('__name__')).startswith(IMPORTED)]
    return f'{lines[-1]}: {said(error)}; fix the file' if lines else None


def said(error: Exception) -> str:
    """An exception on one line."""
    return str(error) if isinstance(error, InputError) else f'{type(error).__name__}: {" ".join(str(error).split())}'
