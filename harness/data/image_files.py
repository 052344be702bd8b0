"""Where an image's file is: the names and folders that COCO's images are kept under.

An image of id 1234 may be called as its record says, by COCO 2014's name, by COCO 2017's (``000000001234.jpg``), or by
its bare id, and be a JPEG or a PNG whatever ending the record has.
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from harness.types import ImageInfo

STEMS = ('COCO_train2014_{:012d}', 'COCO_val2014_{:012d}', '{:012d}', '{}')
ENDINGS = ('.jpg', '.png', '.jpeg', '.JPG', '.PNG', '.JPEG')
_PARTS = ('train2014', 'val2014', 'train2017', 'val2017')
#: Folders of a data root that hold these parts: REFER's own place, mmdet's, a usual one, MAttNet's, NMTree's.
_PLACES = ('images', '', 'coco', 'images/mscoco/images', '../images')


def folders_of_root(root: Path, name: str) -> list[Path]:
    """Where the images of a dataset in REFER's layout may be, the usual folder first."""
    parts = (root / place / part for place in _PLACES for part in _PARTS)
    return [Path(os.path.normpath(folder)) for folder in (*parts, root / 'images', root / name / 'images')]


def folders_of_images(images: Path) -> list[Path]:
    """Where images may be that are in a folder which the user names: there, or in COCO's parts of it."""
    return [Path(images), *(Path(images) / part for part in _PARTS)]


class ImageFolders:
    """Finds images in folders, each of which is listed once.

    Args:
        folders: where images may be; they need not exist. Missing ones are expected in the first that does.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.there = tuple(folder for folder in folders if os.path.isdir(folder))
        self.expected = (*self.there, *folders)[0]
        self._names = cache(_listed)

    def info(self, image_id: int, height: int, width: int, file_name: str | None = None) -> ImageInfo:
        """The image with its file, or with the path where it is expected; ``file_name`` is the one on record."""
        names = list(dict.fromkeys(_names(image_id, file_name)))
        path = next((folder / name for name in names for folder in self.there if name in self._names(folder)), None)
        return ImageInfo(image_id, height, width, path or self.expected / names[0], self.there)


def _listed(folder: Path) -> frozenset[str]:
    """The names in a folder, none of one that can't be read."""
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _names(image_id: int, file_name: str | None) -> Iterator[str]:
    if file_name is not None:
        yield file_name
        yield from (Path(file_name).stem + ending for ending in ENDINGS)
    for stem in STEMS:
        yield from (stem.format(image_id) + ending for ending in ENDINGS)


def not_found(info: ImageInfo) -> str:
    """What to say of an image that is not there: all that was looked for."""
    if info.path is None:
        return 'no image folder is known; say where the images are, with --images DIR'
    if not info.folders:
        return f'{info.path}: there is no such image, nor its folder; say where the images are, with --images DIR'
    names = ', '.join(stem.format(info.image_id) for stem in STEMS)
    return (f'{info.path}: there is no such image; looked for it, and for {names} as .jpg, .jpeg or .png, in '
            f'{", ".join(map(str, info.folders))}')
