"""Metrics: one idea a file, found by name in :data:`harness.registry.METRICS`.

Each derives from :class:`harness.plugins.Metric` and reads nothing but the rows of ``predictions.jsonl``.
"""
from harness.metrics import rec, recall, res

__all__ = ['rec', 'recall', 'res']
