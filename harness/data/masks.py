"""COCO's ways to write a mask, made one: compressed run lengths, checked before any C code sees them.

pycocotools believes what it is given: run lengths that do not add up to the image write beyond their memory, a polygon
far outside allocates it without end. What comes out of :func:`to_rle` is safe for all its functions.

Source of the formats: ``maskApi.c``, ``mask.py`` and ``_mask.pyx: frPyObjects`` of COCO's API (``external/`` of
lichengunc/refer), and ``getMask`` of ``refer.py`` there, which unites whatever a list holds.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from harness.errors import InputError
from harness.files.fields import MAX_COORDINATE, MAX_PIXELS

#: A polygon's outline in pixels; the C code's memory grows with it. No real outline is a hundredth of it.
_MAX_OUTLINE = 1_000_000


def to_rle(segmentation: Any, height: int, width: int, where: str = 'segmentation') -> dict[str, Any]:
    """A mask as compressed run lengths, column by column as COCO has them.

    Args:
        segmentation: polygons ``[[x, y, x, y, …], …]`` in pixels, or one alone, ``[x, y, x, y, …]``; or
            ``{size, counts}`` with ``counts`` a list of run lengths, or compressed as text or bytes; or a list of such.
            The union of a list is meant. A polygon's part outside the image is cut off; one of a point or two has no
            area and adds nothing to others.
        height, width: of the image, which a ``size`` must repeat.
        where: begins the messages.

    Returns:
        ``{'size': [height, width], 'counts': bytes}`` as pycocotools makes and takes it.

    Raises:
        InputError: it is none of these, or does not fit the image; or it is four numbers alone, which pycocotools
            takes for a box and others for two points.
    """
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise InputError(f'{where}: a mask needs an image with a size, not {height} by {width} pixels')
    if isinstance(segmentation, dict):
        return _from_counts(segmentation, height, width, where)
    if isinstance(segmentation, list) and segmentation:
        if all(isinstance(part, dict) for part in segmentation):
            return _union([_from_counts(part, height, width, where) for part in segmentation])
        flat = all(isinstance(part, int | float) for part in segmentation)
        return _from_polygons([segmentation] if flat else segmentation, height, width, where)
    raise InputError(f'{where}: must be polygons or run lengths with size and counts')


def as_text(rle: dict[str, Any]) -> dict[str, Any]:
    """Run lengths of pycocotools as JSON can hold them, ``counts`` as text."""
    return {'size': list(rle['size']), 'counts': rle['counts'].decode('ascii')}


def text_mask(segmentation: Any) -> Any:
    """A mask of any of COCO's kinds as JSON can hold it."""
    if isinstance(segmentation, list):
        return [text_mask(part) if isinstance(part, dict) else part for part in segmentation]
    return as_text(segmentation) if isinstance(segmentation.get('counts'), bytes) else segmentation


def area(rle: dict[str, Any]) -> int:
    """Pixels of a mask that :func:`to_rle` returned."""
    return int(coco_mask.area(rle))


def _union(rles: list[dict[str, Any]]) -> dict[str, Any]:
    return rles[0] if len(rles) == 1 else coco_mask.merge(rles)


def _from_polygons(polygons: list[Any], height: int, width: int, where: str) -> dict[str, Any]:
    areas = []
    for polygon in polygons:
        points = _points(polygon, where)
        if np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum() > _MAX_OUTLINE:
            raise InputError(f"{where}: a polygon's outline is over a million pixels long")
        if len(points) > 2:
            areas.append(list(map(float, polygon)))
    if areas:
        return _union(coco_mask.frPyObjects(areas, height, width))
    if any(len(polygon) == 4 for polygon in polygons):
        raise InputError(f'{where}: a polygon of two points has no area; a mask needs three points or more')
    return _from_counts({'size': [height, width], 'counts': [height * width]}, height, width, where)


def _points(polygon: Any, where: str) -> NDArray[np.float64]:
    """``(n, 2)`` x, y."""
    if not isinstance(polygon, list) or not set(map(type, polygon)) <= {int, float}:
        raise InputError(f'{where}: a polygon must be a list of numbers x, y, x, y, …')
    if not polygon or len(polygon) % 2:
        raise InputError(f'{where}: a polygon needs points, x and y of each')
    if any(not abs(number) <= MAX_COORDINATE for number in polygon):
        raise InputError(f'{where}: a polygon holds a number that is not finite or beyond a million pixels')
    return np.array(polygon, np.float64).reshape(-1, 2)


def _from_counts(rle: dict[str, Any], height: int, width: int, where: str) -> dict[str, Any]:
    size, counts = rle.get('size'), rle.get('counts')
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        raise InputError(f"{where}: its 'size' must be the image's height and width, {height} and {width}")
    if isinstance(counts, str | bytes):
        runs = _uncompressed(counts, where)
    elif isinstance(counts, list) and all(type(run) is int and 0 <= run <= MAX_PIXELS for run in counts):
        runs = np.array(counts, np.int64)
    else:
        raise InputError(f"{where}: its 'counts' must be run lengths over 0, or their compressed text")
    if not len(runs) or (runs < 0).any() or (runs > MAX_PIXELS).any() or runs.sum() != height * width:
        raise InputError(f'{where}: its run lengths do not add up to the {height * width} pixels of the image')
    return coco_mask.frPyObjects({'size': [height, width], 'counts': _without_empty_runs(runs)}, height, width)


def _uncompressed(counts: str | bytes, where: str) -> NDArray[np.int64]:
    """Run lengths from COCO's text: base 32, five bits a sign, low ones first, from the fourth on as differences.

    Source: ``rleFrString`` of ``maskApi.c``.
    """
    raw = counts.encode('utf-8', 'surrogatepass') if isinstance(counts, str) else counts
    digits = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((digits & 32) == 0)
    if not len(digits) or digits.min() < 0 or digits.max() > 63 or not len(ends) or ends[-1] != len(digits) - 1:
        raise InputError(f"{where}: its 'counts' are damaged or cut short")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise InputError(f"{where}: its 'counts' hold a run longer than any image")
    places = np.arange(len(digits)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((digits & 31) << (5 * places), starts)
    numbers -= np.where(digits[ends] & 16, 1 << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _without_empty_runs(runs: NDArray[np.int64]) -> list[int]:
    """The same mask with no empty run but maybe the first; the C code counts on that."""
    if (runs[1:] > 0).all():
        return runs.tolist()
    values = (np.arange(len(runs)) % 2)[runs > 0]
    changes = np.flatnonzero(np.diff(values, prepend=1 - values[0]))
    merged = np.add.reduceat(runs[runs > 0], changes).tolist()
    return [0, *merged] if values[0] else merged
