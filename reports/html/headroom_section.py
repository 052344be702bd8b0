"""Where the points are, for the page: a waterfall for each dataset, grounder and rule, as a picture and as a table."""
from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd

from reports.headroom import RIGHT, Loss, Waterfall, reachable, waterfalls
from reports.statistics.intervals import Interval
from reports.statistics.outcomes import rows_of

RIGHT_COLOR = '#9aa5b1'
#: A page shows no more of them.
MOST = 60


class Headroom(NamedTuple):
    """``waterfalls`` as plain values, for script and template; ``reached``: answers from outside beside candidates."""

    waterfalls: list[dict[str, Any]]
    reached: list[dict[str, Any]]


def headroom(predictions: pd.DataFrame) -> Headroom:
    """The headroom of all grounders.

    Args:
        predictions: as :func:`reports.html.gallery.read_answers` gives them.
    """
    rows = rows_of('accuracy', predictions)
    rows = rows[rows['iou'].notna() | rows['mask_union'].notna()]
    proposed = rows[rows['best_proposal_iou'].notna()]
    found = waterfalls(proposed) if len(proposed) else []
    beside = reachable(rows) if len(rows) else None
    return Headroom(list(map(_plain, found[:MOST])), [] if beside is None else list(beside.records()))


def _plain(waterfall: Waterfall) -> dict[str, Any]:
    keys = waterfall.keys
    right = {'title': RIGHT, 'color': RIGHT_COLOR, 'left': 0, **_interval('points', waterfall.right),
             'expressions': waterfall.expressions - sum(loss.expressions for loss in waterfall.losses)}
    return {'dataset': keys['dataset'], 'grounder': keys['grounder'], 'rule': keys['proposals'],
            'n': waterfall.expressions, 'steps': [*map(_step, waterfall.losses), right]}


def _step(loss: Loss) -> dict[str, Any]:
    return {'title': loss.step.title, 'color': loss.step.color, 'left': round(loss.left, 3),
            'expressions': loss.expressions, **_interval('points', loss.points), **_interval('best', loss.at_best),
            **_interval('onward', loss.onward)}


def _interval(name: str, found: Interval) -> dict[str, float | None]:
    """An estimate and its ends, ``None`` where they are not known."""
    ends = {name: found.estimate, f'{name}_low': found.low, f'{name}_high': found.high}
    return {key: None if math.isnan(value) else round(value, 3) for key, value in ends.items()}
