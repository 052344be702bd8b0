"""``python -m harness.embedded build | stats | sheet``: make the embedded benchmark, measure it, look at it."""
from __future__ import annotations

import importlib
import sys

from harness.errors import InputError, exit_code
from harness.names import nearest

COMMANDS = {'build': 'harness.embedded.build', 'stats': 'harness.embedded.stats',
            'sheet': 'harness.embedded.contact_sheet', 'rehearsal': 'harness.embedded.rehearsal'}
USAGE = """usage: python -m harness.embedded COMMAND [options]

  build       draw the embedded benchmark into the cache, where it is missing
  stats       tables of its expressions, beside the real ones if their file is given
  sheet       contact sheets of its images
  rehearsal   write it in the layout of RefCOCO, RefCOCO+ and RefCOCOg on disk

COMMAND --help lists the options of a command."""


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code.

    Raises:
        InputError: there is no such command, or what the command refuses.
    """
    command, *options = arguments or ['--help']
    if command in ('-h', '--help'):
        print(USAGE)
        return 0
    if command not in COMMANDS:
        raise InputError(f'{command}: there is no such command of harness.embedded{nearest(command, COMMANDS)}; '
                         f'the commands are {", ".join(COMMANDS)}')
    importlib.import_module(COMMANDS[command]).main(options)
    return 0


def command_line(arguments: list[str]) -> int:
    """Run, and turn what goes wrong into one line and an exit code: 2 for bad input, 130 for Ctrl-C."""
    return exit_code(lambda: main(arguments), 'interrupted', 'check the path, its permissions and free space')


if __name__ == '__main__':
    sys.exit(command_line(sys.argv[1:]))
