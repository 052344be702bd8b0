"""RES: how well the chosen mask covers the referent's.

Source: ``tools/eval_masks.py`` of lichengunc/MAttNet. An expression without any detection has an empty mask: its row
has ``mask_intersection`` 0 and the referent's area as ``mask_union``.
"""
from __future__ import annotations

from collections.abc import Sequence

from harness.plugins import Metric, Results, Row
from harness.registry import METRICS


@METRICS.register_module(name='overall_iou')
class OverallIoU(Metric):
    """Pixels in both masks over pixels in either (%), each summed over all expressions."""

    names, task = ('overall_iou',), 'res'

    def reset(self) -> None:
        """Forget all rows."""
        self.intersection, self.union, self.n = 0, 0, 0

    def process(self, rows: Sequence[Row]) -> None:
        """Count some more rows."""
        for row in rows:
            if row.get('mask_union') is not None:
                self.intersection += row['mask_intersection']
                self.union += row['mask_union']
                self.n += 1

    def compute(self) -> Results:
        """``{name: (value, n)}``; the value is ``None`` where no row had what it takes."""
        return {self.names[0]: (100 * self.intersection / max(self.union, 1) if self.n else None, self.n)}


@METRICS.register_module(name='pr@x')
class PrecisionAt(Metric):
    """Share of expressions (%) whose masks have I / U >= X, for X of 0.5 to 0.9; two empty masks are no hit."""

    thresholds = (0.5, 0.6, 0.7, 0.8, 0.9)
    names, task = tuple(f'pr@{x}' for x in thresholds), 'res'

    def reset(self) -> None:
        """Forget all rows."""
        self.hits, self.n = [0] * len(self.thresholds), 0

    def process(self, rows: Sequence[Row]) -> None:
        """Count some more rows."""
        masks = [(row['mask_intersection'], row['mask_union']) for row in rows if row.get('mask_union') is not None]
        ious = [intersection / union if union else 0.0 for intersection, union in masks]
        self.hits = [hits + sum(iou >= x for iou in ious) for hits, x in zip(self.hits, self.thresholds, strict=True)]
        self.n += len(ious)

    def compute(self) -> Results:
        """``{name: (value, n)}`` of the five; the values are ``None`` where no row had what it takes."""
        return {name: (100 * hits / self.n if self.n else None, self.n)
                for name, hits in zip(self.names, self.hits, strict=True)}
