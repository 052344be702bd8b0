"""Decoding image files into the pixels that a detector sees, the way that matches what is on record of them."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from harness.data.image_files import not_found
from harness.files.image_header import MAX_PIXELS, NOT_READABLE, OTHER_SIZE, Unusable, read_header
from harness.types import ImageInfo

#: What photographs with an EXIF orientation are counted as.
TURNED = 'images turned as their EXIF orientation says'
AS_STORED = 'images not turned as their EXIF orientation says, because their record has the size before turning'
_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


class Picture(NamedTuple):
    """``(H, W, 3)`` uint8 BGR, and what was done about the EXIF orientation: one of the above, or nothing."""

    pixels: np.ndarray
    orientation: str | None


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """``(H, W, 3)`` uint8 BGR, turned as EXIF says.

    Raises:
        Unusable: the file is not there, cannot be decoded or has too many pixels.
    """
    return read_picture(path, None, max_pixels).pixels


def read_recorded(info: ImageInfo, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture of a record, which has the recorded size (0 by 0: of any size).

    Raises:
        Unusable: it is not there, cannot be decoded, has another size or too many pixels.
    """
    if info.path is None or not os.path.exists(info.path):
        raise Unusable(NOT_READABLE, not_found(info))
    return read_picture(info.path, (info.height, info.width) if info.height else None, max_pixels)


def read_picture(path: Path, size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> Picture:
    """A picture of a recorded height and width.

    A photograph with an EXIF orientation is turned as that says, as viewers and OpenCV do; where only the picture as it
    is stored has the recorded size, the annotations were made on that, and it is not turned.

    Args:
        path: the file.
        size: recorded height and width; ``None``: any.
        max_pixels: it is not decoded if it has more.

    Raises:
        Unusable: the file is not there, cannot be decoded, has another size or too many pixels.
    """
    header = read_header(path, max_pixels)
    if size is not None and not header.can_be(size):
        raise _contradicts(path, (header.height, header.width), size)
    data = np.fromfile(path, np.uint8)
    pixels, stored = _decoded(data, cv2.IMREAD_COLOR), None
    if header.orientation != 1:
        stored = _decoded(data, _STORED)
    if pixels is None:
        raise Unusable(NOT_READABLE, f'{path}: not a readable image; replace the file')
    if size in (None, pixels.shape[:2]):
        return Picture(pixels, None if stored is None or np.array_equal(pixels, stored) else TURNED)
    if stored is not None and stored.shape[:2] == size:
        return Picture(stored, AS_STORED)
    raise _contradicts(path, pixels.shape[:2], size)


def _contradicts(path: Path, has: tuple[int, ...], size: tuple[int, int]) -> Unusable:
    return Unusable(OTHER_SIZE, f'{path}: has {has[1]} × {has[0]} pixels, its record says {size[1]} × {size[0]}; '
                                'give the images that the annotations were made on')


def _decoded(data: np.ndarray, how: int) -> np.ndarray | None:
    try:
        with _quiet():
            return cv2.imdecode(data, how)
    except cv2.error:
        return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what decoders write to standard error, past Python, from the user: what is wrong is said by us, once."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
