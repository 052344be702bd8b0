"""Where the points are: what each step of the way costs, and what mending it alone would bring.

An expression is right if it passes every step: a candidate reaches the referent, the rule proposes it, the grounder
chooses it, its box is good enough, and its mask. Each wrong one is lost at one step (:mod:`reports.failures`), so the
losses add up to what is missing. Accuracy is the product of the steps' pass rates; a step is mended alone by two
oracles:

- **at best**: every expression lost there becomes right. For the last steps that is the oracle itself: the best
  proposal is chosen, the chosen object's box or mask is the annotated one.
- **as the others go on**: every expression passes that step, and the steps behind it treat them as they treat the
  others: accuracy divided by the step's pass rate.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from reports.drawing.listing import Block
from reports.failure_bins import NAMES
from reports.failures import bins
from reports.statistics.intervals import Interval, intervals_of

#: Rows that one waterfall is about.
BY = ['dataset', 'grounder', 'proposals']


class Step(NamedTuple):
    """A step at which expressions are lost: its name in files, what it says, its bins, and its colour."""

    name: str
    title: str
    bins: tuple[str, ...]
    color: str


STEPS = (
    Step('no_candidate', 'no candidate', ('no_candidate',), '#332288'),
    Step('lost_by_the_rule', 'lost by the rule', ('suppressed',), '#88ccee'),
    Step('not_proposed', 'not proposed', ('not_proposed',), '#6699cc'),
    Step('not_chosen', 'not chosen', ('other_instance', 'other_category', 'chosen_wrong'), '#cc6677'),
    Step('box_below', 'box below 0.5', ('box_below',), '#117733'),
    Step('mask_below', 'mask below 0.5', ('mask_below',), '#882255'),
)
RIGHT = 'right'
#: The columns of accuracy with a step mended.
MENDED = ('mended, at best', 'mended, as the others go on', 'from', 'to')


class Loss(NamedTuple):
    """A step's loss in points, the level behind it, and accuracy if it alone were mended, all in percent."""

    step: Step
    expressions: int
    points: Interval
    left: float
    at_best: Interval
    onward: Interval


class Waterfall(NamedTuple):
    """What becomes of the expressions of a dataset with one grounder and rule.

    ``right`` is the share that passes all steps; ``losses`` are the steps that lose any, in their order.
    """

    keys: dict[str, str]
    expressions: int
    right: Interval
    losses: list[Loss]


def waterfalls(rows: pd.DataFrame, by: Sequence[str] = BY) -> list[Waterfall]:
    """A waterfall for each dataset, grounder and rule.

    Args:
        rows: of grounders, as :func:`reports.rows.prediction_rows.read_predictions` gives them.
        by: the columns that tell one from another.
    """
    found = rows.assign(bin=bins(rows))
    return [_waterfall(dict(zip(by, map(str, key), strict=True)), mine)
            for key, mine in found.groupby(list(by), observed=True, sort=False)]


def _waterfall(keys: dict[str, str], rows: pd.DataFrame) -> Waterfall:
    number = rows['bin'].to_numpy()
    lost = np.stack([np.isin(number, [NAMES.index(name) for name in step.bins]) for step in STEPS], axis=1)
    some = np.flatnonzero(lost.any(0))
    columns = np.column_stack([np.ones(len(rows)), lost[:, some]])
    found = intervals_of(rows['image_id'].to_numpy(), columns, _figures(len(some)))
    right, points, best, onward = found[0], *(found[1 + k * len(some):][:len(some)] for k in range(3))
    left = 100 - np.cumsum([one.estimate for one in points])
    return Waterfall(keys, len(rows), right, [
        Loss(STEPS[step], int(lost[:, step].sum()), *each) for step, *each in
        zip(some.tolist(), points, left.tolist(), best, onward, strict=True)])


def _figures(steps: int) -> Callable[[np.ndarray], np.ndarray]:
    """From the sums of expressions and of those lost at each of ``steps`` steps to, in percent: what is right, the
    steps' losses, what is right if each is mended at best, and as the others go on."""
    def figures(sums: np.ndarray) -> np.ndarray:
        n, lost = sums[..., :1], sums[..., 1:]
        passed = n - np.cumsum(lost, axis=-1)
        right = passed[..., -1:] if steps else n
        with np.errstate(divide='ignore', invalid='ignore'):
            rate = np.where(passed > 0, passed / (passed + lost), 0)
            onward = np.where(rate > 0, right / n / rate, np.nan)
            return 100 * np.concatenate([right / n, lost / n, (right + lost) / n, onward], axis=-1)
    return figures


