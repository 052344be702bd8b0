"""Pictures that somebody loads into the page: PNG or JPEG, bounded, read once and then deleted."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.detection.pictures import read_image
from harness.errors import InputError
from harness.files.image_header import MAX_PIXELS

#: The largest file, in bytes.
MAX_BYTES = 10 << 20
#: How a file of each form begins.
SIGNATURES = {'PNG': b'\x89PNG\r\n\x1a\n', 'JPEG': b'\xff\xd8\xff'}


def take_upload(path: Path, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """``(H, W, 3)`` uint8 BGR of a loaded file, which is deleted, whether it can be read or not.

    Raises:
        InputError: it is too large, no PNG or JPEG by its content, or not readable; the message has the file's name
            alone, since its folder is the server's.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise InputError(f'{path.name}: has {size / (1 << 20):.1f} MB, over the limit of {max_bytes >> 20}; scale '
                             'it down')
        with path.open('rb') as file:
            begins = file.read(8)
        if not any(begins.startswith(signature) for signature in SIGNATURES.values()):
            raise InputError(f'{path.name}: is no {" or ".join(SIGNATURES)}; save it as one of them')
        return read_image(path, max_pixels)
    except InputError as error:
        raise InputError(str(error).replace(str(path), path.name)) from None
    finally:
        path.unlink(missing_ok=True)
