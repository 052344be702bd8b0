"""How it would count elsewhere: the ledger of conventions for the page, with pictures of some answers that change.

Answers from outside have a table for each split. Of a two-stage run, each grounder has one for each of the summary's
two rules and each dataset, all splits of it together: the command ``conventions`` tells them apart.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from reports.conventions.blocks import lacking, said, title
from reports.conventions.ledger import Example, Ledger, Line, ledgers
from reports.html.thumbnails import Thumbnail, Thumbnails
from reports.statistics.outcomes import rows_of

#: The most tables, the most pictures under one, and the most on the page.
MOST_TABLES, PICTURES, MOST_PICTURES = 24, 4, 24
Box = tuple[float, float, float, float]


class Picture(NamedTuple):
    """An answer that a rule counts otherwise: boxes are xywh in the image's pixels, ``box`` is ``None`` without one."""

    thumbnail: Thumbnail
    truth: Box
    box: Box | None
    rule: str
    example: Example


class ShownLedger(NamedTuple):
    """A table: each line with its examples in words, remarks, and pictures under it."""

    title: str
    lines: Sequence[tuple[Line, str]]
    remarks: Sequence[str]
    pictures: Sequence[Picture]


class Elsewhere(NamedTuple):
    """What the section shows; ``left_out`` is how many tables would be too many."""

    tables: Sequence[ShownLedger]
    left_out: int


def elsewhere(predictions: pd.DataFrame, rules: tuple[str, str | None], thumbnails: Thumbnails | None) -> Elsewhere:
    """The ledger of some predictions.

    Args:
        predictions: as :func:`reports.html.gallery.read_answers` gives them.
        rules: the two that the page is about.
        thumbnails: of the images; ``None``: no pictures.
    """
    rows = _counted(predictions, rules)
    found = ledgers(rows) if len(rows) else []
    pictures = _Pictures(predictions, thumbnails)
    return Elsewhere([_shown(ledger, pictures) for ledger in found[:MOST_TABLES]], max(0, len(found) - MOST_TABLES))


def _counted(predictions: pd.DataFrame, rules: tuple[str, str | None]) -> pd.DataFrame:
    """Answers from outside, which have no proposals, and after them those on the two rules, a dataset's together."""
    rows = rows_of('accuracy', predictions)
    rows = rows[rows['iou'].notna() | rows['mask_union'].notna()]
    outside = rows['n_proposals'].isna()
    inside = rows[~outside & rows['proposals'].isin([rule for rule in rules if rule is not None])]
    splits = inside.groupby('dataset', observed=True)['split'].transform(_together)
    return pd.concat([rows[outside], inside.assign(split=splits)])


def _together(splits: pd.Series) -> str:
    return ' + '.join(map(str, splits.unique()))


def _shown(ledger: Ledger, pictures: _Pictures) -> ShownLedger:
    return ShownLedger(title(ledger), [(line, said(line.examples)) for line in ledger.lines],
                       [f'{remark}.' for remark in lacking(ledger.lines)], list(pictures.of(ledger.lines)))


class _Pictures:
    """Makes pictures of the first answers that change, as many as the page may have."""

    def __init__(self, predictions: pd.DataFrame, thumbnails: Thumbnails | None) -> None:
        self._predictions, self._thumbnails, self._left = predictions, thumbnails, MOST_PICTURES

    def of(self, lines: Sequence[Line]) -> Iterator[Picture]:
        """One a rule and row, until there are :data:`PICTURES`."""
        shown: set[int] = set()
        for line in lines:
            example = next((one for one in line.examples if one.row not in shown), None)
            if example is None or len(shown) == PICTURES or not self._left:
                continue
            picture = self._picture(line, example)
            if picture is not None:
                shown.add(example.row)
                self._left -= 1
                yield picture

    def _picture(self, line: Line, example: Example) -> Picture | None:
        if self._thumbnails is None:
            return None
        row: Mapping[Any, Any] = self._predictions.loc[example.row].to_dict()
        size = None if pd.isna(row['image_w']) else (int(row['image_w']), int(row['image_h']))
        file = row['image_file'] if isinstance(row['image_file'], str) else None
        thumbnail = self._thumbnails(str(row['dataset']), int(row['image_id']), size, file)
        if thumbnail is None:
            return None
        box = _box(row, 'box') if row['has_box'] else None
        return Picture(thumbnail, _box(row, 'gt'), box, line.rule.name, example)


def _box(row: Mapping[Any, Any], name: str) -> Box:
    x, y, w, h = (round(float(row[f'{name}_{side}']), 1) for side in 'xywh')
    return x, y, w, h
