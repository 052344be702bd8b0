"""The report's first three sentences, and the figures in them: which rule finds more, what it brings, where it goes.

All from the records, splits weighted by their expressions; what changed between two rules from the predictions.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from harness.data.results import Record
from reports.compare import Pair, pair_up
from reports.failure_bins import NAMES
from reports.failures import bins
from reports.rows.prediction_rows import NO_GROUNDER
from reports.statistics.intervals import Interval, paired_interval
from reports.statistics.outcomes import HIT_IOU, OUTCOMES, rows_of

BEFORE_THE_GROUNDER = [NAMES.index(name) for name in ('no_candidate', 'suppressed', 'not_proposed')]


class Tile(NamedTuple):
    """A figure on two rules: what it is, of which rule A and B, and B minus A with its interval where there is one."""

    title: str
    a: float
    b: float
    unit: str
    points: bool
    interval: Interval | None = None

    @property
    def change(self) -> float:
        """B minus A, of the numbers as printed."""
        return round(round(self.b, 1) - round(self.a, 1), 1) + 0.0


class Summary(NamedTuple):
    """Three sentences, the figures to show beside them, and the two rules that they are about."""

    sentences: list[str]
    tiles: list[Tile]
    rules: tuple[str, str | None]


def two_rules(rules: Sequence[str]) -> tuple[str, str | None]:
    """The two to lay beside each other: greedy and Ref-NMS, both with or both without a fixed number of proposals.

    Args:
        rules: all there are, one at least.

    Returns:
        The plain one, and the other or ``None`` where there is one rule only.
    """
    for plain in ('greedy', 'greedy-100'):
        for other in rules:
            if plain in rules and other.startswith('ref-nms') and other.endswith('-100') == plain.endswith('-100'):
                return plain, other
    plain = next((rule for rule in ('greedy', 'greedy-100') if rule in rules), rules[0])
    return plain, next((rule for rule in rules if rule != plain), None)


def summary(records: Sequence[Record], predictions: pd.DataFrame | None) -> Summary:
    """What the results say of two rules.

    Args:
        records: of all runs.
        predictions: their rows, ``None`` where there are none.
    """
    a, b = two_rules(list(dict.fromkeys(record['proposals'] for record in records)))
    if b is None:
        return Summary(_alone(records, a), [], (a, None))
    recall, tiles = _recall(records, predictions, a, b)
    answered, more = _accuracy(records, predictions, a, b)
    return Summary([recall, answered, _changes(predictions, a, b, len(tiles) > 0)], tiles + more, (a, b))


def pooled(records: Sequence[Record], metric: str, grounder: str, rules: Sequence[str]) -> list[float] | None:
    """A metric of each rule, over the splits that all of them were measured on, weighted by their expressions."""
    mine: list[dict[tuple[str, str], Record]] = [
        {(r['dataset'], r['split']): r for r in records
         if (r['metric'], r['grounder'], r['proposals']) == (metric, grounder, rule)} for rule in rules]
    shared = [key for key in mine[0] if all(key in of_rule for of_rule in mine)]
    if not shared:
        return None
    total = sum(mine[0][key]['n'] for key in shared)
    return [sum(of_rule[key]['value'] * mine[0][key]['n'] for key in shared) / total for of_rule in mine]


def _alone(records: Sequence[Record], rule: str) -> list[str]:
    found = pooled(records, 'referent_recall', NO_GROUNDER, [rule])
    kept = pooled(records, 'mean_proposals', NO_GROUNDER, [rule])
    first = f'Only {rule} was run, so there is no other rule to compare it with'
    if found is not None:
        at = f' at {kept[0]:.1f} proposals per expression' if kept is not None else ''
        first += f'; it finds {found[0]:.1f} % of the referents{at}'
    answers = [(grounder, value[0]) for grounder in _grounders(records)
               if (value := pooled(records, 'accuracy', grounder, [rule])) is not None]
    right = _listed([f'{grounder} answers {value:.1f} % right' for grounder, value in answers])
    return [f'{first}.', f'On it {right} (REC accuracy).' if answers else 'No grounder was measured by REC accuracy.',
            'What another rule would bring can\'t be told from these results.']


def _recall(records: Sequence[Record], predictions: pd.DataFrame | None, a: str,
            b: str) -> tuple[str, list[Tile]]:
    found = pooled(records, 'referent_recall', NO_GROUNDER, (a, b))
    if found is None:
        return f'Recall of {a} and {b} was not measured on the same data, so it is open which of them finds more.', []
    kept = pooled(records, 'mean_proposals', NO_GROUNDER, (a, b))
    sure = _difference('referent_recall', predictions, a, b, NO_GROUNDER)
    tiles = [Tile('Referents found', found[0], found[1], '%', True, sure)]
    if kept is not None:
        tiles.append(Tile('Proposals per expression', kept[0], kept[1], '', False))
    at = [f' at {number:.1f} proposals per expression' if number is not None else '' for number in kept or (None, None)]
    more, less = (1, 0) if found[1] >= found[0] else (0, 1)
    names = (a, b)
    difference = abs(tiles[0].change)
    if difference == 0:
        return (f'{a} and {b} find equally many referents: {found[0]:.1f} %{at[0]} and {found[1]:.1f} %{at[1]}.', tiles)
    text = (f'{names[more]} finds more: {found[more]:.1f} % of the referents{at[more]}, where {names[less]} finds '
            f'{found[less]:.1f} %{at[less].removesuffix(" per expression")}, {difference:.1f} points fewer')
    if sure is not None and sure.too_small:
        text += f' (on {sure.images} images, too few to tell)'
    elif sure is not None and sure.low <= 0 <= sure.high:
        text += ', which is within chance'
    return f'{text}.', tiles


def _accuracy(records: Sequence[Record], predictions: pd.DataFrame | None, a: str,
              b: str) -> tuple[str, list[Tile]]:
    tiles = []
    for grounder in _grounders(records):
        values = pooled(records, 'accuracy', grounder, (a, b))
        if values is not None:
            sure = _difference('accuracy', predictions, a, b, grounder)
            tiles.append(Tile(f'{grounder}, REC accuracy', values[0], values[1], '%', True, sure))
    if not tiles:
        return f'No grounder answered on both {a} and {b}, so what the difference brings a grounder is open.', []
    parts = [f'from {tile.a:.1f} % to {tile.b:.1f} % with {tile.title.rpartition(",")[0]} ({_signed(tile.change)} '
             f'points{_within(tile.interval)})' for tile in tiles]
    return f'With {b} in the place of {a}, REC accuracy goes {_listed(parts)}.', tiles


def _changes(predictions: pd.DataFrame | None, a: str, b: str, recall: bool) -> str:
    """Where the first grounder's new right answers were lost before, or else which referents only one rule finds."""
    if predictions is None:
        return 'Without predictions.jsonl beside the results it is not known which expressions changed.'
    for grounder in dict.fromkeys(predictions['grounder']):
        pair = _pair('accuracy', predictions, a, b, grounder)
        if pair is not None and pair.a['iou'].notna().all() and pair.b['iou'].notna().all():
            right = [rows['iou'].to_numpy() >= HIT_IOU for rows in pair[:2]]
            lost = [np.isin(bins(rows), BEFORE_THE_GROUNDER) for rows in pair[:2]]
            only_b, only_a = right[1] & ~right[0], right[0] & ~right[1]
            return (f'With {grounder}, {_count(only_b.sum(), "expression")} {_are(only_b.sum())} right only on {b}, '
                    f'{(only_b & lost[0]).sum():,} of them because {a} had lost the referent before {grounder} could '
                    f'choose it; {only_a.sum():,} {_are(only_a.sum())} right only on {a}, '
                    f'{(only_a & lost[1]).sum():,} of them because {b} had lost it.')
    pair = _pair('referent_recall', predictions, a, b, NO_GROUNDER) if recall else None
    if pair is None:
        return 'No expression was answered on both rules, so nothing can be said of single ones.'
    found = [OUTCOMES['referent_recall'].of(rows).part > 0 for rows in pair[:2]]
    only_b, only_a = found[1] & ~found[0], found[0] & ~found[1]
    return (f'{_count(only_b.sum(), "referent")} {_are(only_b.sum())} found by {b} only, and {only_a.sum():,} by {a} '
            'only.')


