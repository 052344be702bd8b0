"""REC accuracy: is the chosen box the referent's?

The paper's text says IoU larger than 0.5, the original program says at least 0.5; a table states which one it uses.
"""
from __future__ import annotations

from harness.metrics.mean import Mean
from harness.plugins import Row
from harness.registry import METRICS


@METRICS.register_module(name='accuracy')
class Accuracy(Mean):
    """Share of expressions (%) whose chosen box has IoU >= 0.5, inclusive pixels, as the original program counts.

    Source: ``eval_split`` in ``lib/models/eval_dets_utils.py`` of lichengunc/MAttNet. An expression without any
    detection is wrong.
    """

    names, task = ('accuracy',), 'rec'

    def of(self, row: Row) -> int | None:
        iou = chosen_iou(row)
        return None if iou is None else int(iou >= 0.5)


@METRICS.register_module(name='accuracy_strict')
class AccuracyStrict(Mean):
    """Share of expressions (%) whose chosen box has IoU > 0.5, as the paper's text says."""

    names, task = ('accuracy_strict',), 'rec'

    def of(self, row: Row) -> int | None:
        iou = chosen_iou(row)
        return None if iou is None else int(iou > 0.5)


def chosen_iou(row: Row) -> float | None:
    """The chosen box's IoU, 0 where a grounder had no box to choose, ``None`` where no grounder ran."""
    if row.get('iou') is not None:
        return row['iou']
    nothing_detected = row.get('grounder') not in (None, '-') and row.get('box') is None
    return 0.0 if nothing_detected else None
