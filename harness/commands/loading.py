"""Importing what takes seconds, and saying so: nobody looks at a silent terminal."""
from __future__ import annotations

import importlib
import sys


def loading() -> None:
    """Import what takes seconds, and say so."""
    for what, module in (('torch', 'torch'), ('mmdet', 'mmdet.registry'), ('spaCy', 'spacy')):
        if module not in sys.modules:
            print(f'loading {what} …', file=sys.stderr, flush=True)
            importlib.import_module(module)
