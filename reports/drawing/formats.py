"""The option ``--format``: the names of what :mod:`reports.drawing.rendering` writes, known without importing it."""
from __future__ import annotations

import argparse

FORMATS = ('markdown', 'latex', 'csv', 'json', 'terminal')
#: What else the formats are called by.
SHORT = {'md': 'markdown', 'tex': 'latex'}


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add ``--format`` to a command that prints tables."""
    parser.add_argument('--format', type=lambda name: SHORT.get(name, name), choices=FORMATS, default=None,
                        help='default: terminal in a terminal, else markdown')
