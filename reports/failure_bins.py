"""The bins of answers: right, or where an expression was lost."""
from __future__ import annotations

from typing import NamedTuple

#: Masks under this IoU are wrong, unless --mask-iou says otherwise.
MASK_IOU = 0.5


class Bin(NamedTuple):
    """A place where expressions are lost: its name in files, what it says, and its colour."""

    name: str
    title: str
    color: str


RIGHT = Bin('right', 'right', '#d9d9d9')
WRONG = (
    Bin('label_faulty', 'label marked faulty', '#999933'),
    Bin('no_candidate', 'no candidate reaches 0.5', '#332288'),
    Bin('suppressed', 'suppressed or thresholded out', '#88ccee'),
    Bin('not_proposed', 'not proposed', '#6699cc'),
    Bin('other_instance', 'another instance of the same category', '#ddcc77'),
    Bin('other_category', 'another category', '#cc6677'),
    Bin('box_below', 'right object, box below 0.5', '#117733'),
    Bin('chosen_wrong', 'proposed, another box chosen', '#aa4499'),
    Bin('mask_below', 'right box, mask below {x:g}', '#882255'),
)
BINS = (RIGHT, *WRONG)
NAMES = tuple(b.name for b in BINS)


def titles(mask_at: float) -> list[str]:
    """What each bin says."""
    return [b.title.format(x=mask_at) for b in BINS]
