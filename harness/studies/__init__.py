"""``run_benchmark.py study NAME …``: questions that need many runs or rules, each with its table.

A study is a module of this package with ``main(argv) -> int``, found by its name.
"""
from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from types import ModuleType

from harness.errors import InputError
from harness.names import nearest
from harness.program import program


def main(argv: Sequence[str]) -> int:
    """Run one study.

    Raises:
        InputError: there is none of that name, or what the study refuses.
    """
    if not argv or argv[0] in ('-h', '--help'):
        print(usage())
        return 0 if argv else 2
    studies = found()
    if argv[0] not in studies:
        raise InputError(f'study {argv[0]}: there is no such study{nearest(argv[0], studies)}; '
                         f'known are {", ".join(studies)}')
    run: Callable[[Sequence[str]], int] = studies[argv[0]].main
    return run(argv[1:])


def found() -> dict[str, ModuleType]:
    """The modules of the studies, by name."""
    modules = {m.name: importlib.import_module(f'{__name__}.{m.name}') for m in pkgutil.iter_modules(__path__)}
    return {name: module for name, module in modules.items() if hasattr(module, 'main')}


def usage() -> str:
    """What ``--help`` prints: each study with what the first line of its module says of it."""
    studies = {name: (module.__doc__ or '').split('\n')[0].partition(': ')[2] for name, module in found().items()}
    width = max(map(len, studies))
    return '\n'.join([f'usage: {program()} study NAME …', '',
                      *(f'  {name:<{width}}  {what}' for name, what in studies.items()), '',
                      f'{program()} study NAME --help says more.'])
