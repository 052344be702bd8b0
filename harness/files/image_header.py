"""What an image file says of itself before it is decoded: its size, and how its camera was held (EXIF)."""
from __future__ import annotations

import stat
import warnings
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from harness.errors import InputError

#: Larger pictures are left out unless the user allows them.
MAX_PIXELS = 50_000_000
#: What images that a run leaves out are counted as.
NOT_READABLE = 'images that are not there or cannot be decoded'
OTHER_SIZE = 'images of another size than their record'
TOO_LARGE = 'images of more pixels than --max-pixels allows'

_FORMATS = ('JPEG', 'PNG', 'BMP', 'GIF', 'PPM', 'TIFF', 'WEBP', 'JPEG2000')
_ORIENTATION = 0x0112
_ON_ITS_SIDE = range(5, 9)
_BYTES_A_PIXEL, _BYTES_OF_METADATA = 16, 64 << 20


class Unusable(InputError):
    """An image that can't be used; ``kind`` is what such images are counted as."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Header(NamedTuple):
    """Height and width in pixels as stored, and EXIF's orientation, 1 to 8; 1 is upright."""

    height: int
    width: int
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width after turning."""
        return (self.width, self.height) if self.orientation in _ON_ITS_SIDE else (self.height, self.width)

    def can_be(self, size: tuple[int, int]) -> bool:
        """Whether the picture has this height and width, as it is stored or turned as its orientation says."""
        return size in ((self.height, self.width), self.upright)


def read_header(path: Path, max_pixels: int = MAX_PIXELS) -> Header:
    """The header of an image file; its pixels are not decoded.

    Raises:
        Unusable: it is not there, no regular file, no image, or larger than ``max_pixels``.
    """
    size = _file_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # large pictures, odd metadata
            with Image.open(path, formats=_FORMATS) as image:
                header = Header(image.height, image.width, _orientation(image))
    except Image.DecompressionBombError:
        raise Unusable(TOO_LARGE, f'{path}: has more pixels than any photograph; scale it down') from None
    except Exception:  # a stranger's bytes: whatever a parser stumbles over, it is no image
        raise Unusable(NOT_READABLE, f'{path}: not a readable image; replace the file') from None
    pixels = header.height * header.width
    if pixels > max_pixels:
        raise Unusable(TOO_LARGE, f'{path}: has {header.width} × {header.height} pixels, over the limit of '
                                  f'{max_pixels} (--max-pixels of a run); scale it down')
    if size > _BYTES_A_PIXEL * pixels + _BYTES_OF_METADATA:
        raise Unusable(NOT_READABLE, f'{path}: is far larger than its picture; replace the file')
    return header


def turned(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    """A picture as a run reads it: turned as EXIF says, unless only the stored picture has its recorded size.

    Args:
        image: from ``Image.open``, not yet scaled.
        size: recorded height and width, ``None`` where nobody knows.
    """
    upright = ImageOps.exif_transpose(image)
    return image if size is not None and image.size[::-1] == size != upright.size[::-1] else upright


def _file_size(path: Path) -> int:
    """Of a regular file: opening a pipe waits for ever, and a device never ends."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        raise Unusable(NOT_READABLE, f'{path}: there is no such image') from None
    if not stat.S_ISREG(status.st_mode):
        raise Unusable(NOT_READABLE, f'{path}: is not a regular file, so not an image')
    return status.st_size


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # metadata that cannot be parsed say nothing
        return 1
    return found if found in range(1, 9) else 1
