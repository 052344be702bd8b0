"""The metrics that reports know, by their names in ``results.json``."""
from __future__ import annotations

from typing import NamedTuple


class TitledMetric(NamedTuple):
    """A metric's ``title``, which heads its table, and the key under ``run.conventions`` that says how it counts."""

    title: str
    convention: str | None = None


METRICS = {
    'referent_recall': TitledMetric('Recall of the referent (%)', 'recall'),
    'context_recall': TitledMetric('Recall of contextual objects (%)', 'context_recall'),
    'mean_proposals': TitledMetric('Proposals per expression'),
    'accuracy': TitledMetric('REC accuracy (%), IoU ≥ 0.5 with inclusive pixels as the original programs count',
                             'accuracy'),
    'accuracy_strict': TitledMetric('REC accuracy (%), IoU > 0.5 as the paper\'s text says', 'accuracy_strict'),
    'overall_iou': TitledMetric('RES overall IoU (%)', 'overall_iou'),
    **{f'pr@{x}': TitledMetric(f'RES Pr@{x} (%)', 'pr@X') for x in ('0.5', '0.6', '0.7', '0.8', '0.9')},
}
