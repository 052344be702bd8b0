"""What a lower precision of the detector changes: some images are evaluated in fp32 as well, and choices compared."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from harness.boxes import annotated_iou
from harness.plugins import Detector

#: One image in this many is evaluated in fp32 as well.
COMPARED_EVERY = 20
#: A choice is another one if its box has a lower IoU with that in fp32. Rounding alone moves a box less.
SAME_CHOICE = 0.9
#: From this IoU an answer is right (:mod:`harness.metrics.rec`).
RIGHT = 0.5


@contextmanager
def in_fp32(detector: Detector) -> Iterator[None]:
    """Let the detector compute in fp32 for a while."""
    precision, detector.precision = detector.precision, 'fp32'
    try:
        yield
    finally:
        detector.precision = precision


@dataclass
class Changes:
    """A grounder's choices that were compared with those in fp32: their number, how many have another box, and how many
    are right in only one of the two."""

    compared: int = 0
    other_box: int = 0
    right_in_one: int = 0

    def counts(self, grounder: str, precision: str) -> dict[str, int]:
        """Each number by the phrase that a run prints it with."""
        return {f'choices of {grounder} compared with fp32 (on every {COMPARED_EVERY}th image)': self.compared,
                f'choices of {grounder} that {precision} changes': self.other_box,
                f'answers of {grounder} that are right in only one of fp32 and {precision}': self.right_in_one}


def changes(lines: bytes | bytearray, exact: bytes | bytearray) -> dict[str, Changes]:
    """How often each grounder chooses and answers differently.

    Args:
        lines: of ``predictions.jsonl``.
        exact: the same lines as they are in fp32.
    """
    found: dict[str, Changes] = {}
    for row, other in zip(map(orjson.loads, lines.splitlines()), map(orjson.loads, exact.splitlines()), strict=True):
        if row['iou'] is None:
            continue
        mine = found.setdefault(row['grounder'], Changes())
        mine.compared += 1
        mine.other_box += _differs(row['box'], other['box'])
        mine.right_in_one += (row['iou'] >= RIGHT) != (other['iou'] >= RIGHT)
    return found


def _differs(box: list[float] | None, other: list[float] | None) -> bool:
    if box is None or other is None:
        return box is not other
    return annotated_iou(box, other) < SAME_CHOICE
