"""How what goes wrong is told: one line and an exit code."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable


class InputError(Exception):
    """Bad input from outside: the message says which file or option, what is wrong and what to do, in one line."""


def exit_code(work: Callable[[], int], interrupted: str, mend: str) -> int:
    """What ``work`` returns; 2 for bad input or a file system that refuses, 130 for Ctrl-C, each with one line.

    Args:
        work: a command.
        interrupted: what a Ctrl-C leaves.
        mend: what to do about a file that can't be read or written.
    """
    try:
        code = work()
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains once more at exit
        return 0
    except OSError as error:
        print(f'error: {error.filename or "disk"}: {error.strerror}; {mend}', file=sys.stderr)
        return 2
