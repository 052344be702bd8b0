"""In which form a file's boxes are written: only ``x, y, width, height`` in image pixels is scored.

A box alone does not tell: of RefCOCO's, 40 to 44 % would also be corners inside the image. A whole file does: boxes of
another form, read as ``xywh`` pixels, reach outside their images again and again, while read as what they are they fit.
What is decided here is decided from the numbers and the sizes of the images, never from the right answers.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.boxes import Floats, xywh_to_xyxy
from harness.errors import InputError
from harness.types import Dataset

#: Annotated boxes have no more decimals; what a sum or difference of two of their numbers has more is rounding.
_DECIMALS = 4
#: What a box may reach outside before it speaks against a form: rounding and an inclusive last pixel, in pixels, and as
#: a share of the image's side.
MARGIN_PIXELS, MARGIN_SHARE = 2., 0.02
#: What x + width may be over an image's width from rounding alone, in pixels; more is counted.
ROUNDING = 1e-6
#: A file is refused when this share of its boxes, and no fewer than so many, reach outside as ``xywh`` pixels, …
CONTRADICTED, WITNESSES = 0.2, 2
#: … and this share fits another form; or where this share reaches outside and no known form fits.
FITS, MOST = 0.95, 0.5
#: No side of an image that is smaller tells fractions and pixels apart.
SMALLEST_SIDE = 32
#: So many boxes, all in the upper left quarter of their images and wider and higher than they are far from its corner,
#: are corners of a coarser grid than pixels; four in ten of RefCOCO's are as wide and high, by chance.
CROWDED = 10


def as_written(number: float) -> float:
    """A sum or difference of two numbers of an annotated box, with the digits that these have."""
    rounded = round(number, _DECIMALS)
    return rounded if abs(rounded - number) < 1e-9 else number


def _corners(boxes: Floats) -> Floats:
    return boxes


def _from_centre(boxes: Floats) -> Floats:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


class Form(NamedTuple):
    """A way to write a box: its name for messages, its corners, and what a whole side of the image is in it (``None``:
    as many as it has pixels)."""

    name: str
    corners: Callable[[Floats], Floats]
    side: float | None = None


XYWH = Form('x, y, width, height in pixels', xywh_to_xyxy)
#: Forms that are met. The first that fits is named: corners in pixels are also fit to be thousandths, and both
#: centres in pixels and corners in thousandths to be corners and sizes in thousandths.
OTHERS = (
    Form('corners x1, y1, x2, y2 in pixels', _corners),
    Form('corners x1, y1, x2, y2 in thousandths of the image (0 to 1000)', _corners, 1000.),
    Form('centre x, y, width, height in pixels', _from_centre),
    Form('x, y, width, height in thousandths of the image (0 to 1000)', xywh_to_xyxy, 1000.),
)
FRACTIONS = (
    Form('corners x1, y1, x2, y2 as fractions of the image (0 to 1)', _corners, 1.),
    Form('x, y, width, height as fractions of the image (0 to 1)', xywh_to_xyxy, 1.),
    Form('centre x, y, width, height as fractions of the image (0 to 1)', _from_centre, 1.),
)


#: Corners on a grid so coarse that nothing reaches outside where they are taken for pixels.
COARSE = (
    Form('corners x1, y1, x2, y2 in hundredths of the image (0 to 100)', _corners, 100.),
    Form('corners x1, y1, x2, y2 in thousandths of the image (0 to 1000)', _corners, 1000.),
)
NO_FORM = 'no form that is known here; check them, and the sizes of the images'


class Verdict(NamedTuple):
    """What a file's boxes look like: another form, or ``None``; and how many of them reach outside as ``xywh``
    pixels."""

    form: str | None
    outside: int
    boxes: int


def judge_form(boxes: ArrayLike, sizes: ArrayLike) -> Verdict:
    """Whether boxes of one file are ``xywh`` pixels.

    Args:
        boxes: ``(n, 4)`` the file's numbers.
        sizes: ``(n, 2)`` width and height of each one's image; 0 where unknown. Such boxes have no say, and neither
            have those that are all zero, as many programs write "nothing found".
    """
    numbers, sides = np.reshape(boxes, (-1, 4)).astype(np.float64), np.reshape(sizes, (-1, 2)).astype(np.float64)
    told = (sides > 0).all(axis=1) & (numbers != 0).any(axis=1)
    numbers, sides = numbers[told], sides[told]
    outside = int((_reach(XYWH, numbers, sides) > ROUNDING).any(axis=1).sum())
    return Verdict(_other_form(numbers, sides), outside, len(numbers))


def _other_form(boxes: Floats, sizes: Floats) -> str | None:
    if len(boxes) < WITNESSES:
        return None
    if _within(1, SMALLEST_SIDE, boxes, sizes):
        return _first_that_fits(FRACTIONS, boxes, sizes) or 'fractions of the image (0 to 1)'
    if len(boxes) >= CROWDED:
        coarse = [form for form in COARSE if form.side and _within(form.side, 2 * form.side, boxes, sizes)]
        if name := _first_that_fits(coarse, boxes, sizes):
            return name
    against = int((~_inside(XYWH, boxes, sizes)).sum())
    if against < max(WITNESSES, CONTRADICTED * len(boxes)):
        return None
    return _first_that_fits(OTHERS, boxes, sizes) or (NO_FORM if against > MOST * len(boxes) else None)


def _within(most: float, smallest_side: float, boxes: Floats, sizes: Floats) -> bool:
    """Whether nearly all numbers are from 0 to ``most``, on images whose sides are no smaller than so many pixels."""
    found = ((boxes >= 0) & (boxes <= most)).all(axis=1) & (sizes >= smallest_side).all(axis=1)
    return bool(found.mean() >= FITS)


def _first_that_fits(forms: Iterable[Form], boxes: Floats, sizes: Floats) -> str | None:
    return next((form.name for form in forms if _fits(form, boxes, sizes)), None)


def _reach(form: Form, boxes: Floats, sizes: Floats) -> Floats:
    """``(n, 4)`` how far each side of a box is outside the image, in the form's units; negative inside."""
    corners = form.corners(boxes)
    return np.concatenate([-corners[:, :2], corners[:, 2:] - (sizes if form.side is None else form.side)], axis=1)


