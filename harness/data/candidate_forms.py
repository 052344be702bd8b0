"""Which of its forms a file of candidates has, told before anything large is imported or parsed."""
from __future__ import annotations

from pathlib import Path

from harness.data.excerpt import is_excerpt
from harness.files.reading import read_bytes


def is_detection_results(path: Path) -> bool:
    """Whether a file holds COCO's detection results: a JSON list like an excerpt, but of single boxes.

    Raises:
        InputError: the file cannot be read.
    """
    data = read_bytes(path)
    return is_excerpt(data) and b'"bbox"' in data and b'"pred_boxes"' not in data
