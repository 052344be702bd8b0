"""Some answers counted by every rule: figures, how far they are from ours, and which answers change."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from harness.errors import InputError
from reports.conventions.rec_rules import REC_RULES
from reports.conventions.res_rules import RES_RULES
from reports.conventions.rule import BATCH_SIZE, Rule, answers_of
from reports.statistics.outcomes import Outcome, rows_of

RULES = {rule.name: rule for rule in (*REC_RULES, *RES_RULES)}
#: What a figure is printed to is two decimals; it is kept to four.
DIGITS = 4
#: How many answers are named that change.
EXAMPLES = 3


class Example(NamedTuple):
    """An answer that changes: its row's label in the table, its expression, and whether the rule counts it right."""

    row: int
    sent_id: int
    sentence: str
    right: bool


class Line(NamedTuple):
    """What a rule makes of some answers.

    Attributes:
        value: percent, NaN where the rows lack what the rule needs or none counts.
        rows: how many rows count, ``None`` where the rule can't be applied.
        difference: to ours, in points.
        to_wrong, to_right: how many rows that count for both are right by ours and wrong by the rule, and the other
            way about; ``None`` where answers are not right or wrong.
        examples: some of these, in the order of the file.
    """

    rule: Rule
    value: float = math.nan
    rows: int | None = None
    difference: float = math.nan
    to_wrong: int | None = None
    to_right: int | None = None
    examples: tuple[Example, ...] = ()


class Ledger(NamedTuple):
    """All rules of a task on the answers of one grounder on one rule's proposals to one split."""

    dataset: str
    split: str
    grounder: str
    proposals: str
    task: str
    lines: list[Line]


def ledgers(predictions: pd.DataFrame, batch_size: int = BATCH_SIZE, examples: int = EXAMPLES) -> list[Ledger]:
    """A ledger for each dataset, split, grounder, rule and task, in the order of the rows.

    Args:
        predictions: as :func:`reports.rows.prediction_rows.read_predictions` gives them.
        batch_size: of the loader that drops its last batch.
        examples: how many changes are named, at most.

    Raises:
        InputError: no grounder answered.
    """
    rows = rows_of('accuracy', predictions)
    rows = rows[rows['iou'].notna() | rows['mask_union'].notna()]
    if rows.empty:
        raise InputError('no grounder answered here, so there is nothing to count; give a run with a grounder')
    return [Ledger(dataset, split, grounder, proposals, task, lines)
            for (dataset, split, grounder, proposals), mine in _groups(rows)
            for task, lines in _by_task(mine, batch_size, examples)]


def ledger(rows: pd.DataFrame, rules: Sequence[Rule], batch_size: int = BATCH_SIZE,
           examples: int = EXAMPLES) -> list[Line]:
    """The lines of some rules, those that others are compared with among them, on the rows of one grounder."""
    answers = answers_of(rows, batch_size)
    counted = {rule.name: rule.count(answers) for rule in rules}
    return [_line(rule, counted[rule.name], counted[rule.against], rows, examples) for rule in rules]


def _groups(rows: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str, str], pd.DataFrame]]:
    names = ['dataset', 'split', 'grounder', 'proposals']
    for (dataset, split, grounder, proposals), mine in rows.groupby(names, sort=False, observed=True):
        yield (str(dataset), str(split), str(grounder), str(proposals)), mine


def _by_task(rows: pd.DataFrame, batch_size: int, examples: int) -> Iterator[tuple[str, list[Line]]]:
    for task, rules, needed in (('rec', REC_RULES, 'iou'), ('res', RES_RULES, 'mask_union')):
        mine = rows[rows[needed].notna()]
        if len(mine):
            yield task, ledger(mine, rules, batch_size, examples)


def _line(rule: Rule, found: Outcome | None, ours: Outcome | None, rows: pd.DataFrame, examples: int) -> Line:
    if found is None or ours is None:
        return Line(rule)
    value, difference = found.value(), round(found.value() - ours.value(), DIGITS) + 0.0
    line = Line(rule, round(value, DIGITS), int(found.counts.sum()), difference)
    if not rule.yes_no:
        return line
    right, was_right = found.by_row() > 50, ours.by_row() > 50
    changed = np.flatnonzero(found.counts & ours.counts & (right != was_right))
    return line._replace(to_wrong=int(was_right[changed].sum()), to_right=int(right[changed].sum()),
                         examples=tuple(_named(rows, changed[:examples], right)))


def _named(rows: pd.DataFrame, places: np.ndarray, right: np.ndarray) -> Iterator[Example]:
    labels, ids, sentences = rows.index.tolist(), rows['sent_id'].to_numpy(), rows['sent']
    for place in places.tolist():
        yield Example(labels[place], int(ids[place]), str(sentences.iat[place]), bool(right[place]))
