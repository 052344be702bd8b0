"""Which of its forms a file of candidates has, told from its beginning."""
from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from harness.data.excerpt import is_excerpt
from harness.files.reading import GZIP_MAGIC, require_file

#: Bytes in which the first record names its fields.
_BEGINNING = 1 << 16


def is_detection_results(path: Path) -> bool:
    """Whether a file holds COCO's detection results: a JSON list like an excerpt, but of single boxes.

    Raises:
        InputError: there is no such file.
    """
    require_file(path)
    try:
        with path.open('rb') as file:
            packed = file.read(2) == GZIP_MAGIC
        with (gzip.open if packed else open)(path, 'rb') as file:
            beginning = file.read(_BEGINNING)
    except (OSError, EOFError, zlib.error):  # what is wrong is said by whoever reads all of it
        return False
    return is_excerpt(beginning) and b'"bbox"' in beginning and b'"pred_boxes"' not in beginning
