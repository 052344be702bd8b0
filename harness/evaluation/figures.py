"""The figures of a run, computed from its rows: every metric by dataset, split, rule and grounder."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.data.answers import NO_GROUNDER
from harness.plugins import Metric
from harness.registry import METRICS

Key = tuple[str, str, str, str]


class Figures:
    """The figures of the rows of ``predictions.jsonl`` that were counted so far.

    Recall depends on the proposals alone, not on the grounder. So it is counted on the rows of the first grounder of
    each rule, and its records name no grounder.

    Args:
        tasks: some of ``recall``, ``rec`` and ``res``.
    """

    def __init__(self, tasks: Iterable[str]) -> None:
        METRICS.import_from_location()
        self.tasks = tuple(tasks)
        self._metrics: dict[Key, list[Metric]] = {}
        self._first: dict[tuple[str, str], str] = {}

    def count(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Count some rows, all of one dataset, split, rule and grounder."""
        if not rows:
            return
        dataset, split, rule, grounder = (rows[0][name] for name in ('dataset', 'split', 'proposals', 'grounder'))
        if self._first.setdefault((dataset, rule), grounder) == grounder:
            self._process((dataset, split, rule, NO_GROUNDER), [task for task in self.tasks if task == 'recall'], rows)
        if grounder != NO_GROUNDER:
            self._process((dataset, split, rule, grounder), [task for task in self.tasks if task != 'recall'], rows)

    def _process(self, key: Key, tasks: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        if not tasks:
            return
        if key not in self._metrics:
            self._metrics[key] = [metric() for metric in METRICS.module_dict.values() if metric.task in tasks]
        for metric in self._metrics[key]:
            metric.process(rows)

    def records(self) -> list[dict[str, Any]]:
        """The records of ``results.json``; a metric that could be computed on no row has none."""
        return [{'dataset': dataset, 'split': split, 'task': metric.task, 'metric': name, 'grounder': grounder,
                 'proposals': rule, 'value': value, 'n': n}
                for (dataset, split, rule, grounder), metrics in self._metrics.items()
                for metric in metrics
                for name, (value, n) in metric.compute().items() if value is not None]
