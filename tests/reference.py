"""Where the parity tests find the reference vectors: inputs and outputs of the originals' own code."""
import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
#: ``REFERENCE_VECTORS`` alone where it is set; else the small files of this repository, then a folder beside it.
FOLDERS = ([Path(os.environ['REFERENCE_VECTORS'])] if os.environ.get('REFERENCE_VECTORS') else
           [TESTS / 'data' / 'reference', TESTS.parent.parent / 'shared' / 'reference'])


def vector_file(name: str) -> Path:
    """The file of that name; the module is skipped, with the reason, where no folder can have it."""
    for folder in FOLDERS:
        if (folder / name).exists():
            return folder / name
    if len(FOLDERS) == 1 and FOLDERS[0].is_dir():
        raise FileNotFoundError(FOLDERS[0] / name)
    pytest.skip(f'{name} is in none of {", ".join(map(str, FOLDERS))} (set REFERENCE_VECTORS)', allow_module_level=True)
