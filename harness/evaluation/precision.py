"""What a lower precision of the detector changes: some images are evaluated in fp32 as well, and choices compared."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from harness.boxes import annotated_iou
from harness.plugins import Detector

#: Every so manieth image is evaluated in fp32 as well.
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


def changes(lines: bytes | bytearray, exact: bytes | bytearray, precision: str) -> Counter[str]:
    """How often grounders choose and answer differently, by a phrase for each count.

    Args:
        lines: an image's lines of ``predictions.jsonl``.
        exact: the same lines as they are in fp32.
        precision: that of ``lines``.
    """
    counts: Counter[str] = Counter()
    for row, other in zip(map(orjson.loads, lines.splitlines()), map(orjson.loads, exact.splitlines()), strict=True):
        if row['iou'] is None:
            continue
        who = row['grounder']
        counts[f'choices of {who} compared with fp32 (on every {COMPARED_EVERY}th image)'] += 1
        counts[f'choices of {who} that {precision} changes'] += _differs(row['box'], other['box'])
        counts[f'answers of {who} that are right in only one of fp32 and {precision}'] += (
            (row['iou'] >= RIGHT) != (other['iou'] >= RIGHT))
    return counts


def _differs(box: list[float] | None, other: list[float] | None) -> bool:
    if box is None or other is None:
        return box is not other
    return annotated_iou(box, other) < SAME_CHOICE
