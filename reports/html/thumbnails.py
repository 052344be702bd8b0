"""Small pictures to put into the page, as data addresses."""
from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from harness.data.image_files import ImageFolders, folders_of_images
from harness.files.image_header import read_header, turned

#: The longer side of a thumbnail, in pixels, and the quality of its WebP.
LONGEST, QUALITY = 256, 60
#: Width and height in pixels.
Size = tuple[int, int]


class Thumbnail(NamedTuple):
    """``width`` and ``height`` are the whole image's, whose pixels boxes are in; ``source`` goes into ``href``."""

    width: int
    height: int
    source: str


class Thumbnails:
    """Makes each image's once.

    Args:
        folders: of images, by dataset; their names are those that a run finds.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.folders = {name: ImageFolders(folders_of_images(folder)) for name, folder in folders.items()
                        if folder.is_dir()}
        self._made: dict[tuple[Path, Size | None], Thumbnail | None] = {}

    def __call__(self, dataset: str, image_id: int, size: Size | None = None,
                 file_name: str | None = None) -> Thumbnail | None:
        """``None`` where the image is not there or is no picture.

        Args:
            size: recorded width and height, ``None`` where the file doesn't say.
            file_name: of the image, where the file says it.
        """
        folder = self.folders.get(dataset)
        if folder is None:
            return None
        bare = file_name if file_name and Path(file_name).name == file_name else None
        file = folder.info(image_id, 0, 0, bare).path
        if file is None:
            return None
        if (file, size) not in self._made:
            self._made[file, size] = thumbnail(file, size)
        return self._made[file, size]


def thumbnail(file: Path, size: Size | None = None) -> Thumbnail | None:
    """The thumbnail of one image file, turned as the run turns it; ``None`` where it can't be read or is too large."""
    try:
        header = read_header(file)
        with Image.open(file, formats=('PNG', 'JPEG')) as image:
            if header.orientation == 1:
                width, height = image.size
                image.draft('RGB', (LONGEST, LONGEST))  # a JPEG is decoded smaller
                small = image.convert('RGB')
            else:
                upright = turned(image, None if size is None else size[::-1])
                width, height = upright.size
                small = upright.convert('RGB')
            small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            small.save(out, 'WEBP', quality=QUALITY, method=2)
    except Exception:  # a stranger's bytes: whatever a decoder stumbles over, there is no picture
        return None
    return Thumbnail(width, height, f'data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}')