def _inside(form: Form, boxes: Floats, sizes: Floats) -> NDArray[np.bool_]:
    """``(n,)`` whether a box is inside its image, but for the margins."""
    units = sizes if form.side is None else np.full_like(sizes, form.side)
    margin = np.tile(np.maximum(MARGIN_PIXELS / sizes, MARGIN_SHARE) * units, 2)
    return np.asarray(np.all(_reach(form, boxes, sizes) <= margin, axis=1))


def _fits(form: Form, boxes: Floats, sizes: Floats) -> bool:
    """Whether nearly all boxes are inside their images and have an area."""
    corners = form.corners(boxes)
    area = np.all(corners[:, 2:] > corners[:, :2], axis=1)
    return bool((_inside(form, boxes, sizes) & area).mean() >= FITS)


def check_form(boxes: ArrayLike, sizes: ArrayLike, where: str) -> str | None:
    """A note on boxes that reach outside their images, ``None`` where there are none.

    Args:
        boxes, sizes: as :func:`judge_form` takes them.
        where: the file, which begins the message.

    Raises:
        InputError: the numbers as a whole are of another form.
    """
    verdict = judge_form(boxes, sizes)
    if verdict.form is not None:
        reach = f', and {verdict.outside} of {verdict.boxes} reach outside their image' if verdict.outside else ''
        raise InputError(f'{where}: boxes must be {XYWH.name}{reach}; they look like {verdict.form}')
    if verdict.outside:
        return f'{where}: {verdict.outside} of {verdict.boxes} boxes reach outside their image; they count as they are'
    return None


def check_truth(dataset: Dataset, where: str) -> None:
    """Put a note into a dataset on its annotated boxes that reach outside their images.

    Raises:
        InputError: as :func:`check_form`.
    """
    if dataset.annotations is None:
        boxes = dict.fromkeys((e.image_id, e.gt_xywh) for e in dataset.expressions)
    else:
        boxes = dict.fromkeys((image_id, a.xywh) for image_id, own in dataset.annotations.items() for a in own)
    sizes = [(info.width, info.height) for info in (dataset.images[image_id] for image_id, _ in boxes)]
    if note := check_form([xywh for _, xywh in boxes], sizes, where):
        dataset.notes.append(note)
