"""``run_benchmark.py study NAME …``: questions that need many runs or rules, each with its table.

A study is a module of this package with ``main(argv) -> int``; its options are in :mod:`harness.studies.parsers`.
"""
from __future__ import annotations

import importlib
from collections.abc import Sequence

from harness.errors import InputError
from harness.loading import loading
from harness.names import nearest
from harness.program import program
from harness.studies.checks import CHECKS
from harness.studies.parsers import PARSERS, STUDIES


def main(argv: Sequence[str]) -> int:
    """Run one study.

    Raises:
        InputError: there is none of that name, or what the study refuses.
    """
    if not argv or argv[0] in ('-h', '--help'):
        print(usage())
        return 0 if argv else 2
    name, *options = argv
    if name not in STUDIES:
        raise InputError(f'study {name}: there is no such study{nearest(name, STUDIES)}; '
                         f'known are {", ".join(STUDIES)}')
    CHECKS[name](PARSERS[name]().parse_args(options))
    loading()
    code: int = importlib.import_module(f'{__name__}.{name}').main(options)
    return code


def usage() -> str:
    """What ``--help`` prints: what each study asks."""
    width = max(map(len, STUDIES))
    return '\n'.join([f'usage: {program()} study NAME …', '',
                      *(f'  {name:<{width}}  {what}' for name, what in STUDIES.items()), '',
                      f'{program()} study NAME --help says more.'])
