"""``python -m reports COMMAND …``: what can be made of result files."""
from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from harness.errors import InputError, exit_code
from harness.names import nearest

#: Each a module with ``main(argv) -> int``, imported only when it is asked for, and what it does.
COMMANDS = {
    'published': ('reports.commands.published', 'the paper\'s numbers and the originals\''),
    'tables': ('reports.commands.tables', 'tables of measured results, --like paper beside the published numbers'),
    'compare': ('reports.commands.compare', 'is one run or rule better than another? paired, with intervals'),
    'conventions': ('reports.commands.conventions', 'how would it count elsewhere? one file by every rule in use'),
    'failures': ('reports.commands.failures', 'where each wrong expression was lost'),
    'headroom': ('reports.commands.headroom', 'where the points are, and what mending each step would bring'),
    'reviews': ('reports.commands.reviews', 'every metric without the labels that reviewers marked as faulty'),
    'check': ('reports.commands.check', 'have results moved from a baseline? for CI'),
    'html': ('reports.commands.html', 'one page to look at, with everything in it'),
}


def usage() -> str:
    """What ``--help`` prints."""
    width = max(map(len, COMMANDS))
    return '\n'.join(['usage: python -m reports COMMAND …', '',
                      *(f'  {name:<{width}}  {what}' for name, (_, what) in COMMANDS.items()), '',
                      'python -m reports COMMAND --help says more.'])


def main(argv: Sequence[str]) -> int:
    """Run one command.

    Raises:
        InputError: there is no such command, or what the command refuses.
    """
    if not argv or argv[0] in ('-h', '--help'):
        print(usage())
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        raise InputError(f'{argv[0]}: no such report{nearest(argv[0], COMMANDS)}; known are {", ".join(COMMANDS)}')
    return importlib.import_module(COMMANDS[argv[0]][0]).main(argv[1:])


def command_line(argv: Sequence[str]) -> int:
    """Run, and turn what goes wrong into one line and an exit code: 2 for bad input, 130 for Ctrl-C."""
    return exit_code(lambda: main(argv), 'interrupted', 'check the path, its permissions and free space')


if __name__ == '__main__':
    sys.exit(command_line(sys.argv[1:]))
