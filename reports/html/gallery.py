"""Every expression with what each rule and grounder made of it, and a sample with pictures, for the page to show."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reports.failure_bins import NAMES
from reports.failures import bins
from reports.html.picture_options import SAMPLE
from reports.html.proposal_rows import Proposals
from reports.html.thumbnails import Thumbnail, Thumbnails
from reports.rows.prediction_rows import ROW, read_predictions
from reports.statistics.outcomes import HIT_IOU, OUTCOMES, rows_of

#: The share of the pictured expressions, at most, that changed between the two rules.
CHANGED_SHARE = 0.6
SEED = 0
_DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'
NONE = '-'
#: Of a higher one no grounder is the author, and rounding it overflows.
HIGHEST_SCORE = 1e15


class Expressions(NamedTuple):
    """All expressions of the predictions: one row each, numbered from 0, and the number of each by dataset and id."""

    table: pd.DataFrame
    places: Mapping[tuple[str, int], int]
    splits: Sequence[str]
    split: np.ndarray


class ShownAnswers(NamedTuple):
    """A grounder's answers on one rule, ``(expressions,)`` each.

    ``bin`` is -1 where there is none, ``right`` says whether the box is, ``iou`` and ``score`` are NaN where there is
    none, ``box`` is as in the file.
    """

    bin: np.ndarray
    right: np.ndarray
    iou: np.ndarray
    score: np.ndarray
    box: np.ndarray


def read_answers(files: Sequence[Path]) -> pd.DataFrame:
    """The predictions of several runs, with boxes and scores; what two runs both have counts once.

    Raises:
        InputError: as :func:`reports.rows.prediction_rows.read_predictions`.
    """
    frames = [read_predictions([file], extra=('score', 'box')) for file in files]
    for frame in frames:
        texts = [str(name) for name, kind in frame.dtypes.items() if isinstance(kind, pd.CategoricalDtype)]
        frame[texts] = frame[texts].astype(object)
    return pd.concat(frames, ignore_index=True).drop_duplicates(ROW, ignore_index=True)


def expressions_of(predictions: pd.DataFrame) -> Expressions:
    """The expressions in order of appearance."""
    table = predictions.drop_duplicates(['dataset', 'sent_id'], ignore_index=True)
    places = {key: i for i, key in enumerate(zip(table['dataset'], table['sent_id'].tolist(), strict=True))}
    split, names = pd.factorize(table['dataset'].astype(str) + ' ' + table['split'].astype(str))
    return Expressions(table, places, list(names), split)


def answers_of(predictions: pd.DataFrame, expressions: Expressions) -> dict[str, dict[str, ShownAnswers]]:
    """The answers by grounder and rule."""
    rows = rows_of('accuracy', predictions)
    rows = rows[rows['iou'].notna() | rows['mask_union'].notna()]
    found: dict[str, dict[str, ShownAnswers]] = {}
    if len(rows):
        rows = rows.assign(bin=bins(rows))
        for (grounder, rule), mine in rows.groupby(['grounder', 'proposals'], sort=False):
            found.setdefault(str(grounder), {})[str(rule)] = _answers(mine, expressions)
    return found


def _answers(rows: pd.DataFrame, expressions: Expressions) -> ShownAnswers:
    n, place = len(expressions.table), places_of(rows, expressions)
    iou = rows['iou'].to_numpy(float)
    score = pd.to_numeric(rows['score'], errors='coerce').to_numpy(float)
    right = np.where(np.isnan(iou), rows['bin'] == NAMES.index('right'), iou >= HIT_IOU)
    return ShownAnswers(_laid(n, place, rows['bin'], -1), _laid(n, place, right, False), _laid(n, place, iou, np.nan),
                        _laid(n, place, np.where(np.abs(score) > HIGHEST_SCORE, np.nan, score), np.nan),
                        _laid(n, place, rows['box'], None))


def found_by_rule(predictions: pd.DataFrame, expressions: Expressions) -> dict[str, np.ndarray]:
    """Whether each rule proposes the referent: 1, 0, or -1 where that is not known, ``(expressions,)`` by rule."""
    rows = rows_of('referent_recall', predictions)
    found = {}
    for rule, mine in rows.groupby('proposals', sort=False):
        outcome = OUTCOMES['referent_recall'].of(mine)
        found[str(rule)] = _laid(len(expressions.table), places_of(mine, expressions),
                                 np.where(outcome.counts, outcome.part > 0, -1), -1)
    return found


def places_of(rows: pd.DataFrame, expressions: Expressions) -> np.ndarray:
    """``(rows,)`` the number of each row's expression."""
    keys = pd.MultiIndex.from_arrays([expressions.table['dataset'], expressions.table['sent_id']])
    return keys.get_indexer(pd.MultiIndex.from_arrays([rows['dataset'], rows['sent_id']]))


def _laid(n: int, place: np.ndarray, values: Any, empty: Any) -> np.ndarray:
    values = np.asarray(values)
    laid = np.full(n, empty, dtype=object if empty is None else np.result_type(values, type(empty)))
    laid[place] = values
    return laid


