"""What a table is, whatever it is printed as: columns of splits, lines of methods, cells of measured and published."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

BEST, SECOND = 'best', 'second'
MISSING = '—'


class Column(NamedTuple):
    """One split of one dataset, and the metric in it; ``top`` and ``head`` stand above, shared by neighbours."""

    dataset: str
    split: str
    metric: str
    head: str
    top: str = ''


class Parts(NamedTuple):
    """A cell's text; ``lead`` is what is set in bold or italics."""

    before: str
    lead: str
    after: str

    def __str__(self) -> str:
        return ''.join(self)


@dataclass(frozen=True)
class Cell:
    """Percent (or whatever the metric is in), measured and published.

    Attributes:
        value: measured on ``n`` expressions; ``None`` where it was not.
        published: what the paper prints in this cell.
        low, high: 95 % interval of ``value``, from so many ``images``.
        measurable: whether the line can be measured here at all.
        mark: :data:`BEST`, :data:`SECOND` or nothing.
    """

    value: float | None = None
    n: int | None = None
    published: float | None = None
    low: float | None = None
    high: float | None = None
    images: int | None = None
    measurable: bool = True
    mark: str = ''

    @property
    def shown(self) -> float | None:
        """The number that competes: the measured one, or else the published one, rounded as printed."""
        number = self.published if self.value is None else self.value
        return None if number is None else round(number, 2)

    @property
    def difference(self) -> float | None:
        """Measured minus published, of the numbers as printed."""
        if self.value is None or self.published is None:
            return None
        return round(round(self.value, 2) - self.published, 2) + 0.0

    def parts(self, alone: bool = False) -> Parts:
        """``measured [low, high] (published, difference)``, as much of it as there is.

        Args:
            alone: nothing was measured in the whole table: published numbers need no parentheses.
        """
        if self.value is None:
            if self.published is None:
                return Parts('', MISSING, '')
            if alone:
                return Parts('', f'{self.published:.2f}', '')
            return Parts(f'{MISSING} ' if self.measurable else '', f'({self.published:.2f})', '')
        after = '' if self.low is None else f' [{self.low:.2f}, {self.high:.2f}]'
        if self.difference is not None:
            after += f' ({self.published:.2f}, {self.difference:+.2f})'
        return Parts('', f'{self.value:.2f}', after)


@dataclass(frozen=True)
class Line:
    """A method's cells, one a column; ``grounder`` and ``proposals`` as in ``results.json``.

    Lines of one ``block`` follow each other.
    """

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    block: str = ''
    grounder: str | None = None
    proposals: str = ''


@dataclass(frozen=True)
class Table:
    """A table with its title, the heads of its label columns, a footer of text cells, and notes that go under it."""

    name: str
    title: str
    heads: tuple[str, ...]
    columns: Sequence[Column]
    lines: Sequence[Line]
    footer: tuple[str, ...] = ()
    notes: Sequence[str] = field(default=())

    @property
    def alone(self) -> bool:
        """Whether it holds published numbers only."""
        return all(cell.value is None for line in self.lines for cell in line.cells)


def marked(lines: Iterable[Line], by_block: bool) -> list[Line]:
    """The best number of each column marked, and the second best; equals share a mark.

    Args:
        lines: of one table.
        by_block: lines compete with those of their own block only. A lone number gets no mark.
    """
    found: list[Line] = []
    for _, group in groupby(lines, key=lambda line: line.block if by_block else ''):
        block = list(group)
        columns = [_marked(cells) for cells in zip(*(line.cells for line in block), strict=True)]
        found += [replace(line, cells=cells) for line, cells in zip(block, zip(*columns, strict=True), strict=True)]
    return found


def _marked(cells: Sequence[Cell]) -> list[Cell]:
    numbers = [cell.shown for cell in cells if cell.shown is not None]
    if len(numbers) < 2:
        return list(cells)
    ranked = sorted(set(numbers), reverse=True)
    marks = dict(zip(ranked, (BEST, SECOND), strict=False))
    return [cell if cell.shown is None else replace(cell, mark=marks.get(cell.shown, '')) for cell in cells]


def spans(names: Sequence[str]) -> list[tuple[str, int]]:
    """Neighbours of one name with how many they are."""
    return [(name, len(list(group))) for name, group in groupby(names)]
