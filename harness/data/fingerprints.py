"""Fingerprints of the published evaluation expressions, by which rows are known without the annotations themselves.

``fingerprints.npz`` holds hashes of all 57,457 expressions of RefCOCO and RefCOCO+ (UNC) and RefCOCOg (UMD), in order
of publication, and of the 5,000 referents of RefCOCOg's val by Google. They were made from the published annotations by
:func:`fingerprints_of`; neither a sentence nor a box can be read from them.

A sentence is compared by its letters and digits alone, so that "man's T-shirt" and "man ' s t - shirt" are one. A box
is compared by its corners, rounded to whole pixels.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from itertools import groupby, product
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.types import XYWH, Expression, ImageInfo

FILE = Path(__file__).with_name('fingerprints.npz')
#: Bytes of a hash: of two among a hundred thousand sentences being one by chance there is one chance in ten thousand.
_BYTES = 6
_LETTERS = re.compile(r'[^\W_]+')
#: How far a corner may be from that of the same box cut to whole pixels: its size may have been cut as well.
_CUT = tuple(product((0, 1), (0, 1), (0, 1, 2), (0, 1, 2)))
Hashes = NDArray[np.uint64]


def comparable(sent: str) -> str:
    """A sentence as it is compared: lower case, words of letters and digits.

    >>> comparable("Man's T-shirt,  left!")
    'man s t shirt left'
    """
    return ' '.join(_LETTERS.findall(sent.lower()))


def hashed(*parts: object) -> int:
    """A number of 48 bits for what is named."""
    return int.from_bytes(blake2b('|'.join(map(str, parts)).encode(), digest_size=_BYTES).digest(), 'little')


def of_sentence(image_id: int, sent: str) -> int:
    """A sentence on an image."""
    return hashed('sentence', image_id, comparable(sent))


def of_box(image_id: int, corners: Sequence[int]) -> int:
    """A box on an image, by whole corners."""
    return hashed('box', image_id, *corners)


def of_unnamed(width: int, height: int, sent: str, corners: Sequence[int]) -> int:
    """A sentence and its box on an image that has no name."""
    return hashed('unnamed', width, height, comparable(sent), *corners)


def of_annotation(ann_id: int) -> int:
    return hashed('annotation', ann_id)


def of_image(image_id: int) -> int:
    return hashed('image', image_id)


def whole_corners(xywh: XYWH) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of a box, rounded, halves up."""
    x, y, w, h = xywh
    x1, y1, x2, y2 = (floor(round(corner, 4) + 0.5) for corner in (x, y, x + w, y + h))
    return x1, y1, x2, y2


def corners_before_cutting(xywh: XYWH) -> Iterable[tuple[int, ...]]:
    """The rounded corners that a box may have: its own, and if its numbers are whole, those of boxes that are cut to
    it."""
    corners = whole_corners(xywh)
    if all(float(side).is_integer() for side in xywh):
        return [tuple(c + d for c, d in zip(corners, cut, strict=True)) for cut in _CUT]
    return [corners]


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Hashes of expressions, in order: n expressions of r referents on m images, split by split.

    Attributes:
        splits: dataset, split, who made it, and how many referents it has.
        sentences, unnamed: ``(n,)`` by sentence and image, and by sentence, box and the image's size.
        referent: ``(n,)`` the number of each expression's referent.
        boxes, annotations: ``(r,)`` by box and image, and by annotation.
        image: ``(r,)`` the number of each referent's image.
        images: ``(m,)``
        google: ``(5000,)`` the annotations of RefCOCOg's val by Google.
    """

    splits: tuple[tuple[str, str, str, int], ...]
    sentences: Hashes
    unnamed: Hashes
    referent: NDArray[np.int64]
    boxes: Hashes
    annotations: Hashes
    image: NDArray[np.int64]
    images: Hashes
    google: Hashes

    def save(self, path: Path) -> None:
        """Write them, six bytes a hash."""
        arrays: dict[str, Any] = {name: _packed(getattr(self, name)) for name in _HASHES}
        np.savez(path, splits=np.array(self.splits), counts=np.bincount(self.referent).astype(np.uint8),
                 image=self.image.astype(np.uint16), **arrays)


_HASHES = ('sentences', 'unnamed', 'boxes', 'annotations', 'images', 'google')


def _packed(hashes: Hashes) -> NDArray[np.uint8]:
    return np.ascontiguousarray(hashes.astype('<u8')).view(np.uint8).reshape(-1, 8)[:, :_BYTES]


def _unpacked(packed: NDArray[np.uint8]) -> Hashes:
    whole = np.zeros((len(packed), 8), np.uint8)
    whole[:, :_BYTES] = packed
    return whole.view('<u8').ravel().astype(np.uint64)


@cache
def published() -> Fingerprints:
    """The fingerprints that the project ships."""
    with np.load(FILE, allow_pickle=False) as file:
        counts = file['counts']
        return Fingerprints(tuple((str(d), str(s), str(by), int(n)) for d, s, by, n in file['splits']),
                            referent=np.repeat(np.arange(len(counts)), counts), image=file['image'].astype(np.int64),
                            **{name: _unpacked(file[name]) for name in _HASHES})


def fingerprints_of(splits: Iterable[tuple[str, str, str, Sequence[tuple[Expression, ImageInfo]]]],
                    google: Iterable[int]) -> Fingerprints:
    """The fingerprints of splits, whose expressions stand referent by referent.

    Args:
        splits: dataset, split, who made it, and its expressions with their images.
        google: annotations of the referents of RefCOCOg's val by Google.
    """
    heads: list[tuple[str, str, str, int]] = []
    referents: list[tuple[int, int]] = []
    images: dict[int, int] = {}
    sentences, unnamed, referent, image = [], [], [], []
    for name, split, by, members in splits:
        first = len(referents)
        for (image_id, ann_id), own in groupby(members, key=lambda member: (member[0].image_id, member[0].ann_id)):
            image.append(images.setdefault(image_id, len(images)))
            for e, info in own:
                corners = whole_corners(e.gt_xywh)
                sentences.append(of_sentence(image_id, e.sent))
                unnamed.append(of_unnamed(info.width, info.height, e.sent, corners))
                referent.append(len(referents))
            referents.append((of_box(image_id, corners), of_annotation(int(ann_id or 0))))
        heads.append((name, split, by, len(referents) - first))
    boxes, annotations = np.array(referents, np.uint64).T
    return Fingerprints(tuple(heads), np.array(sentences, np.uint64), np.array(unnamed, np.uint64),
                        np.array(referent), boxes, annotations, np.array(image),
                        np.array([of_image(i) for i in images], np.uint64),
                        np.array([of_annotation(i) for i in google], np.uint64))
