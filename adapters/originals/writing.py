"""Files of the originals' layouts, there whole or not at all."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.files.writing import ANOTHER_OUT, replacing


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside, then rename; folders are made.

    Raises:
        InputError: it can't be written (a full disk, no permission).
    """
    with replacing(path, ANOTHER_OUT) as beside:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """:func:`write_bytes` of a value in one line of JSON, as the originals' ``json.dump`` writes it."""
    write_bytes(path, json.dumps(value).encode())
