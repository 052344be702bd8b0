"""The outcome of a run: times, counts and figures."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from harness.evaluation.counters import Counters
from harness.evaluation.figures import Figures
from harness.evaluation.journal import read_journal
from harness.evaluation.result_folder import ROWS
from harness.evaluation.timing import Timing


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        timing: the time of each stage.
        counters: counts of images, expressions and oddities.
        records: the figures, as in ``results.json``.
    """

    timing: Timing
    counters: Counters
    records: list[dict[str, Any]]


def outcome_of(folder: Path, tasks: Iterable[str]) -> Outcome:
    """The outcome of a run, read from its files.

    It is the same for a run in one go, for one that was stopped and continued, and for one merged from shards.
    """
    timing, counters, figures = Timing(), Counters(), Figures(tasks)
    for entry in read_journal(folder)[1]:
        timing.add(entry.timing)
        counters.add(entry.counters)
    with timing.stage('count figures', counters.expressions), (folder / ROWS).open('rb') as lines:
        rows = map(orjson.loads, lines)
        for _, same in groupby(rows, key=lambda r: (r['dataset'], r['split'], r['proposals'], r['grounder'])):
            figures.count(list(same))
    return Outcome(timing, counters, figures.records())
