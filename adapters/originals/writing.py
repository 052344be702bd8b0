"""Files of the originals' layouts, written completely or not at all."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.files.writing import ANOTHER_OUT, replacing


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside, then rename; folders are made.

    Raises:
        InputError: it cannot be written (a full disk, no permission).
    """
    with replacing(path, ANOTHER_OUT) as beside:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write a value as one line of JSON, like the ``json.dump`` of the originals, by :func:`write_bytes`."""
    write_bytes(path, json.dumps(value).encode())
