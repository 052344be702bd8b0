"""What a metric says of each prediction: a part and a whole, whose sums' ratio is the metric in ``results.json``.

A mean has a whole of 1 for each expression that counts, and overall IoU a whole of as many pixels as the union has. So
one bootstrap and one difference serve them all. Percent, as in ``results.json``; the conventions are those of
``harness/metrics``, and a test holds both to the same figures.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from reports.rows.prediction_rows import NO_GROUNDER, ROW

#: A proposal hits its object over this plain IoU, a chosen box is right from this inclusive IoU on.
HIT_IOU = 0.5
PRECISION_AT = (0.5, 0.6, 0.7, 0.8, 0.9)


class Outcome(NamedTuple):
    """A metric on n rows, as arrays ``(n,)``: ``part`` and ``whole`` are 0 where a row doesn't count."""

    part: np.ndarray
    whole: np.ndarray
    counts: np.ndarray

    def value(self) -> float:
        """The metric over all rows, NaN where none counts."""
        whole = self.whole.sum()
        return float(self.part.sum() / whole) if whole else float('nan')

    def of(self, rows: np.ndarray) -> Outcome:
        """The outcome on some of the rows, by index or mask."""
        return Outcome(self.part[rows], self.whole[rows], self.counts[rows])

    def by_row(self) -> np.ndarray:
        """The metric of each row alone, NaN where it doesn't count."""
        return np.divide(self.part, self.whole, out=np.full(len(self.part), np.nan), where=self.whole > 0)


class RowMetric(NamedTuple):
    """A metric that can be told from prediction rows.

    Attributes:
        task: ``'recall'``, ``'rec'`` or ``'res'``.
        yes_no: a row is right or wrong, so that McNemar's test applies.
        of: the outcome of each row of a table of predictions.
        percent: shares are in percent, otherwise it counts things.
    """

    task: str
    yes_no: bool
    of: Callable[[pd.DataFrame], Outcome]
    percent: bool = True


def share(right: pd.Series | np.ndarray, counts: pd.Series | np.ndarray) -> Outcome:
    """Percent of the rows that count."""
    counts = np.asarray(counts, bool)
    return Outcome(100.0 * (np.asarray(right, bool) & counts), counts.astype(float), counts)


def _over(column: str) -> Callable[[pd.DataFrame], Outcome]:
    return lambda rows: share(rows[column] > HIT_IOU, rows[column].notna())


def _context(rows: pd.DataFrame) -> Outcome:
    n = rows['n_context'].to_numpy()
    counts = (n > 0) & rows['context_hits'].notna().to_numpy()
    found = 100.0 * rows['context_hits'].to_numpy()
    return Outcome(np.divide(found, n, out=np.zeros(len(rows)), where=counts), counts.astype(float), counts)


def _proposals(rows: pd.DataFrame) -> Outcome:
    counts = rows['n_proposals'].notna().to_numpy()
    return Outcome(rows['n_proposals'].fillna(0).to_numpy(), counts.astype(float), counts)


def _overall(rows: pd.DataFrame) -> Outcome:
    masks = rows[['mask_intersection', 'mask_union']].fillna(0).to_numpy()
    return Outcome(100 * masks[:, 0], masks[:, 1], rows['mask_union'].notna().to_numpy())


def mask_iou(rows: pd.DataFrame) -> np.ndarray:
    """Intersection over union of the masks, 0 of two empty ones, NaN where there is none."""
    union = rows['mask_union'].to_numpy()
    some = union > 0
    return np.divide(rows['mask_intersection'].to_numpy(), union, out=np.where(union == 0, 0.0, np.nan), where=some)


def _precision(at: float) -> Callable[[pd.DataFrame], Outcome]:
    return lambda rows: share(mask_iou(rows) >= at, rows['mask_union'].notna())


OUTCOMES = {
    'referent_recall': RowMetric('recall', True, _over('best_proposal_iou')),
    'context_recall': RowMetric('recall', False, _context),
    'mean_proposals': RowMetric('recall', False, _proposals, percent=False),
    'accuracy': RowMetric('rec', True, lambda rows: share(rows['iou'] >= HIT_IOU, rows['iou'].notna())),
    'accuracy_strict': RowMetric('rec', True, _over('iou')),
    'overall_iou': RowMetric('res', False, _overall),
    **{f'pr@{x}': RowMetric('res', True, _precision(x)) for x in PRECISION_AT},
}


def rows_of(metric: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that a metric counts: a rule's proposals once, with grounder ``'-'``, or the answers of grounders."""
    if OUTCOMES[metric].task == 'recall':
        return frame.drop_duplicates([name for name in ROW if name != 'grounder']).assign(grounder=NO_GROUNDER)
    return frame[frame['grounder'] != NO_GROUNDER]
