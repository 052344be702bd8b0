"""The images that files of data hold themselves, written out where a run needs them.

They are kept by the hash of their file, so that they are written once, in ``~/.cache/refnms-images`` (or
``$REFNMS_IMAGES``).
"""
from __future__ import annotations

import io
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from PIL import Image

from harness.data.assembly.files import DataFile
from harness.data.assembly.names import bare_name
from harness.errors import InputError
from harness.files import fields
from harness.files.fingerprint import sha256_of
from harness.files.writing import replacing
from harness.types import ImageInfo

#: No photograph is larger, packed.
_MOST_BYTES = 64 << 20


def folder_of_pictures() -> Path:
    """Where images are kept."""
    return Path(os.environ.get('REFNMS_IMAGES') or Path.home() / '.cache' / 'refnms-images')


class Pictures:
    """The images in some files.

    Args:
        files: of one dataset.
    """

    def __init__(self, files: Sequence[DataFile]) -> None:
        self.files = files

    @cached_property
    def there(self) -> bool:
        """Whether there are any."""
        return any(True for file in self.files for _ in file.form.pictures(file.path))

    @cached_property
    def folder(self) -> Path:
        return folder_of_pictures() / sha256_of(self.files[0].path)[:16]

    @cached_property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Height and width of each image as it is shown, by its bare name."""
        return {bare_name(name): _size(data) for file in self.files for name, data in file.form.pictures(file.path)}

    def info(self, image_id: int, height: int, width: int, name: str) -> ImageInfo:
        """An image and where it will be."""
        return ImageInfo(image_id, height, width, self.folder / name, (self.folder,))

    def unpack(self) -> None:
        """Write all images that are not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            for name, data in file.form.pictures(file.path):
                path = self.folder / bare_name(name)
                if not path.exists():
                    with replacing(path, 'free some space, or name another folder by REFNMS_IMAGES',
                                   ending=f'.{os.getpid()}.part') as beside:
                        beside.write_bytes(data)


def _size(data: bytes) -> tuple[int, int]:
    """Height and width, 0 by 0 of what is no picture; it is counted when it is to be read."""
    if len(data) > _MOST_BYTES:
        raise InputError(f'an image of {len(data) >> 20} MiB is no photograph; give the images by --images DIR')
    try:
        with Image.open(io.BytesIO(data), formats=('JPEG', 'PNG')) as image:
            if image.width * image.height > fields.MAX_PIXELS:
                return 0, 0
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception:  # a stranger's bytes
        return 0, 0
