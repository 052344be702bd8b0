"""``proposals.jsonl`` for the report: how far down each list the referent is, what the rule attended to, a few boxes.

A row is one rule's proposals for one expression, best first (``proposals_rows`` in
``harness/evaluation/predictions.py``). Ranks and lengths are kept of all rows as arrays; boxes only of the
expressions that are drawn.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.errors import InputError
from reports.rows.prediction_rows import json_lines

HITS = {'referent': 'r', 'context': 'c', None: '-'}
NEEDED = ('dataset', 'sent_id', 'proposals', 'boxes', 'hits', 'confidence', 'word_attention')
_LARGEST = 1e6


class DrawnProposals(NamedTuple):
    """Proposals to draw: boxes ``(n, 4)`` xywh in whole pixels, and a letter of :data:`HITS` for each."""

    boxes: np.ndarray
    hits: str


class Proposals(NamedTuple):
    """What is kept of the rows.

    Attributes:
        expression: ``(k,)`` each row's expression, by its number.
        rule: ``(k,)`` its rule, an index into ``rules``.
        length: ``(k,)`` how many proposals it has.
        rank: ``(k,)`` place of the first that hits the referent, from 0; -1 where none does.
        top: ``(k,)`` the detector's confidence in the first, NaN where there is none.
        attention: by rule and expression, a weight for each word.
        drawn: by rule and expression, of the expressions that are drawn.
        without_hits: files of earlier versions, that do not say what a proposal hits; nothing is kept of them.
    """

    rules: list[str]
    expression: np.ndarray
    rule: np.ndarray
    length: np.ndarray
    rank: np.ndarray
    top: np.ndarray
    attention: dict[str, dict[int, Sequence[float]]]
    drawn: dict[str, dict[int, DrawnProposals]]
    without_hits: list[Path]


def read_proposals(files: Sequence[Path], places: Mapping[tuple[str, int], int], draw: Collection[int]) -> Proposals:
    """Read the proposals of one or several runs; a rule's row that several have counts once.

    Args:
        files: each run's ``proposals.jsonl``.
        places: each expression's number, by dataset and ``sent_id``.
        draw: the numbers of the expressions whose boxes are wanted.

    Raises:
        InputError: with file and line: a line is no JSON or lacks a field, a list is no list or not as long as the
            boxes are, a number is none, or the expression is in no prediction.
    """
    attention: dict[str, dict[int, Sequence[float]]] = {}
    drawn: dict[str, dict[int, DrawnProposals]] = {}
    without_hits: list[Path] = []
    rows: list[tuple[int, int, int, int, float]] = []
    rules: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()
    wanted = frozenset(draw)
    for file in files:
        for line, row in json_lines(file):
            _check_fields(file, line, row)
            if 'hits' not in row:
                without_hits.append(file)
                break
            name, hits, boxes = row['proposals'], row['hits'], row['boxes']
            place = places.get((row['dataset'], row['sent_id']))
            if place is None:
                raise InputError(f'{file}: line {line}: sent_id {row["sent_id"]} of {row["dataset"]} is in no '
                                 'predictions.jsonl; give the files of one run')
            code = rules.setdefault(name, len(rules))
            if (place, code) in seen:
                continue
            seen.add((place, code))
            if not _hits_fit(hits, boxes):
                raise InputError(f'{file}: line {line}: \'hits\' must say "referent", "context" or null of each box')
            rank = hits.index('referent') if 'referent' in hits else -1
            rows.append((place, code, len(hits), rank, _first(file, line, row['confidence'])))
            if row['word_attention'] is not None:
                attention.setdefault(name, {})[place] = _numbers(file, line, row, 'word_attention', 1).tolist()
            if place in wanted:
                corners = _numbers(file, line, row, 'boxes', 2).reshape(-1, 4).round().astype(int)
                drawn.setdefault(name, {})[place] = DrawnProposals(corners, ''.join(HITS[hit] for hit in hits))
    table = np.array(rows, float).reshape(-1, 5)
    expression, rule, length, rank = table[:, :4].T.astype(int)
    return Proposals(list(rules), expression, rule, length, rank, table[:, 4], attention, drawn, without_hits)


def _check_fields(file: Path, line: int, row: Any) -> None:
    if not isinstance(row, dict):
        raise InputError(f'{file}: line {line}: is not a record with named fields; give proposals.jsonl of a run')
    missing = next((name for name in NEEDED if name not in row and name != 'hits'), None)
    if missing is not None:
        raise InputError(f'{file}: line {line}: has no {missing!r}; give proposals.jsonl of a run')
    for name, kind in (('dataset', str), ('proposals', str), ('sent_id', int), ('boxes', list)):
        if not isinstance(row[name], kind):
            raise InputError(f'{file}: line {line}: {name!r} is of the wrong kind; give proposals.jsonl of a run')


def _hits_fit(hits: Any, boxes: Sequence[Any]) -> bool:
    try:
        return isinstance(hits, list) and len(hits) == len(boxes) and set(hits) <= set(HITS)
    except TypeError:
        return False


def _first(file: Path, line: int, confidence: Any) -> float:
    if not confidence:
        return float('nan')
    if not isinstance(confidence, list) or not isinstance(confidence[0], int | float):
        raise InputError(f'{file}: line {line}: \'confidence\' must be a list of numbers or null')
    return float(min(max(confidence[0], -_LARGEST), _LARGEST))


def _numbers(file: Path, line: int, row: Mapping[str, Any], name: str, dimensions: int) -> np.ndarray:
    """A field as an array: one number per entry, or four per box."""
    try:
        array = np.array(row[name], float)
    except (ValueError, TypeError, OverflowError):
        array = np.full(1, np.nan)
    fits = array.size == 0 or (array.ndim == dimensions and (dimensions == 1 or array.shape[1] == 4))
    if not fits or not (np.abs(array) <= _LARGEST).all():
        raise InputError(f'{file}: line {line}: {name!r} must be a list of {"numbers" if dimensions == 1 else "boxes"}')
    return array
