"""Tables drawn with lines, as wide as the terminal.

Splits of one dataset stand side by side under its name. What doesn't fit goes on below, dataset by dataset where that
is enough, with the labels of its rows repeated.
"""
from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from reports.drawing.sheets import BEST, SECOND, Document, Parts, Sheet

#: Columns of characters of what is no terminal.
UNLIMITED = 10_000
#: Between neighbours under one head.
GAP = '  '
#: The border and the space around a drawn column, and the last border.
PADDING, BORDER = 3, 1
_STYLES = {BEST: 'bold', SECOND: 'italic'}


class Strip(NamedTuple):
    """A column as drawn, of one column of the sheet or of neighbours under one head.

    ``natural`` is the width at which nothing is broken, ``least`` that at which no word is.
    """

    columns: Sequence[int]
    over: str
    natural: int
    least: int


def terminal(document: Document) -> str:
    """As wide as the terminal, or of any width where the output is none."""
    shown = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if shown else UNLIMITED
    console = Console(file=io.StringIO(), force_terminal=shown, width=width, highlight=False)
    if document.heading:
        console.print(Text(document.heading, style='bold'), soft_wrap=not shown)
    for sheet in document.sheets():
        if sheet.title:
            console.print(Text(sheet.title, style='bold'), soft_wrap=not shown)
        for strips in fitting(sheet, width):
            console.print(_drawn(sheet, strips, width))
        for note in sheet.notes:
            console.print(Text(note, style='dim'), soft_wrap=not shown)
        console.print()
    for note in document.notes:
        console.print(Text(note, style='dim'), soft_wrap=not shown)
    return console.file.getvalue().rstrip('\n')  # type: ignore[attr-defined]


def fitting(sheet: Sheet, width: int) -> Iterator[list[Strip]]:
    """The strips of one table below another, each with the labels first; neighbours under one head are divided only
    where they don't fit alone."""
    labels = [_strip(sheet, [i], width) for i in range(sheet.labels)]
    if sum(strip.natural + PADDING for strip in labels) <= width / 2:
        labels = [strip._replace(least=strip.natural) for strip in labels]
    room = width - BORDER - sum(strip.least + PADDING for strip in labels)

    def fits(strips: Sequence[Strip]) -> bool:
        return sum(strip.least + PADDING for strip in strips) <= room

    mine: list[Strip] = []
    for columns in _under_one_head(sheet):
        while columns:
            part = next((part for n in range(len(columns), 1, -1) if fits([part := _strip(sheet, columns[:n], width)])),
                        _strip(sheet, columns[:1], width))
            columns = columns[len(part.columns):]
            if mine and not fits([*mine, part]):
                yield labels + mine
                mine = []
            mine.append(part)
    yield labels + mine


def _under_one_head(sheet: Sheet) -> Iterator[list[int]]:
    """Columns that are no labels, neighbours with the same over them together."""
    for over, same in groupby(range(sheet.labels, len(sheet.heads)), key=lambda i: sheet.heads[i].over):
        columns = list(same)
        yield from [columns] if any(over) else [[i] for i in columns]


def _strip(sheet: Sheet, columns: Sequence[int], width: int) -> Strip:
    over = ' · '.join(filter(None, sheet.heads[columns[0]].over))
    if over:
        side_by_side = sum(_widths(sheet, columns)) + len(GAP) * (len(columns) - 1)
        return Strip(columns, over, max(side_by_side, cell_len(over)), max(side_by_side, _longest_word(over)))
    (i,) = columns
    head, cells = sheet.heads[i], [str(row[i]) for row in sheet.rows]
    least = max(map(cell_len if head.number else _longest_word, cells), default=0)
    if not head.number:
        least = min(least, max(10, width // 4))  # a word without end is broken
    natural = max(map(cell_len, (head.text, *cells)))
    return Strip(columns, '', natural, max(least, _longest_word(head.text)))


def _widths(sheet: Sheet, columns: Sequence[int]) -> list[int]:
    return [max(map(cell_len, (sheet.heads[i].text, *(str(row[i]) for row in sheet.rows)))) for i in columns]


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _drawn(sheet: Sheet, strips: Sequence[Strip], width: int) -> RichTable:
    table = RichTable()
    widths = _shared(strips, width - BORDER - PADDING * len(strips))
    inner = [_widths(sheet, strip.columns) for strip in strips]
    for strip, room, columns in zip(strips, widths, inner, strict=True):
        if strip.over:
            heads = [Parts('', sheet.heads[i].text, '') for i in strip.columns]
            over = '\n'.join(f'{line:^{room}}' for line in _broken(strip.over, room))
            table.add_column(Text.assemble(f'{over}\n', _side_by_side(heads, columns, room)), width=room)
        else:
            head = sheet.heads[strip.columns[0]]
            table.add_column(Text(head.text), justify='right' if head.number else 'left', width=room, overflow='fold',
                             vertical='top')
    for number, row in enumerate(sheet.rows):
        table.add_row(*(_side_by_side([row[i] for i in strip.columns], columns, room) if strip.over
                        else _styled(row[strip.columns[0]])
                        for strip, room, columns in zip(strips, widths, inner, strict=True)),
                      end_section=number in sheet.ends)
    return table


def _shared(strips: Sequence[Strip], room: int) -> list[int]:
    """Each strip's width: as it would be, but for the widest, which give way to the same width, never under what each
    needs at least."""
    most = max(strip.natural for strip in strips)
    while most > 1 and sum(max(strip.least, min(strip.natural, most)) for strip in strips) > room:
        most -= 1
    return [max(strip.least, min(strip.natural, most)) for strip in strips]


def _broken(text: str, width: int) -> list[str]:
    """A head over others, in as many lines as it needs."""
    return [line.plain.rstrip() for line in Text(text).wrap(Console(file=io.StringIO(), width=width), width)]


def _side_by_side(cells: Sequence[Parts], widths: Sequence[int], room: int) -> Text:
    """Cells under one head, each standing right in its own width."""
    text = Text()
    for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text.append((GAP if i else '') + ' ' * (width - cell_len(str(cell)))).append_text(_styled(cell))
    text.pad_left(max(0, room - cell_len(text.plain)))
    return text


def _styled(parts: Parts) -> Text:
    return Text.assemble(parts.before, (parts.lead, _STYLES.get(parts.mark, '')), parts.after)