def _difference(metric: str, predictions: pd.DataFrame | None, a: str, b: str, grounder: str) -> Interval | None:
    """B minus A by expression with its interval over images; ``None`` without predictions of both."""
    pair = None if predictions is None else _pair(metric, predictions, a, b, grounder)
    if pair is None:
        return None
    before, after = (OUTCOMES[metric].of(side) for side in pair[:2])
    found = paired_interval(pair.a['image_id'].to_numpy(), after.part, after.whole, before.part, before.whole)
    return None if math.isnan(found.low) else found


def _pair(metric: str, predictions: pd.DataFrame, a: str, b: str, grounder: str) -> Pair | None:
    rows = rows_of(metric, predictions)
    mine, other = (rows[(rows['proposals'] == rule) & (rows['grounder'] == grounder)] for rule in (a, b))
    return None if mine.empty or other.empty else pair_up(mine, other)


def _grounders(records: Sequence[Record]) -> list[str]:
    return [g for g in dict.fromkeys(record['grounder'] for record in records) if g != NO_GROUNDER]


def _within(sure: Interval | None) -> str:
    if sure is None:
        return ''
    if sure.too_small:
        return f', too few images to tell: {sure.images}'
    return ', within chance' if sure.low <= 0 <= sure.high else ''


def _signed(number: float) -> str:
    return f'{number:+.1f}'.replace('-', '−')


def _count(number: int, what: str) -> str:
    return f'{number:,} {what}{"" if number == 1 else "s"}'


def _are(number: int) -> str:
    return 'is' if number == 1 else 'are'


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f'{", ".join(parts[:-1])} and {parts[-1]}' if parts else ''
