"""Importing what takes seconds, and saying so: nobody looks at a silent terminal."""
from __future__ import annotations

import importlib
import sys

#: What takes seconds, and a module of it.
SLOW = {'torch': 'torch', 'mmdet': 'mmdet.registry', 'spaCy': 'spacy'}


def loading(*libraries: str) -> None:
    """Import libraries of :data:`SLOW`, all of them where none is named, and say so.

    A command calls this once its options have been read, so that help and what is refused come at once.
    """
    for what in libraries or SLOW:
        if SLOW[what] not in sys.modules:
            print(f'loading {what} …', file=sys.stderr, flush=True)
            importlib.import_module(SLOW[what])
