"""The mark of splits of which the detector was trained on evaluation images, and the footnotes that say so."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from harness.data.results import RunRecord, SeenImages
from reports.drawing.sheets import printable
from reports.tables.layout import Table

#: Not †, which is the paper's for methods that its authors ran.
MARK = '‡'
SHORT = f'{MARK} the detector was trained on images of this split.'
Seen = Mapping[tuple[str, str], SeenImages]


def seen_in(runs: Iterable[RunRecord]) -> Seen:
    """What the detector of some runs has seen, by dataset and split; where runs differ, the one that saw most."""
    found: dict[tuple[str, str], SeenImages] = {}
    for run in runs:
        for dataset, splits in run.detector_seen.items():
            for split, images in splits.items():
                found[dataset, split] = max(found.get((dataset, split), images), images, key=_weight)
    return found


def _weight(images: SeenImages) -> tuple[int, bool]:
    """Any image seen weighs more than not to know, and that more than none."""
    return images['seen'] or 0, images['seen'] is None


def with_marks(table: Table, seen: Seen) -> Table:
    """A table whose columns of seen images are marked; it says nothing of them yet."""
    return replace(table, marks={key: MARK for key, images in seen.items() if images['seen']})


def footnotes(table: Table, seen: Seen) -> list[str]:
    """What stands under a table of the images that the detector has seen, and of those of which it is not known."""
    splits = [key for key in dict.fromkeys((c.dataset, c.split) for c in table.columns) if key in seen]
    return [printable(note) for note in (*_marked(splits, seen), *_unknown(splits, seen))]


def _marked(splits: Iterable[tuple[str, str]], seen: Seen) -> Iterator[str]:
    told = [f'{seen[key]["seen"]:,} of {seen[key]["images"]:,} images of {" ".join(key)}'
            for key in splits if seen[key]['seen']]
    if told:
        yield f'{MARK} the detector was trained on {", ".join(told)}.'


def _unknown(splits: Iterable[tuple[str, str]], seen: Seen) -> Iterator[str]:
    told = [' '.join(key) for key in splits if seen[key]['seen'] is None]
    if told:
        yield f'It is not known whether the detector was trained on images of {", ".join(told)}.'
