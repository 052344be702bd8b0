"""Names that people type: found, or refused with the nearest known one."""
from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from harness.errors import InputError
from harness.program import as_called


def pick(option: str, given: Sequence[str] | None, known: Iterable[str], default: Sequence[str]) -> list[str]:
    """The names that an option means, in the order given, each once.

    Args:
        option: as typed, for the message.
        given: values as typed, each maybe comma-separated; ``None``: the default; ``all``: every known one.
        known: every name there is.
        default: what the option means when it is not given.

    Raises:
        InputError: a name is unknown, or there is none.
    """
    if given is None:
        return list(default)
    names = list(known)
    wanted = [name.strip() for value in given for name in value.split(',') if name.strip()]
    if given and not wanted:
        raise InputError(f'{option}: names nothing; known are {", ".join(names)}')
    for name in wanted:
        if name not in names and name != 'all':
            raise InputError(f'{option} {name}: unknown{nearest(name, names)}; known are {", ".join(names)}')
    return names if 'all' in wanted else list(dict.fromkeys(wanted))


def plain(text: str) -> str:
    """A docstring as people read it: without the marks around code."""
    return text.replace('``', '')


def at_least(least: int) -> Callable[[str], int]:
    """What makes a whole number of what somebody types, for ``add_argument(type=…)``."""
    def number(text: str) -> int:
        if not text.strip().lstrip('-').isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f'{text}: must be a whole number of at least {least}')
        return int(text)
    return number


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the options in one line, without the usage, and with the nearest option.

    Args:
        prog, description, epilog: as usual; ``run_benchmark.py`` in them gives way to how that was called.
    """

    def __init__(self, *, prog: str | None = None, description: str | None = None, epilog: str | None = None,
                 **options: Any) -> None:
        super().__init__(prog=as_called(prog), description=as_called(description), epilog=as_called(epilog), **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        for argument in args or ():
            if '\0' in argument:
                raise InputError(f'{ascii(argument)[1:-1]}: holds a NUL, which no file and no name has')
        return super().parse_known_args(args, namespace)

    def format_help(self) -> str:
        return plain(super().format_help())

    def error(self, message: str) -> NoReturn:
        wrong = message.partition('unrecognized arguments: ')[2].split(' ')[0].split('=')[0]
        options = [option for action in self._actions for option in action.option_strings]
        raise InputError(f'{message}{nearest(wrong, options) if wrong else ""}; see --help')


def nearest(name: str, known: Iterable[str]) -> str:
    """``', did you mean X?'`` or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f', did you mean {close[0]}?' if close else ''
