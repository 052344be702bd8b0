"""``python -m harness.embedded build | stats | sheet``: make the embedded benchmark, measure it, look at it."""
from __future__ import annotations

import sys

from harness.errors import InputError

USAGE = """usage: python -m harness.embedded COMMAND [options]

  build   draw the embedded benchmark into the cache, where it is missing
  stats   tables of its expressions, beside the real ones if their file is given
  sheet   contact sheets of its images

COMMAND --help tells each one's options."""


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    command, *options = arguments or ['--help']
    try:
        if command == 'build':
            from harness.embedded.build import main as run
        elif command == 'stats':
            from harness.embedded.stats import main as run
        elif command == 'sheet':
            from harness.embedded.contact_sheet import main as run
        elif command in ('-h', '--help'):
            print(USAGE)
            return 0
        else:
            raise InputError(f'{command!r} is no command of harness.embedded; use build, stats or sheet')
        run(options)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