def order_of_sample(answers: Mapping[str, Mapping[str, ShownAnswers]], found: Mapping[str, np.ndarray],
                    rules: tuple[str, str | None], splits: np.ndarray, most: int = SAMPLE) -> Iterator[int]:
    """Expressions in the order in which they deserve a picture.

    First those that changed between the two rules, split by split in turn, up to :data:`CHANGED_SHARE` of the sample
    of ``most``; then all, one of each bin of each grounder and rule in turn.
    """
    n, both = len(splits), [rule for rule in rules if rule is not None]
    shuffled = np.random.default_rng(SEED).permutation(n)
    sides = [[mine[rule].right for rule in both if rule in mine] for mine in answers.values()]
    sides += [[found[rule] > 0 for rule in both if rule in found]] if not answers else []
    changed = np.zeros(n, bool)
    for side in sides:
        if len(side) == 2:
            changed |= side[0] != side[1]
    first = shuffled[changed[shuffled]]
    first = first[np.argsort(_turn(splits[first]), kind='stable')][:int(most * CHANGED_SHARE)]
    turn = np.full(n, n)
    groups = [mine[rule].bin for mine in answers.values() for rule in both if rule in mine]
    groups += [found[rule] for rule in both if rule in found]
    for group in groups:
        turn[shuffled] = np.minimum(turn[shuffled], _turn(group[shuffled]))
    rest = shuffled[np.argsort(turn[shuffled], kind='stable')]
    yield from dict.fromkeys([*first.tolist(), *rest.tolist()])


def _turn(groups: np.ndarray) -> np.ndarray:
    """``(n,)`` how many of its own group stand before each."""
    return pd.Series(groups).groupby(groups).cumcount().to_numpy()


def sample(order: Iterable[int], expressions: Expressions, thumbnails: Thumbnails,
           most: int = SAMPLE) -> dict[int, Thumbnail]:
    """The first expressions whose image is there, ``most`` at most, each with its thumbnail."""
    chosen: dict[int, Thumbnail] = {}
    table = expressions.table
    datasets, images, files = (table[name].tolist() for name in ('dataset', 'image_id', 'image_file'))
    sizes = table[['image_w', 'image_h']].to_numpy(float)
    for number in order if thumbnails.folders else ():
        if len(chosen) == most:
            break
        width, height = sizes[number]
        size = None if np.isnan(width) else (int(width), int(height))
        file = files[number] if isinstance(files[number], str) else None
        found = thumbnails(datasets[number], images[number], size, file)
        if found is not None:
            chosen[number] = found
    return chosen


def payload(expressions: Expressions, answers: Mapping[str, Mapping[str, ShownAnswers]],
            found: Mapping[str, np.ndarray], proposals: Proposals | None,
            pictures: Mapping[int, Thumbnail]) -> dict[str, Any]:
    """What the page's script reads: one compact column per field."""
    table = expressions.table
    sources = {thumb.source: thumb for thumb in pictures.values()}
    numbers = {source: i for i, source in enumerate(sources)}
    shown = [numbers[pictures[i].source] if i in pictures else None for i in range(len(table))]
    return {
        'sent': table['sent'].tolist(), 'split': expressions.split.tolist(), 'splits': list(expressions.splits),
        'image': table['image_id'].tolist(), 'id': table['sent_id'].tolist(),
        'found': {rule: _letters(column) for rule, column in found.items()},
        'answers': {grounder: {rule: _answer_columns(mine, pictures) for rule, mine in by_rule.items()}
                    for grounder, by_rule in answers.items()},
        'truth': {i: _whole(table.loc[i, ['gt_x', 'gt_y', 'gt_w', 'gt_h']].to_numpy(float)) for i in pictures},
        'thumb': shown, 'thumbs': [list(thumb) for thumb in sources.values()],
        **(_proposal_columns(proposals, len(table)) if proposals is not None else {}),
    }


def _answer_columns(mine: ShownAnswers, pictures: Mapping[int, Thumbnail]) -> dict[str, Any]:
    return {'bin': _letters(mine.bin), 'right': _letters(np.where(mine.bin < 0, -1, mine.right)),
            'iou': _rounded(mine.iou, 2), 'score': _rounded(mine.score, 4),
            'box': {i: box for i in pictures if (box := _box(mine.box[i])) is not None}}


def _proposal_columns(proposals: Proposals, n: int) -> dict[str, Any]:
    kept, top = {}, {}
    for code, rule in enumerate(proposals.rules):
        rows = proposals.rule == code
        kept[rule] = [None if x < 0 else x for x in _laid(n, proposals.expression[rows], proposals.length[rows],
                                                          -1).tolist()]
        top[rule] = _rounded(_laid(n, proposals.expression[rows], proposals.top[rows], np.nan), 3)
    return {
        'kept': kept, 'top': top,
        'attention': {rule: [None if (weights := by_place.get(i)) is None else [round(100 * w) for w in weights]
                             for i in range(n)] for rule, by_place in proposals.attention.items()},
        'drawn': {rule: {i: [drawn.boxes.ravel().tolist(), drawn.hits] for i, drawn in by_place.items()}
                  for rule, by_place in proposals.drawn.items()},
    }


def _letters(column: np.ndarray) -> str:
    """One digit per expression, or a dash for -1."""
    return ''.join(NONE if x < 0 else _DIGITS[x] for x in np.asarray(column, int).tolist())


def _rounded(column: np.ndarray, digits: int) -> list[float | None]:
    return [None if x != x else x for x in np.round(column.astype(float), digits).tolist()]


def _box(box: Any) -> list[int] | None:
    try:
        array = np.array(box, float)
    except (ValueError, TypeError, OverflowError):
        return None
    return _whole(array) if array.shape == (4,) and (np.abs(array) < 1e6).all() else None


def _whole(box: np.ndarray) -> list[int]:
    return np.asarray(box).round().astype(int).tolist()

