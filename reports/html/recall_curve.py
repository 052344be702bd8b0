"""Figure 2 of the paper: the referent's recall against the number of proposals, rule by rule.

Every list of proposals is cut to its first N; N goes from 1 to the longest list, 100 at most. The curve shows recall
over the number of proposals that are left on average, so that rules with short and with long lists compare.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from reports.html.proposal_rows import Proposals
from reports.statistics.intervals import intervals

MOST = 100


class Curve(NamedTuple):
    """One rule on one split, or on all: arrays ``(N,)`` for lists cut to 1, 2, … proposals.

    ``recall`` is in percent, between ``low`` and ``high``, its 95 % interval over images (NaN with one image only);
    ``kept`` is the mean number of proposals that are left. ``expressions`` is how many there are.
    """

    kept: np.ndarray
    recall: np.ndarray
    low: np.ndarray
    high: np.ndarray
    expressions: int


def curve(images: np.ndarray, length: np.ndarray, rank: np.ndarray, most: int = MOST) -> Curve:
    """The curve of one rule's lists.

    Args:
        images: ``(n,)`` each expression's image.
        length: ``(n,)`` how many proposals it has.
        rank: ``(n,)`` place of the first that hits the referent, from 0; -1 where none does.
        most: the largest N.
    """
    cut = np.arange(1, min(most, max(1, int(length.max()))) + 1)
    kept = np.minimum(length[:, None], cut).mean(0)
    found = (rank[:, None] >= 0) & (rank[:, None] < cut)
    bands = intervals(images, 100.0 * found, np.ones(len(images)))
    recall, low, high = (np.array([getattr(band, name) for band in bands]) for name in ('estimate', 'low', 'high'))
    return Curve(kept, recall, low, high, len(images))


def curves(proposals: Proposals, splits: np.ndarray, images: np.ndarray,
           names: list[str]) -> Iterator[tuple[str, str, Curve]]:
    """Split, rule and curve of each rule on each split, and on all splits together where there are several.

    Args:
        splits: ``(expressions,)`` each expression's split, an index into ``names``.
        images: ``(expressions,)`` its image.
        names: of the splits.
    """
    mine = splits[proposals.expression]
    groups: list[tuple[str, Any]] = [(name, mine == code) for code, name in enumerate(names)]
    if len(names) > 1:
        groups.append(('all together', np.ones(len(mine), bool)))
    for name, of_split in groups:
        for code, rule in enumerate(proposals.rules):
            rows = of_split & (proposals.rule == code)
            if rows.any():
                yield name, rule, curve(images[proposals.expression[rows]], proposals.length[rows],
                                        proposals.rank[rows])