def blocks(found: Sequence[Waterfall]) -> list[Block]:
    """A table a waterfall."""
    return [Block(' · '.join(one.keys.values()), _table(one), one.keys, _remarks(one)) for one in found]


def _table(waterfall: Waterfall) -> pd.DataFrame:
    rows = [{'step': loss.step.title, 'expressions': loss.expressions, 'points': -loss.points.estimate,
             'low': -loss.points.high, 'high': -loss.points.low, 'left': loss.left,
             **dict(zip(MENDED, (loss.at_best.estimate, *loss.onward[:3]), strict=True))} for loss in waterfall.losses]
    right = waterfall.right
    passed = waterfall.expressions - sum(loss.expressions for loss in waterfall.losses)
    rows.append({'step': RIGHT, 'expressions': passed, 'points': right.estimate, 'low': right.low, 'high': right.high,
                 'left': right.estimate, **dict.fromkeys(MENDED, np.nan)})
    return pd.DataFrame(rows)


def _remarks(waterfall: Waterfall) -> list[str]:
    first = next(iter(sorted(waterfall.losses, key=lambda loss: -loss.points.estimate)), None)
    if first is None:
        return ['Nothing is lost']
    return [f'Of {waterfall.expressions:,} expressions most are lost here: {first.step.title}, '
            f'{first.points.estimate:.2f} points']


NOTES = (
    'Each wrong expression is lost at one step, the first that it does not pass. "Mended, at best": all that are lost '
    'there become right. "As the others go on": they pass that step, and later steps treat them as they treat the '
    'others; its 95 % interval stands behind it (from, to). Intervals: whole images drawn again.',
)


#: What an answer from outside is, beside candidates.
REACH = ('right, and a candidate reaches the referent', 'right, out of reach of candidates',
         'wrong, though a candidate reaches the referent', 'wrong, and out of reach')


def reachable(rows: pd.DataFrame) -> Block | None:
    """For answers from outside with candidates beside them: would a two-stage method have reached them? ``None`` where
    no candidates are known, or a rule proposed."""
    mine = rows[rows['best_proposal_iou'].isna() & rows['best_candidate_iou'].notna() & rows['iou'].notna()]
    if mine.empty:
        return None
    table = []
    for key, some in mine.groupby(BY, observed=True, sort=False):
        right, reach = (some['iou'] >= 0.5).to_numpy(), (some['best_candidate_iou'] > 0.5).to_numpy()
        columns = np.column_stack([np.ones(len(some)), right & reach, right & ~reach, ~right & reach, ~right & ~reach])
        found = intervals_of(some['image_id'].to_numpy(), columns, lambda sums: 100 * sums[..., 1:] / sums[..., :1])
        for said, count, share in zip(REACH, columns[:, 1:].sum(0).astype(int), found, strict=True):
            table.append({**dict(zip(BY, map(str, key), strict=True)), 'answer': said, 'expressions': int(count),
                          'share': share.estimate, 'low': share.low, 'high': share.high})
    return Block('Would a two-stage method have reached it?', pd.DataFrame(table), {})


def draw(found: Sequence[Waterfall], path: Path) -> None:
    """Waterfalls as one picture, ``.png`` or ``.svg``.

    Raises:
        InputError: it can't be written, or its ending is none that pictures have.
    """
    from matplotlib.figure import Figure  # here, so that only who draws waits for it

    from reports.plots import save_plot

    figure = Figure(figsize=(9, 0.6 + 1.9 * len(found)), layout='constrained')
    for axes, one in zip(np.ravel(figure.subplots(len(found), 1, squeeze=False)), found, strict=True):
        titles = [*(loss.step.title for loss in one.losses), RIGHT]
        left = [*(loss.left for loss in one.losses), 0]
        width = [*(loss.points.estimate for loss in one.losses), one.right.estimate]
        axes.barh(titles, width, left=left, color=[*(loss.step.color for loss in one.losses), '#d9d9d9'])
        for i, (start, size) in enumerate(zip(left, width, strict=True)):
            axes.annotate(f'{size:.1f}', (start + size, i), xytext=(3, 0), textcoords='offset points', va='center',
                          fontsize=8)
        axes.set_title(' · '.join(one.keys.values()).replace('$', r'\$'), fontsize=9, loc='left')
        axes.set_xlim(0, 108)
        axes.invert_yaxis()
        axes.tick_params(labelsize=8)
        axes.spines[['top', 'right']].set_visible(False)
    axes.set_xlabel('% of the expressions')
    save_plot(figure, path, 'headroom')
