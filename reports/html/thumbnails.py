"""Small pictures to put into the page, as data addresses."""
from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image

ENDINGS = ('png', 'jpg')
#: The longer side of a thumbnail, in pixels, and the quality of its WebP.
LONGEST, QUALITY = 256, 60
_MOST_PIXELS = 50_000_000


class Thumbnail(NamedTuple):
    """``width`` and ``height`` are the whole image's, whose pixels boxes are in; ``source`` goes into ``href``."""

    width: int
    height: int
    source: str


class Thumbnails:
    """Makes each image's once.

    Args:
        folders: of images, by dataset; they are named ``COCO_train2014_<image_id:012d>.png`` or ``.jpg``.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.folders = {name: folder for name, folder in folders.items() if folder.is_dir()}
        self._made: dict[tuple[Path, int], Thumbnail | None] = {}

    def __call__(self, dataset: str, image_id: int) -> Thumbnail | None:
        """``None`` where the image is not there or is no picture."""
        folder = self.folders.get(dataset)
        if folder is None:
            return None
        key = folder, image_id
        if key not in self._made:
            files = (folder / f'COCO_train2014_{image_id:012d}.{ending}' for ending in ENDINGS)
            file = next((file for file in files if file.is_file()), None)
            self._made[key] = None if file is None else thumbnail(file)
        return self._made[key]


def thumbnail(file: Path) -> Thumbnail | None:
    """Of one image file, ``None`` where it can't be read or has over 50 million pixels."""
    try:
        with Image.open(file, formats=('PNG', 'JPEG')) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                return None
            image.draft('RGB', (LONGEST, LONGEST))
            small = image.convert('RGB')
            small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            small.save(out, 'WEBP', quality=QUALITY, method=2)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Thumbnail(width, height, f'data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}')
