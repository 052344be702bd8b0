"""A user's own Python files (``--import FILE.py``): run for what they register, and named where they fail."""
from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness.errors import InputError
from harness.files.reading import require_regular

#: What the modules of a user's own files are called by.
IMPORTED = 'imported_'


def import_plugins(files: Sequence[Path]) -> None:
    """Let a user's own files register their grounders, rules, metrics and detectors."""
    for file in files:
        import_file(file)


def import_file(file: Path) -> None:
    """Run a user's own Python file, for what it registers."""
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
    """Where in a user's own file an exception came up, and what it says; ``None`` where none of them took part."""
    lines = [f'{frame.f_code.co_filename}:{number}' for frame, number in traceback.walk_tb(error.__traceback__)
             if str(frame.f_globals.get('__name__')).startswith(IMPORTED)]
    return f'{lines[-1]}: {said(error)}; fix the file' if lines else None


def said(error: Exception) -> str:
    """An exception on one line."""
    return str(error) if isinstance(error, InputError) else f'{type(error).__name__}: {" ".join(str(error).split())}'
