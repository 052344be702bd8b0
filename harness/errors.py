"""How what goes wrong is told: one line and an exit code.

Another Python than 3.11 to 3.13 and one without the packages get as far as here, so that they too are told what to do.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Callable

from harness.program import CHECKOUT

#: The first and the last Python that are tried.
PYTHON = (3, 11), (3, 13)
#: What is kept of a word without a blank, a path or what somebody typed, and of a whole line: their beginning and end.
_WORD, _LINE = (160, 90), (420, 200)
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
    if not PYTHON[0] <= sys.version_info[:2] <= PYTHON[1]:
        return _failed(f'this is Python {sys.version.split()[0]} and one of 3.11 to 3.13 is needed; {INSTALL}')
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
    """Text of one short line: what cannot be printed, line ends among it, is spelt out, and what is long is cut in its
    middle, so that of an endless value a path before it and the advice behind it are still read."""
    printed = ''.join(c if c.isprintable() else c.encode('unicode_escape').decode('ascii') for c in text)
    return _cut(' '.join(_cut(word, *_WORD) for word in printed.split(' ')), *_LINE)


def shown(text: str) -> str:
    """The beginning of a file's own words, printable."""
    return text[:120] if text.isprintable() else ascii(text[:120])


def _cut(text: str, beginning: int, end: int) -> str:
    """``text`` without its middle where that is much."""
    return text if len(text) <= beginning + end else f'{text[:beginning]}…{text[-end:]}'


def _failed(message: str) -> int:
    print(f'error: {one_line(message)}', file=sys.stderr)
    return 2
