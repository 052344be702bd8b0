"""Imports every module of the project, and so compiles what it imports; ends with one line where that fails."""
from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

#: mmdet's configs lie in no package, and a ``__main__`` is run rather than imported.
ROOMS = ('harness', 'adapters', 'grounders', 'reports')


def import_everything() -> None:
    for room in ROOMS:
        for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f'{room}.'):
            if not module.name.endswith('.__main__'):
                importlib.import_module(module.name)


if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).parents[1]))
    try:
        import_everything()
    except ImportError as error:
        sys.exit(f'error: what is installed cannot be imported: {error}; remove .venv and install again')
