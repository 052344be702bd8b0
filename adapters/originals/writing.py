"""Files that are there whole or not at all."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from harness.errors import InputError


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside, then rename; folders are made.

    Raises:
        InputError: it can't be written (a full disk, no permission).
    """
    beside = path.with_name(path.name + '.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(data)
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written ({error.strerror}); free some space or choose another --out') \
            from None


def write_json(path: Path, value: Any) -> None:
    """:func:`write_bytes` of a value in one line of JSON, as the originals' ``json.dump`` writes it."""
    write_bytes(path, json.dumps(value).encode())
