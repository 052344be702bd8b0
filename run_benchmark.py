#!/usr/bin/env python
"""The command line: dispatches to the modules of :mod:`harness.commands`."""
from __future__ import annotations

import importlib
import os
import sys
import warnings

# Before torch is imported. Threads that wait by spinning without end take the processors from each other where there is
# other work too: a few times as slow here. A short spin costs next to nothing on an idle machine.
os.environ.setdefault('GOMP_SPINCOUNT', '20000')
warnings.filterwarnings('ignore', category=UserWarning)
warnings.filterwarnings('ignore', category=FutureWarning)

from harness.commands import COMMANDS, run  # noqa: E402 (the filters silence the libraries that are imported below)
from harness.commands.user_files import user_code_error  # noqa: E402
from harness.errors import InputError, exit_code  # noqa: E402
from harness.names import nearest  # noqa: E402


def main(argv: list[str]) -> int:
    """Run a command, or without one the benchmark."""
    if not argv or argv[0].startswith('-'):
        return run.main(argv)
    name, *options = argv
    if name not in COMMANDS:
        raise InputError(f'{name}: there is no such command{nearest(name, COMMANDS)}; known are {", ".join(COMMANDS)}; '
                         'see --help')
    code: int = importlib.import_module(COMMANDS[name][0]).main(options)
    return code


def command_line(argv: list[str]) -> int:
    """Run, and turn what goes wrong into one line and an exit code: 2 for bad input, 130 for Ctrl-C."""
    return exit_code(lambda: blaming(argv), 'interrupted: the rows written so far are kept',
                     'free some space or check permissions')


def blaming(argv: list[str]) -> int:
    """Run; what comes up in a user's own file is bad input like any other."""
    try:
        return main(argv)
    except (InputError, OSError):
        raise
    except Exception as error:
        fault = user_code_error(error)
        if fault is None:
            raise
        raise InputError(fault) from error


def console() -> int:
    """``ref-nms-benchmark``, the command of an installed package."""
    return command_line(sys.argv[1:])


if __name__ == '__main__':
    sys.exit(console())
