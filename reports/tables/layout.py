"""What a table is, whatever it is printed as: columns of splits, lines of methods, cells of measured and published."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, NamedTuple

from reports.drawing.sheets import BEST, SECOND, Head, Parts, Sheet, words

MISSING = '—'


class Column(NamedTuple):
    """One split of one dataset, and the metric in it; ``top`` and ``head`` stand above, shared by neighbours."""

    dataset: str
    split: str
    metric: str
    head: str
    top: str = ''


@dataclass(frozen=True)
class Cell:
    """Percent (or whatever the metric is in), measured and published.

    Attributes:
        value: measured on ``n`` expressions; ``None`` where it was not.
        published: what the paper prints in this cell.
        low, high: 95 % interval of ``value``, measured on ``images`` images.
        measurable: whether the line can be measured here at all.
        mark: :data:`BEST`, :data:`SECOND` or nothing.
        digits: decimals that ``published`` is printed with.
    """

    value: float | None = None
    n: int | None = None
    published: float | None = None
    low: float | None = None
    high: float | None = None
    images: int | None = None
    measurable: bool = True
    mark: str = ''
    digits: int = 2

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
            number = f'{self.published:.{self.digits}f}'
            if alone:
                return Parts('', number, '', self.mark)
            return Parts(f'{MISSING} ' if self.measurable else '', f'({number})', '', self.mark)
        after = '' if self.low is None else f' [{self.low:.2f}, {self.high:.2f}]'
        if self.difference is not None:
            after += f' ({self.published:.2f}, {self.difference:+.2f})'
        return Parts('', f'{self.value:.2f}', after, self.mark)


@dataclass(frozen=True)
class Line:
    """A method's cells, one a column; ``grounder`` and ``proposals`` as in ``results.json``.

    Lines of one ``block`` follow each other. ``metric`` is that of the line's cells, where it is not their columns'.
    """

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    block: str = ''
    grounder: str | None = None
    proposals: str = ''
    metric: str = ''


@dataclass(frozen=True)
class Table:
    """A table with its title, the heads of its label columns, a footer of text cells, and notes that go under it.

    ``note`` is what a paper has under it, in one line; ``notes`` are everything. ``marks`` stand behind the heads of
    splits, by dataset and split.
    """

    name: str
    title: str
    heads: tuple[str, ...]
    columns: Sequence[Column]
    lines: Sequence[Line]
    footer: tuple[str, ...] = ()
    notes: Sequence[str] = field(default=())
    note: str = ''
    marks: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def alone(self) -> bool:
        """Whether it holds published numbers only."""
        return all(cell.value is None for line in self.lines for cell in line.cells)

    def head(self, column: Column) -> str:
        """What stands over a column: its split with its mark."""
        return column.split + self.marks.get((column.dataset, column.split), '')

    def sheet(self) -> Sheet:
        """The sheet to draw."""
        heads = [*(Head(head, number=False) for head in self.heads),
                 *(Head(self.head(column), (column.top, column.head)) for column in self.columns)]
        rows = [[*map(words, line.labels), *(cell.parts(self.alone) for cell in line.cells)] for line in self.lines]
        ends = {i for i, (line, after) in enumerate(zip(self.lines, self.lines[1:], strict=False))
                if line.block != after.block}
        if self.footer:
            ends.add(len(rows) - 1)
            rows.append(list(map(words, self.footer)))
        return Sheet(self.title, heads, len(self.heads), rows, frozenset(ends), self.note, self.notes)

    def records(self) -> Iterator[dict[str, Any]]:
        """One CSV row per cell that holds a number."""
        for line in self.lines:
            for column, cell in zip(self.columns, line.cells, strict=True):
                if cell.shown is not None:
                    yield {'table': self.name, 'line': ' '.join(line.labels), 'grounder': line.grounder or '',
                           'proposals': line.proposals, 'dataset': column.dataset, 'split': column.split,
                           'metric': line.metric or column.metric, 'value': _rounded(cell.value),
                           'low': _rounded(cell.low), 'high': _rounded(cell.high), 'n': cell.n,
                           'published': cell.published, 'difference': cell.difference}

    def plain(self) -> dict[str, Any]:
        """Everything that the table holds, cell by cell, for JSON."""
        return {
            'table': self.name, 'title': self.title, 'notes': list(self.notes),
            'columns': [column._asdict() for column in self.columns],
            'lines': [{'labels': list(line.labels), 'grounder': line.grounder, 'proposals': line.proposals,
                       **({'metric': line.metric} if line.metric else {}),
                       'cells': [{'value': cell.value, 'low': cell.low, 'high': cell.high, 'n': cell.n,
                                  'published': cell.published, 'difference': cell.difference, 'mark': cell.mark}
                                 for cell in line.cells]} for line in self.lines],
        }


@dataclass(frozen=True)
class Tables:
    """Tables that are printed together."""

    tables: Sequence[Table]
    notes: Sequence[str] = ()
    heading: str = ''

    def sheets(self) -> list[Sheet]:
        return [table.sheet() for table in self.tables]

    def records(self) -> Iterator[Mapping[str, Any]]:
        for table in self.tables:
            yield from table.records()

    def plain(self) -> Mapping[str, Any]:
        return {'tables': [table.plain() for table in self.tables]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def marked(lines: Iterable[Line], by_block: bool, unranked: Collection[int] = ()) -> list[Line]:
    """The best number of each column marked, and the second best; equals share a mark.

    Args:
        lines: of one table.
        by_block: lines compete with those of their own block only. A lone number gets no mark.
        unranked: columns, by place, in which more is not better: they get no marks.
    """
    found: list[Line] = []
    for _, group in groupby(lines, key=lambda line: line.block if by_block else ''):
        block = list(group)
        columns = [list(cells) if place in unranked else _marked(cells)
                   for place, cells in enumerate(zip(*(line.cells for line in block), strict=True))]
        found += [replace(line, cells=cells) for line, cells in zip(block, zip(*columns, strict=True), strict=True)]
    return found


def _marked(cells: Sequence[Cell]) -> list[Cell]:
    numbers = [cell.shown for cell in cells if cell.shown is not None]
    if len(numbers) < 2:
        return list(cells)
    ranked = sorted(set(numbers), reverse=True)
    marks = dict(zip(ranked, (BEST, SECOND), strict=False))
    return [cell if cell.shown is None else replace(cell, mark=marks.get(cell.shown, '')) for cell in cells]
