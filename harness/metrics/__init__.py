"""Metrics: one idea a file, found by name in :data:`harness.registry.METRICS`.

Each has ``names`` (of the values it computes), ``task`` (``'recall'``, ``'rec'`` or ``'res'``), ``reset()``,
``process(rows)``, ``merge(other)`` and ``compute()``, and reads nothing but the rows of ``predictions.jsonl``.
"""
from harness.metrics import rec, recall, res

__all__ = ['rec', 'recall', 'res']
