"""How what goes wrong is told: one line and an exit code.

Python before 3.11 and one without the packages get as far as here, so that they too are told what to do.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Callable

from harness.program import CHECKOUT

PYTHON = (3, 11)
INSTALL = ('install with "make install" and run it by .venv/bin/python' if CHECKOUT
           else 'install the package, with what it depends on, for that one')


class InputError(Exception):
    """Bad input from outside: the message says which file or option, what is wrong and what to do, in one line."""


def exit_code(work: Callable[[], int], interrupted: str, fix: str) -> int:
    """What ``work`` returns; 2 for bad input or a file system that refuses, 130 for Ctrl-C, each with one line.

    Args:
        work: a command.
        interrupted: what a Ctrl-C leaves.
        fix: what to do about a file that can't be read or written.
    """
    if sys.version_info[:2] != PYTHON:
        return _failed(f'this is Python {sys.version.split()[0]} and 3.11 is needed; {INSTALL}')
    try:
        code = work()
        sys.stdout.flush()
        return code
    except InputError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else Python complains once more at exit
        return 0
    except OSError as error:
        return _failed(f'{error.filename or "disk"}: {error.strerror}; {fix}')
    except ModuleNotFoundError as error:
        return _failed(f'{sys.executable} has no {error.name}; {INSTALL}')


def one_line(text: str) -> str:
    """Text in which what cannot be printed, line ends among it, is spelt out."""
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode('ascii') for c in text)


def _failed(message: str) -> int:
    print(f'error: {one_line(message)}', file=sys.stderr)
    return 2
