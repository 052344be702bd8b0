"""Which of its two forms a file of candidates has, told from its first character."""
from __future__ import annotations

from pathlib import Path

from harness.files.reading import read_bytes


def is_detection_results(path: Path) -> bool:
    """Whether a file is a JSON list, as COCO's detection results are; boxes without categories are a JSON object.

    Raises:
        InputError: the file cannot be read.
    """
    return read_bytes(path).lstrip()[:1] == b'['
