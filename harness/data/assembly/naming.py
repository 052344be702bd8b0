"""Whose rows are: the dataset and split of each, by what the rows say, what they are known as, or their file's name."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.data.assembly.names import (
    SPLITS,
    dataset_in,
    image_id_of,
    split_in,
    telling_folder,
    unnumbered,
    without_split,
)
from harness.data.passport import TITLES, Row, passport
from harness.types import FormRow

#: Rows are of a partition where this share of them is of it.
SAME = 0.95
#: The split of rows of which none is known, and one that several splits of a dataset are called.
ALL, TEST = 'all', 'test'
#: The datasets whose tests by UNC are testA and testB.
UNC = ('refcoco', 'refcoco+')
#: Ends the name of a dataset whose rows are of several partitions.
MIXED = '-mixed'


class _Known(NamedTuple):
    """The published partition that most rows are of, and whether nearly all are."""

    dataset: str
    split: str
    nearly_all: bool


def image_of(row: FormRow) -> int | None:
    """COCO's id of a row's image, ``None`` where neither the record nor the image's name has it."""
    return image_id_of(row.image) if row.image_id is None else row.image_id


def named(rows: Sequence[FormRow], path: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """Dataset and split of each row, and notes.

    What a row says comes first, then what the rows are known as by their fingerprints, then the names of the file and
    its folder. Rows of several partitions are no published dataset, and called "mixed". A split that rows call test is
    the one that they are known as: testA, for instance, in RefCOCO and RefCOCO+.

    Args:
        rows: with boxes as ``xywh``, or without.
        path: their file.
    """
    name, split = _by_names(path)
    known = {} if all(row.dataset and row.split for row in rows) else _known_by_split(rows)
    if known:
        datasets = {found.dataset for found in known.values()}
        whole = len(datasets) == 1 and all(found.nearly_all for found in known.values())
        first = next(iter(known.values())).dataset
        name = first if whole else f'{dataset_in(name) or first}{MIXED}'
    if None in known and known[None].nearly_all:
        split = known[None].split
    test = known[TEST].split if TEST in known and known[TEST].split.startswith(TEST) else TEST
    found = [(row.dataset or name, test if row.split == TEST else row.split or split or ALL) for row in rows]
    return found, _unclear(found, path)


def _known_by_split(rows: Sequence[FormRow]) -> Mapping[str | None, _Known]:
    """What the rows of each split that they name, or ``None``, are known as; nothing of those that are not known."""
    together: dict[str | None, list[FormRow]] = {}
    for row in rows:
        together.setdefault(row.split, []).append(row)
    return {said: found for said, mine in together.items() if (found := _known_as(mine)) is not None}


def _known_as(rows: Sequence[FormRow]) -> _Known | None:
    known = passport([Row(image_of(row), row.ann_id, row.sent, row.box, *(row.size or (0, 0))[::-1])
                      for row in rows if row.box is not None])
    for first in known['parts'][:1]:
        nearly_all = first['expressions'] + first['reworded'] >= SAME * known['expressions']
        return _Known(first['dataset'], first['split'], nearly_all)
    return None


def _by_names(path: Path) -> tuple[str, str | None]:
    """Dataset and split by the names of a file and its folder."""
    stem, folder = unnumbered(path).name.split('.')[0], telling_folder(path)
    name = dataset_in(path.name) or dataset_in(folder)
    return name or (folder if stem.lower() in SPLITS and folder else without_split(stem)), split_in(stem)


def _unclear(named: Sequence[tuple[str, str]], path: Path) -> list[str]:
    """A note where rows are of a split that is called test and none of that name was made."""
    found = {dataset.removesuffix(MIXED) for dataset, split in dict.fromkeys(named) if split == TEST}
    return [f'{path.name}: its split is called test, and its rows do not tell which test it is; {TITLES[dataset]} has '
            'testA and testB by UNC, and a test by Google' for dataset in UNC if dataset in found]
