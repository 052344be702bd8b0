"""A run's figures counted again from its own ``predictions.jsonl``: has the way of counting changed?

A convention that changes without its words moves a figure by less than any tolerance, or not at all: so the IoUs of
chosen boxes and of proposals and each record's value are computed once more, here, and must agree to the last digits.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from harness.data.results import Record, key_of, said
from harness.errors import InputError
from harness.files.fields import MAX_COORDINATE
from harness.files.reading import require_regular
from reports.rows.prediction_rows import json_lines, read_predictions
from reports.statistics.outcomes import OUTCOMES, rows_of

#: Sums may be added up in another order, nothing else.
ROUNDING = 1e-6
#: Proposals are written to a thousandth of a pixel, which moves an IoU by less than this where both sides of the
#: annotated box are ``SMALLEST`` pixels or more.
WRITTEN_ROUNDED = 0.002
SMALLEST = 4
_CHUNK = 5_000


class RunPredictions:
    """The predictions of one run, by what its records are of.

    Args:
        file: ``predictions.jsonl``.
        extra: further fields to keep.

    Raises:
        InputError: as :func:`reports.rows.prediction_rows.read_predictions`.
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
    last = np.minimum(boxes[:, :2] + boxes[:, 2:] - 1, gold[:, :2] + gold[:, 2:] - 1)
    shared = np.where((corner < last).all(axis=1), (last - corner + 1).prod(axis=1), 0.0)
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


def plain_iou(gold: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU by plain areas, as recall counts, of ``(n, 4)`` with ``(n, 4)`` xywh, a box reaching to x+w: ``(n,)``
    (``calculate_iou`` in ``utils/misc.py`` of ChopinSharp/ref-nms)."""
    sides = np.minimum(gold[:, :2] + gold[:, 2:], boxes[:, :2] + boxes[:, 2:]) - np.maximum(gold[:, :2], boxes[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    either = gold[:, 2:].prod(axis=1) + boxes[:, 2:].prod(axis=1) - shared
    return np.divide(shared, either, out=np.zeros(len(gold)), where=either > 0)


def wrong_proposals(frame: pd.DataFrame, file: Path) -> str:
    """Whether each row's ``best_proposal_iou`` is what its boxes in ``proposals.jsonl`` give.

    Raises:
        InputError: that file is damaged, with its line.
    """
    rows = frame.drop_duplicates(['dataset', 'sent_id', 'proposals'])
    keys = zip(rows['dataset'].astype(str), rows['sent_id'], rows['proposals'].astype(str), strict=True)
    places = {key: place for place, key in enumerate(keys)}
    gold, said_best = rows[['gt_x', 'gt_y', 'gt_w', 'gt_h']].to_numpy(), rows['best_proposal_iou'].to_numpy()
    judged = (gold[:, 2:] >= SMALLEST).all(axis=1) & ~np.isnan(said_best)
    best = np.full(len(rows), np.nan)
    for where, lengths, boxes in _boxes(file, places):
        ious = plain_iou(gold[where].repeat(lengths, axis=0), boxes)
        some = lengths > 0
        best[where] = 0
        if some.any():
            starts = np.concatenate([[0], lengths.cumsum()[:-1]])[some]
            best[where[some]] = np.maximum.reduceat(ious, starts)
    off = judged & (np.abs(best - said_best) > WRITTEN_ROUNDED)
    if not off.any():
        return ''
    return f'{off.sum()} of {judged.sum()} differ, first on line {rows["line"].iloc[int(off.argmax())]}'


def _boxes(file: Path, places: dict[tuple, int]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Some rows of ``proposals.jsonl`` at a time: where they belong, their numbers of boxes, all their boxes xywh."""
    where: list[int] = []
    lists: list[np.ndarray] = []
    for line, row in json_lines(file):
        try:
            place = places.get((row['dataset'], row['sent_id'], row['proposals']))
            boxes = np.array(row['boxes'], float).reshape(-1, 4)
            if not (np.abs(boxes) <= MAX_COORDINATE).all():
                raise ValueError('reaches further than any image')
        except (KeyError, TypeError, ValueError, OverflowError):
            raise InputError(f'{file}: line {line}: is no row of proposals with boxes of four numbers; '
                             'give the run\'s folder as it was written') from None
        if place is not None:
            where.append(place)
            lists.append(boxes)
        if len(where) == _CHUNK:
            yield np.array(where), np.array([len(boxes) for boxes in lists]), np.concatenate(lists)
            where, lists = [], []
    if where:
        yield np.array(where), np.array([len(boxes) for boxes in lists]), np.concatenate(lists)


def recount(answers: RunPredictions, records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """What is counted again, and what is wrong with it (empty: nothing).

    Args:
        answers: read with the extra field ``box``.
        records: of the same run.
    """
    yield 'IoU of chosen boxes by inclusive pixels', wrong_boxes(answers.frame)
    proposals = answers.file.with_name('proposals.jsonl')
    require_regular(proposals)
    if proposals.is_file():
        yield 'IoU of proposals by plain areas', wrong_proposals(answers.frame, proposals)
    wrong = [text for text in map(answers.wrong, records) if text]
    yield 'records from predictions', f'{len(wrong)} differ; {wrong[0]}' if wrong else ''
