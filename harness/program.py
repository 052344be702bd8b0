"""How the command line is called, so that what it prints can be typed as it stands."""
from __future__ import annotations

import sys
from pathlib import Path

SCRIPT, CONSOLE = 'run_benchmark.py', 'ref-nms-benchmark'
#: Whether this is a checkout, not an installed package.
CHECKOUT = (Path(__file__).parents[1] / 'pyproject.toml').is_file()


def program() -> str:
    """What stands before an option or a subcommand: the way this process was called, else the way that works here."""
    called = Path(sys.argv[0])
    if called.name == SCRIPT:
        return f'python {called}'
    return CONSOLE if called.stem == CONSOLE or not CHECKOUT else f'python {SCRIPT}'


def as_called(text: str | None) -> str | None:
    """A text that names ``run_benchmark.py``, with what has to be typed in the place of it."""
    return text and text.replace(f'python {SCRIPT}', SCRIPT).replace(SCRIPT, program())


def how_to_restore(path: Path) -> str:
    """What to do about a file of the project that is not as it should be."""
    return f'git checkout -- {path}' if CHECKOUT else 'installing the package again'
