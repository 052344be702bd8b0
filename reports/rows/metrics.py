"""The metrics that reports know, by their names in ``results.json``."""
from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """``title`` heads its table; ``convention`` is the key under ``run.conventions`` that says how it counts."""

    title: str
    convention: str | None = None


METRICS = {
    'referent_recall': Metric('Recall of the referent (%)', 'recall'),
    'context_recall': Metric('Recall of contextual objects (%)', 'context_recall'),
    'mean_proposals': Metric('Proposals per expression'),
    'accuracy': Metric('REC accuracy (%), IoU ≥ 0.5 with inclusive pixels as the original programs count', 'accuracy'),
    'accuracy_strict': Metric('REC accuracy (%), IoU > 0.5 as the paper\'s text says', 'accuracy_strict'),
    'overall_iou': Metric('RES overall IoU (%)', 'overall_iou'),
    **{f'pr@{x}': Metric(f'RES Pr@{x} (%)', 'pr@X') for x in ('0.5', '0.6', '0.7', '0.8', '0.9')},
}
