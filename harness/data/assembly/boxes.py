"""A form's boxes as ``xywh`` pixels: as the form says, or as the whole file settles it, never by a row."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.boxes import xywh_to_xyxy
from harness.data.box_forms import MARGIN_PIXELS, as_written
from harness.errors import InputError
from harness.files import fields
from harness.types import XYWH, FormRow

#: How a box is written: x, y, width, height, or the corners x1, y1, x2, y2.
XYWH_BOXES, XYXY_BOXES = 'xywh', 'xyxy'
FORMS = (XYWH_BOXES, XYXY_BOXES)
#: A way to write boxes is settled where no fewer boxes of a file are possible in it, and fewer are in the other.
POSSIBLE, IMPOSSIBLE = 0.999, 0.98


def xywh_of(row: FormRow, form: str) -> XYWH:
    """The box of a row.

    Args:
        row: with a box.
        form: one of :data:`FORMS`.

    Raises:
        InputError: it is no box of that form.
    """
    record = {'box': row.box}
    if form == XYWH_BOXES:
        return fields.box(record, 'box', row.where)
    x1, y1, x2, y2 = fields.four_numbers(record, 'box', row.where, 'x1, y1, x2, y2')
    if x2 <= x1 or y2 <= y1:
        raise InputError(f"{row.where}: 'box' is no box x1, y1, x2, y2, its second corner is not right of and below "
                         'the first; where the file has x, y, width, height, say --boxes xywh')
    return x1, y1, as_written(x2 - x1) or x2 - x1, as_written(y2 - y1) or y2 - y1


def settled(rows: Sequence[FormRow], where: str) -> str:
    """How a whole file writes its boxes, where its form does not say: what nearly all of its boxes can be, and the
    other way cannot.

    Args:
        rows: with boxes, and the sizes of their images where known.
        where: the file, for messages.

    Raises:
        InputError: both are possible, or neither.
    """
    numbers = np.array([fields.four_numbers({'box': row.box}, 'box', row.where) for row in rows]).reshape(-1, 4)
    sizes = np.array([row.size or (np.inf, np.inf) for row in rows], float).reshape(-1, 2)[:, ::-1]
    shares = {XYWH_BOXES: _possible(xywh_to_xyxy(numbers), sizes), XYXY_BOXES: _possible(numbers, sizes)}
    for form, other in (FORMS, FORMS[::-1]):
        if shares[form] >= POSSIBLE and shares[other] < IMPOSSIBLE:
            return form
    told = ' and '.join(f'{100 * share:.1f} % as {form}' for form, share in shares.items())
    raise InputError(f'{where}: does not say how its boxes are written, and they do not settle it ({told} are boxes '
                     f'within their images); say --boxes {XYWH_BOXES} or --boxes {XYXY_BOXES}')


def _possible(corners: np.ndarray, sizes: np.ndarray) -> float:
    """The share of boxes that have an area and lie within their images."""
    area = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    inside = (corners[:, :2] >= -MARGIN_PIXELS).all(axis=1) & (corners[:, 2:] <= sizes + MARGIN_PIXELS).all(axis=1)
    return float((area & inside).mean()) if len(corners) else 0.0
