"""Every metric on the published labels, and without those that reviewers marked as faulty; RES by masks drawn again."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.data.masks import to_rle
from harness.errors import InputError
from harness.metrics.mask_overlap import mask_overlap
from reports.drawing.listing import Block
from reports.rows.reviews import Reviews, sentences
from reports.statistics.intervals import intervals_of
from reports.statistics.outcomes import OUTCOMES, RowMetric, rows_of

SPLIT = ['dataset', 'split']
LINE = ['grounder', 'proposals']


def reviewed_tables(frame: pd.DataFrame, reviews: Reviews) -> list[Block]:
    """A table a split: each metric of each grounder and rule on all reviewed labels, and on those that are right.

    Args:
        frame: predictions, with ``rle`` where masks were drawn again.
        reviews: what the reviewers say.

    Raises:
        InputError: no row was reviewed.
    """
    blocks = []
    if reviews.faulty:
        frame = frame.assign(faulty=reviews.faults(frame))
        blocks += [_split_table(rows, dict(zip(SPLIT, map(str, key), strict=True)))
                   for key, rows in frame.groupby(SPLIT, observed=True, sort=False) if rows['faulty'].notna().any()]
    if reviews.masks:
        blocks += list(_mask_tables(frame, reviews))
    if not blocks:
        raise InputError('--reviews: none of the expressions was reviewed; give the reviewed file of this dataset and '
                         'split')
    return blocks


def _split_table(rows: pd.DataFrame, keys: dict[str, str]) -> Block:
    seen = rows.drop_duplicates('sent_id')
    faulty, known, n = seen['faulty'].sum(), seen['faulty'].notna().sum(), len(seen)
    table = pd.DataFrame(list(_figures(rows[rows['faulty'].notna()])))
    table = pd.concat([_ranked(mine) for _, mine in table.groupby('metric', sort=False)], ignore_index=True)
    remarks = [f'{int(faulty):,} of {known:,} reviewed labels are marked as faulty ({100 * faulty / known:.1f} %)']
    remarks += [f'{n - known:,} of {n:,} expressions were not reviewed and are left out'] if known < n else []
    return Block(f'{" ".join(keys.values())}: published labels, and without the faulty ones', table, keys, remarks)


def _figures(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for name, metric in OUTCOMES.items():
        for key, mine in rows_of(name, rows).groupby(LINE, observed=True, sort=False):
            if metric.of(mine).counts.any():
                yield {'metric': name, **dict(zip(LINE, map(str, key), strict=True)), **_both(metric, mine)}


def _both(metric: RowMetric, rows: pd.DataFrame) -> dict[str, Any]:
    """The figure on all labels and on those that are right, and the difference with its interval."""
    outcome, right = metric.of(rows), (rows['faulty'] == 0).to_numpy()
    part, whole = np.where(outcome.counts, outcome.part, 0), np.where(outcome.counts, outcome.whole, 0)
    columns = np.column_stack([part, whole, part * right, whole * right])
    published, without, change = intervals_of(rows['image_id'].to_numpy(), columns, _published_and_without)
    return {'published': published.estimate, 'without faulty': without.estimate, 'change': change.estimate,
            'low': change.low, 'high': change.high, 'n': int(outcome.counts.sum()),
            'n without': int((outcome.counts & right).sum())}


def _published_and_without(sums: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore', invalid='ignore'):
        ratios = np.stack([sums[..., 0] / sums[..., 1], sums[..., 2] / sums[..., 3]], axis=-1)
    return np.concatenate([ratios, ratios[..., 1:] - ratios[..., :1]], axis=-1)


def _ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Lines of one metric with their ranks by both figures, best first, equals alike."""
    ranks = [rows[name].round(4).rank(ascending=False, method='min') for name in ('published', 'without faulty')]
    said = [f'{before:.0f} → {after:.0f}' if before != after else f'{before:.0f}'
            for before, after in zip(*ranks, strict=True)]
    return rows.assign(rank=said)


def _mask_tables(frame: pd.DataFrame, reviews: Reviews) -> Iterator[Block]:
    """RES of answers with masks, by the published masks and by those drawn again, on the same expressions."""
    rows = frame[frame['mask_union'].notna()]
    keys = sentences(rows)
    rows = rows[[key in reviews.masks for key in keys]]
    drawn = _drawn_again(rows, reviews)
    for key, mine in rows.groupby(SPLIT, observed=True, sort=False):
        again = drawn.loc[mine.index]
        table = [{'metric': name, **dict(zip(LINE, map(str, line), strict=True)),
                  'published': metric.of(some).value(), 'masks drawn again': metric.of(again.loc[some.index]).value(),
                  'n': len(some)}
                 for name, metric in OUTCOMES.items() if metric.task == 'res'
                 for line, some in mine.groupby(LINE, observed=True, sort=False)]
        found = pd.DataFrame(table)
        found.insert(5, 'change', found['masks drawn again'] - found['published'])
        names = dict(zip(SPLIT, map(str, key), strict=True))
        yield Block(f'{" ".join(names.values())}: published masks, and masks drawn again', found, names,
                    [f'{mine["sent_id"].nunique():,} expressions have a mask that was drawn again'])


def _drawn_again(rows: pd.DataFrame, reviews: Reviews) -> pd.DataFrame:
    """The rows with intersection and union by the new masks."""
    masks: dict[Any, Any] = {}
    overlaps = []
    for key, rle in zip(sentences(rows), rows['rle'], strict=True):
        if key not in masks:
            segmentation, (height, width) = reviews.masks[key]
            masks[key] = to_rle(segmentation, height, width, f'--reviews: the mask of image {key[0]}, {key[1]!r}')
        overlaps.append(_overlap(rle, masks[key]))
    both = np.array(overlaps, float).reshape(-1, 2)
    return rows.assign(mask_intersection=both[:, 0], mask_union=both[:, 1])


def _overlap(rle: Any, mask: Any) -> tuple[int, int]:
    """Intersection and union; no answer is an empty mask."""
    from pycocotools import mask as coco_mask
    if rle is None:
        return 0, int(coco_mask.area(mask))
    if list(rle['size']) != list(mask['size']):
        raise InputError(f'--reviews: a mask has {mask["size"]} pixels, and the answer {rle["size"]}; they are of '
                         'other images')
    return mask_overlap(rle, mask)


def notes() -> Sequence[str]:
    """How to read the tables."""
    return ('Both figures are of the reviewed expressions; a change is "without faulty" minus "published", its '
            'interval by drawing whole images again. A rank a → b rises or falls once faulty labels are left out.',)
