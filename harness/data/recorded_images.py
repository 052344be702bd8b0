"""Whether the images of a dataset are those that it was annotated on, told from the headers of the first ones.

COCO's train2017 and val2017 hold the photographs of train2014 and val2014, under the same ids. Other photographs can
have a recorded size by chance, since most of COCO's are 640 pixels wide or high.
"""
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness.data.image_files import not_found
from harness.errors import InputError
from harness.files.image_header import Unusable, read_header
from harness.types import ImageInfo

#: Of so many images that are there the header is read.
FIRST = 200
FIX = ("give the images that the annotations were made on, for RefCOCO COCO's train2014, or train2017 and val2017, "
       'with --images DIR')


class LookedAt(NamedTuple):
    """The first images of a dataset: how many, how many are missing or of another size, where, and one of these."""

    images: int
    missing: int
    resized: int
    folders: str
    example: str

    @property
    def are_others(self) -> bool:
        """Whether none is there, or most of those that are have another size."""
        there = self.images - self.missing
        return self.images > 0 and (there == 0 or 2 * self.resized > there)

    def __str__(self) -> str:
        wrong = [f'{number:,} {what}' for number, what in (
            (self.missing, 'are missing'), (self.resized, 'have another size than their record')) if number]
        return f'of the first {self.images:,} images {" and ".join(wrong)}; {FIX}'


def look_at_first(infos: Iterable[ImageInfo]) -> LookedAt:
    """Look at images until the headers of :data:`FIRST` were read; missing ones are counted on the way."""
    there: dict[ImageInfo, str] = {}
    missing: list[ImageInfo] = []
    for info in _with_path(infos):
        if os.path.exists(info.path or ''):
            there[info] = _other_size(info)
        else:
            missing.append(info)
        if len(there) == FIRST:
            break
    resized = {info: said for info, said in there.items() if said}
    folders = dict.fromkeys(str(info.path.parent) for info in resized or missing or there if info.path)
    example = next(iter(resized.values()), '') or next(map(not_found, missing), '')
    return LookedAt(len(there) + len(missing), len(missing), len(resized), ', '.join(folders), example)


def refuse_others(infos: Iterable[ImageInfo]) -> None:
    """Refuse images that are not those of the records.

    Raises:
        InputError: none is there, or most of the first ones have another size than their record.
    """
    first = look_at_first(infos)
    if first.are_others:
        none = first.images == first.missing + first.resized
        start = f'none of the {first.images} images can be used; ' if none and first.images > 1 else ''
        raise InputError(f'{start}{first.folders}: {first} ({first.example})')


def _with_path(infos: Iterable[ImageInfo]) -> Iterator[ImageInfo]:
    return (info for info in infos if info.path is not None)


def _other_size(info: ImageInfo) -> str:
    """What the size of an image is instead of the recorded one; nothing of what is no image, the run reports that."""
    try:
        header = read_header(info.path) if info.path is not None and info.height else None
    except Unusable:
        return ''
    if header is None or header.can_be((info.height, info.width)):
        return ''
    return (f'{info.path}: has {header.width} × {header.height} pixels, its record says {info.width} × '
            f'{info.height}')
