"""What a run has measured: time, counts and figures."""
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
    """What a run has measured.

    Attributes:
        timing: by stage.
        counters: of images, expressions and oddities.
        records: the figures, as ``results.json`` has them.
    """

    timing: Timing
    counters: Counters
    records: list[dict[str, Any]]


def outcome_of(folder: Path, tasks: Iterable[str]) -> Outcome:
    """What the files of a run say was measured: a run in one piece, one that was cut off and gone on with, and one that
    was merged from parts say the same."""
    timing, counters, figures = Timing(), Counters(), Figures(tasks)
    for entry in read_journal(folder)[1]:
        timing.add(entry.timing)
        counters.add(entry.counters)
    with timing.stage('count figures', counters.expressions), (folder / ROWS).open('rb') as lines:
        rows = map(orjson.loads, lines)
        for _, same in groupby(rows, key=lambda r: (r['dataset'], r['split'], r['proposals'], r['grounder'])):
            figures.count(list(same))
    return Outcome(timing, counters, figures.records())
