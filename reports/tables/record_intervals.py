"""Each record's 95 % interval, from the ``predictions.jsonl`` beside its ``results.json``."""
from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import pandas as pd

from harness.data.results import Record, key_of, said
from harness.errors import InputError
from reports.rows.prediction_rows import read_predictions
from reports.rows.results_files import Results, Run
from reports.statistics.intervals import FEWEST_IMAGES, RESAMPLES, Interval, interval
from reports.statistics.outcomes import OUTCOMES, rows_of
from reports.tables.layout import Cell, Table

#: How far a record may be from what its predictions give: rounding of sums, nothing else.
TOLERANCE = 1e-6


class RecordIntervals:
    """Gives a record of some results its interval, drawing whole images again.

    Args:
        results: whose predictions are read, each file once and only when it is needed.
    """

    def __init__(self, results: Results) -> None:
        self._runs: dict[tuple, Run] = {}
        for run in results.runs:
            for record in run.records:
                self._runs.setdefault(key_of(record), run)
        self._predictions = cache(_predictions)
        self._by_answer = cache(self._rows_by_answer)

    def __call__(self, record: Record) -> Interval | None:
        """In the metric's unit; ``None`` for a metric that can't be told from single rows.

        Raises:
            InputError: the predictions are missing, unreadable, or give another value than the record.
        """
        metric = OUTCOMES.get(record['metric'])
        if metric is None:
            return None
        key = key_of(record)
        run = self._runs[key]
        file = run.file.with_name('predictions.jsonl')
        dataset, split, _, grounder, rule = key
        rows = self._by_answer(file, metric.task == 'recall').get((dataset, split, rule, grounder))
        if rows is None:
            raise InputError(f'{file}: has no row for {said(key)}; leave --ci out or give the files of one run')
        outcome = metric.of(rows)
        found = interval(rows['image_id'].to_numpy(), outcome.part, outcome.whole)
        if not abs(found.estimate - record['value']) <= TOLERANCE:
            raise InputError(f'{file}: gives {found.estimate:.4f} for {said(key)}, {run.file.name} says '
                             f'{record["value"]:.4f}; they are not of one run, leave --ci out or give '
                             'its own')
        return found

    def _rows_by_answer(self, file: Path, recall: bool) -> dict[tuple, pd.DataFrame]:
        """Rows by dataset, split, rule and grounder: each rule's proposals once, or the answers of grounders."""
        rows = rows_of('referent_recall' if recall else 'accuracy', self._predictions(file))
        keys = [rows[name].astype(str) for name in ('dataset', 'split', 'proposals', 'grounder')]
        return {key: group for key, group in rows.groupby(keys, observed=True)}


def measured_cell(record: Record, intervals: RecordIntervals | None, published: float | None = None) -> Cell:
    """A record as a cell of a table, with its interval where intervals are asked for."""
    found = intervals(record) if intervals is not None else None
    if found is None:
        return Cell(record['value'], record['n'], published)
    low, high = (None, None) if math.isnan(found.low) else (found.low, found.high)
    return Cell(record['value'], record['n'], published, low, high, found.images)


def said_of_intervals(table: Table) -> list[str]:
    """What the intervals of a table are, and where there were too few images for one; nothing without intervals."""
    images = {(column.dataset, column.split, column.metric): cell.images for line in table.lines
              for column, cell in zip(table.columns, line.cells, strict=True) if cell.images is not None}
    if not images:
        return []
    few = [f'{dataset} {split}, {metric} ({n})' for (dataset, split, metric), n in images.items() if n < FEWEST_IMAGES]
    told = f' Fewer than {FEWEST_IMAGES} images, too few to tell: {"; ".join(few)}.' if few else ''
    return [f'In brackets: 95 % interval, whole images drawn again {RESAMPLES:,} times.{told}']


def _predictions(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise InputError(f'{file}: --ci needs it and it is not there; leave --ci out or give the run\'s folder')
    return read_predictions([file])
