"""The benchmark from Python: ``from harness import load_data, load_dataset, read_predictions, read_results, run``.

The functions are those of :mod:`harness.api`, which is imported at the first use of one of them: importing a module of
the core loads nothing else (PEP 562).
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import Results, load_data, load_dataset, read_predictions, read_results, run

__all__ = ['Results', 'load_data', 'load_dataset', 'read_predictions', 'read_results', 'run']


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module('harness.api'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
