"""How the command line is called, so that what it prints can be typed as it stands."""
from __future__ import annotations

import sys
from pathlib import Path

SCRIPT, CONSOLE = 'run_benchmark.py', 'ref-nms-benchmark'
_CHECKOUT = (Path(__file__).parents[1] / 'pyproject.toml').is_file()


def program() -> str:
    """What stands before an option or a subcommand: the way this process was called, else the way that works here."""
    called = Path(sys.argv[0])
    if called.name == SCRIPT:
        return f'python {called}'
    return CONSOLE if called.stem == CONSOLE or not _CHECKOUT else f'python {SCRIPT}'
