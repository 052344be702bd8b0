"""Is one run or rule better than another? Paired by expression, with intervals over images and exact tests.

``python -m reports compare A B``: everything is B minus A. A and B are ``PATH``, ``PATH:RULE`` or
``PATH:RULE:GROUNDER``, the path being a run's folder or a ``predictions.jsonl``; B without a path is in A's.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from harness.data.location_words import LOCATION_WORDS
from harness.errors import InputError
from harness.names import pick
from reports.drawing.listing import Block
from reports.rows.prediction_rows import EXPRESSION, NO_GROUNDER, read_predictions
from reports.sides import NamedSide
from reports.statistics.intervals import FEWEST_IMAGES, LEVEL, RESAMPLES, WIDEST, mcnemar, paired_interval, swap_test
from reports.statistics.outcomes import OUTCOMES, Outcome, rows_of

GROUPINGS = ('split', 'words', 'size', 'same category', 'location word')
SMALL, LARGE = 32 ** 2, 96 ** 2
_NAMED = 5


class Side(NamedTuple):
    """One of the two: as typed, its rows, and the rule and grounder it names."""

    text: str
    rows: pd.DataFrame
    rule: str | None
    grounder: str | None


class Pair(NamedTuple):
    """Rows of A and B, one rule and grounder each: the same expressions in the same order, and how many had no twin."""

    a: pd.DataFrame
    b: pd.DataFrame
    only_a: Sequence[str]
    only_b: Sequence[str]


class Comparison(NamedTuple):
    """B beside A on some expressions; values, difference and interval in percent or in proposals."""

    grouping: str
    group: str
    expressions: int
    images: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    wins: int
    losses: int
    ties: int
    verdict: str


def pair_up(a: pd.DataFrame, b: pd.DataFrame) -> Pair:
    """Pair two tables of predictions, of one rule and grounder each, by dataset and ``sent_id``.

    Raises:
        InputError: nothing in common, or an expression is another one in B than in A.
    """
    keys = [pd.MultiIndex.from_arrays([rows['dataset'].astype(str), rows['sent_id']]) for rows in (a, b)]
    place = keys[1].get_indexer(keys[0])
    both = place >= 0
    only_b = ~np.isin(np.arange(len(b)), place)
    if not both.any():
        raise InputError(f'{_file(a)} and {_file(b)}: no expression in common; compare runs of the same data')
    pair = Pair(a[both], b.iloc[place[both]], _named(a[~both]), _named(b[only_b]))
    for column in ('image_id', 'gt_x', 'gt_y', 'gt_w', 'gt_h', 'sent'):
        mine, other = (rows[column].astype(object if column == 'sent' else float).to_numpy() for rows in pair[:2])
        if (mine != other).any():
            row = pair.a.iloc[int((mine != other).argmax())]
            raise InputError(f'{_file(a)} and {_file(b)}: sent_id {row["sent_id"]} of {row["dataset"]} is another '
                             f'expression in each ({column} differs); compare runs of the same data')
    return pair


def _file(rows: pd.DataFrame) -> str:
    return str(rows['file'].iloc[0])


def _named(rows: pd.DataFrame) -> list[str]:
    return [f'{dataset} {sent_id}' for dataset, sent_id in rows[EXPRESSION].itertuples(index=False)]


def groups(rows: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    """Grouping, group and which rows are in it; all rows first, no empty groups.

    Words are divided at white space. The size is the annotated box's, by COCO's limits. Location words are those of
    ``harness/data/location_words.py``. Where the number of objects is not annotated, no group has it.
    """
    yield 'all', 'all', np.ones(len(rows), bool)
    for grouping, labels, order in ((name, *of(rows)) for name, of in _GROUPINGS.items()):
        for group in order:
            mask = labels == group
            if mask.any():
                yield grouping, group, mask


def _splits(rows: pd.DataFrame) -> tuple[np.ndarray, Sequence[str]]:
    labels = rows['dataset'].astype(object) + ' ' + rows['split'].astype(object)
    return labels.to_numpy(), list(dict.fromkeys(labels))


def _by_sentence(rows: pd.DataFrame, label: dict[str, str]) -> np.ndarray:
    return rows['sent'].astype(object).map(label).to_numpy()


def _words(rows: pd.DataFrame) -> tuple[np.ndarray, Sequence[str]]:
    order = ('1 word', '2 words', '3–4 words', '5–7 words', '8+ words')
    lengths = {sent: np.searchsorted((2, 3, 5, 8), len(sent.split()), side='right') for sent in rows['sent'].unique()}
    return _by_sentence(rows, {sent: order[index] for sent, index in lengths.items()}), order


def _location(rows: pd.DataFrame) -> tuple[np.ndarray, Sequence[str]]:
    order = ('with a location word', 'without')
    return _by_sentence(rows, {sent: order[LOCATION_WORDS.isdisjoint(re.findall(r'\w+', sent.lower()))]
                               for sent in rows['sent'].unique()}), order


def _sizes(rows: pd.DataFrame) -> tuple[np.ndarray, Sequence[str]]:
    order = ('small, under 32²', 'medium, under 96²', 'large')
    return np.array(order)[np.searchsorted((SMALL, LARGE), rows['gt_w'] * rows['gt_h'], side='right')], order


def _same_category(rows: pd.DataFrame) -> tuple[np.ndarray, Sequence[str]]:
    order = ('1 of its category', '2', '3', '4 or more', '')
    return np.array(order)[rows['n_same_category'].fillna(5).clip(1).sub(1).clip(upper=3).where(
        rows['n_same_category'].notna(), 4).to_numpy(int)], order[:4]


_GROUPINGS = dict(zip(GROUPINGS, (_splits, _words, _sizes, _same_category, _location), strict=True))


def compare(metric: str, pair: Pair, by_group: bool = True) -> list[Comparison]:
    """B minus A, over all expressions that the metric counts in both and by group."""
    outcomes = [OUTCOMES[metric].of(rows) for rows in pair[:2]]
    counts = outcomes[0].counts & outcomes[1].counts
    rows = pair.a[counts]
    a, b = (outcome.of(counts) for outcome in outcomes)
    if not len(rows):
        return []
    images = rows['image_id'].to_numpy()
    return [_compared(metric, grouping, group, images[mask], a.of(mask), b.of(mask))
            for grouping, group, mask in groups(rows) if by_group or grouping == 'all']


def _compared(metric: str, grouping: str, group: str, images: np.ndarray, a: Outcome, b: Outcome) -> Comparison:
    sums = images, b.part, b.whole, a.part, a.whole
    found = paired_interval(*sums)
    wins, losses = int((b.by_row() > a.by_row()).sum()), int((b.by_row() < a.by_row()).sum())
    p = mcnemar(wins, losses) if OUTCOMES[metric].yes_no else swap_test(*sums)
    seen = len(np.unique(images))
    verdict = _verdict(seen, found.low, found.high, OUTCOMES[metric].percent)
    return Comparison(grouping, group, len(images), seen, a.value(), b.value(), found.estimate, found.low, found.high,
                      p, wins, losses, len(images) - wins - losses, verdict)


def _verdict(images: int, low: float, high: float, percent: bool) -> str:
    if images < FEWEST_IMAGES:
        return 'too few images'
    if low > 0:
        return 'B higher'
    if high < 0:
        return 'A higher'
    return 'too wide to tell' if percent and high - low > WIDEST else 'no difference seen'


def read_sides(a: NamedSide, b: NamedSide) -> tuple[Side, Side]:
    """A and B with their rows.

    Raises:
        InputError: a rule or grounder is not in its file, or a file is damaged.
    """
    rows_a = read_predictions([a.path])
    rows_b = rows_a if b.path == a.path else read_predictions([b.path])
    first, second = Side(a.text, rows_a, a.rule, a.grounder), Side(b.text, rows_b, b.rule, b.grounder)
    for side in (first, second):
        for what, name in (('proposals', side.rule), ('grounder', side.grounder)):
            if name is not None:
                pick(f'{side.text}: {what}', [name], side.rows[what].unique(), ())
    return first, second


def combinations(rows_a: pd.DataFrame, rows_b: pd.DataFrame, a: Side, b: Side, rules: Sequence[str] | None,
                 grounders: Sequence[str] | None) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """((rule, grounder) of A, (rule, grounder) of B): what is compared with what.

    A rule or grounder that only one side names is the other side's too; where none does, each that both have.
    """
    have_a, have_b = (dict.fromkeys(rows[['proposals', 'grounder']].itertuples(index=False, name=None))
                      for rows in (rows_a, rows_b))
    ungrounded = all(grounder == NO_GROUNDER for _, grounder in have_a)
    found = []
    for rule, grounder in have_a:
        for rule_b, grounder_b in have_b:
            if (_fits(rule, rule_b, a.rule, b.rule, rules)
                    and (ungrounded or _fits(grounder, grounder_b, a.grounder, b.grounder, grounders))):
                found.append(((rule, grounder), (rule_b, grounder_b)))
    return found


def _fits(name_a: str, name_b: str, wanted_a: str | None, wanted_b: str | None, among: Sequence[str] | None) -> bool:
    if wanted_a is None and wanted_b is None:
        return name_a == name_b and (among is None or name_a in among)
    return (name_a, name_b) == (wanted_a or wanted_b, wanted_b or wanted_a)


def blocks(a: Side, b: Side, metrics: Iterable[str], rules: Sequence[str] | None = None,
           grounders: Sequence[str] | None = None, by_group: bool = True) -> list[Block]:
    """A table for each metric and each rule and grounder that both sides have.

    Raises:
        InputError: there is none, or a pair of tables has no expression in common.
    """
    found = []
    for metric in metrics:
        rows_a, rows_b = rows_of(metric, a.rows), rows_of(metric, b.rows)
        for (rule_a, grounder_a), (rule_b, grounder_b) in combinations(rows_a, rows_b, a, b, rules, grounders):
            pair = pair_up(_only(rows_a, rule_a, grounder_a), _only(rows_b, rule_b, grounder_b))
            rows = compare(metric, pair, by_group)
            if rows:
                title = f'{metric}: A {_said(rule_a, grounder_a)}, B {_said(rule_b, grounder_b)}'
                found.append(Block(title, pd.DataFrame(rows), {
                    'metric': metric, 'proposals_a': rule_a, 'grounder_a': grounder_a, 'proposals_b': rule_b,
                    'grounder_b': grounder_b}, _unpaired(pair)))
    if not found:
        raise InputError(f'{a.text} and {b.text}: have nothing in common to compare by {", ".join(metrics)}; '
                         'name a rule and grounder of each, as RUN:RULE:GROUNDER')
    return found


def _only(rows: pd.DataFrame, rule: str, grounder: str) -> pd.DataFrame:
    return rows[(rows['proposals'] == rule) & (rows['grounder'] == grounder)]


def _said(rule: str, grounder: str) -> str:
    return rule if grounder == NO_GROUNDER else f'{grounder} on {rule}'


def _unpaired(pair: Pair) -> list[str]:
    return [f'{len(names)} expressions are only in {side} and left out: {", ".join(names[:_NAMED])}'
            f'{", …" if len(names) > _NAMED else ""}'
            for side, names in (('A', pair.only_a), ('B', pair.only_b)) if names]


NOTES = (
    f'Differences are B minus A in points, with {LEVEL:.0%} intervals from {RESAMPLES} bootstrap resamples of whole '
    'images, drawn for A and B together. Wins are expressions where B is higher.',
    'p: McNemar\'s exact test where an expression is right or wrong; otherwise a test that exchanges A and B in whole '
    'images by chance. McNemar\'s takes expressions as independent: trust the interval where they disagree.',
    f'Too small to tell: fewer than {FEWEST_IMAGES} images, or an interval that holds 0 and is wider than '
    f'{WIDEST:g} points. Of all these groups, one in twenty differs by chance.',
    'Groups: words divided at white space; size of the annotated box in pixels; objects of the referent\'s category in '
    'the image, itself included; location words as left, top, corner, second (harness/data/location_words.py).',
)


def only(rows: pd.DataFrame, datasets: Sequence[str] | None, splits: Sequence[str] | None) -> pd.DataFrame:
    """The rows of some datasets and splits.

    Raises:
        InputError: the rows have no such dataset or split.
    """
    for option, given in (('dataset', datasets), ('split', splits)):
        if given is not None:
            rows = rows[rows[option].isin(pick(f'--{option}', given, rows[option].unique(), ()))]
    return rows
