"""A run's figures counted again from its own ``predictions.jsonl``: has the way of counting changed?

A convention that changes without its words moves a figure by less than any tolerance, or not at all: so each chosen
box's IoU and each record's value are computed once more, here, and must agree to the last digits.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from reports.outcomes import OUTCOMES, rows_of
from reports.prediction_rows import read_predictions
from reports.results_files import Record, key_of, said

#: Sums may be added up in another order, nothing else.
ROUNDING = 1e-6


class Answers:
    """The predictions of one run, by what its records are of.

    Args:
        file: ``predictions.jsonl``.
        extra: further fields to keep.

    Raises:
        InputError: as :func:`reports.prediction_rows.read_predictions`.
    """

    def __init__(self, file: Path, extra: tuple[str, ...] = ()) -> None:
        self.file = file
        self.frame = read_predictions([file], extra)
        self._rows: dict[tuple, pd.DataFrame] = {}
        for metric in ('referent_recall', 'accuracy'):
            some = rows_of(metric, self.frame)
            keys = [some[name].astype(str) for name in ('dataset', 'split', 'grounder', 'proposals')]
            self._rows |= {(OUTCOMES[metric].task == 'recall', *map(str, key)): rows
                           for key, rows in some.groupby(keys)}

    def of(self, record: Record) -> pd.DataFrame | None:
        """The rows that a record is of, ``None`` where there are none."""
        dataset, split, metric, grounder, rule = key_of(record)
        return self._rows.get((OUTCOMES[metric].task == 'recall', dataset, split, grounder, rule))

    def wrong(self, record: Record) -> str:
        """What is wrong with a record by its rows; empty where it agrees, or its metric is not known here."""
        if record['metric'] not in OUTCOMES:
            return ''
        rows = self.of(record)
        if rows is None:
            return f'the predictions have no row for {said(key_of(record))}'
        outcome = OUTCOMES[record['metric']].of(rows)
        value, n = outcome.value(), int(outcome.counts.sum())
        if n == record['n'] and abs(value - record['value']) <= ROUNDING:
            return ''
        return (f'the predictions give {value:.4f} on {n} for {said(key_of(record))}, '
                f'the results say {record["value"]:.4f} on {record["n"]}')


def chosen_iou(boxes: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """IoU as REC accuracy counts: both end pixels belong to a box, an overlap of one pixel or less is none.

    Args:
        boxes: ``(n, 4)`` xywh, the last pixel being x+w-1 (``computeIoU`` in ``lib/models/eval_dets_utils.py`` of
            lichengunc/MAttNet).
        gold: ``(n, 4)`` the same.

    Returns:
        ``(n,)``.
    """
    corner = np.maximum(boxes[:, :2], gold[:, :2])
    sides = np.minimum(boxes[:, :2] + boxes[:, 2:], gold[:, :2] + gold[:, 2:]) - corner
    shared = np.where((sides > 1).all(axis=1), sides.prod(axis=1), 0.0)
    either = boxes[:, 2:].prod(axis=1) + gold[:, 2:].prod(axis=1) - shared
    return np.divide(shared, either, out=np.zeros(len(boxes)), where=either > 0)


def wrong_boxes(frame: pd.DataFrame) -> str:
    """Whether each row's ``iou`` is what its ``box`` gives (a table read with the extra field ``box``)."""
    rows = frame[frame['has_box'] & frame['iou'].notna()]
    boxes = np.array(rows['box'].tolist(), float).reshape(-1, 4)
    gold = rows[['gt_x', 'gt_y', 'gt_w', 'gt_h']].to_numpy()
    off = ~(np.abs(chosen_iou(boxes, gold) - rows['iou'].to_numpy()) <= ROUNDING)
    if not off.any():
        return ''
    return f'{off.sum()} of {len(rows)} differ, first on line {rows["line"].iloc[int(off.argmax())]}'


def recount(answers: Answers, records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """What is counted again, and what is wrong with it (empty: nothing).

    Args:
        answers: read with the extra field ``box``.
        records: of the same run.
    """
    yield 'IoU of chosen boxes by inclusive pixels', wrong_boxes(answers.frame)
    wrong = [text for text in map(answers.wrong, records) if text]
    yield 'records from predictions', f'{len(wrong)} differ; {wrong[0]}' if wrong else ''
