"""Tables whose columns are named, not splits: comparisons, counts, what a check found."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd

from reports.drawing.sheets import Head, Parts, Sheet, printable, words

INTERVAL = '95 % interval'


class Block(NamedTuple):
    """A table: what stands over it where it is drawn, the ``keys`` that its rows have instead in CSV and JSON, and
    remarks on it."""

    title: str
    table: pd.DataFrame
    keys: Mapping[str, Any]
    remarks: Sequence[str] = ()

    def sheet(self) -> Sheet:
        """What is drawn: numbers stand right, ``low`` and ``high`` as one interval; the first columns of text are
        labels."""
        table = self.table
        if 'low' in table:
            between = [f'{low:.2f} … {high:.2f}' if not math.isnan(low) else '—'
                       for low, high in zip(table['low'], table['high'], strict=True)]
            table = table.assign(low=between).rename(columns={'low': INTERVAL}).drop(columns='high')
        heads = [Head(printable(str(name)), number=pd.api.types.is_numeric_dtype(kind) or name == INTERVAL)
                 for name, kind in zip(table.columns, table.dtypes, strict=True)]
        rows = [[_cell(str(name), value) for name, value in zip(table.columns, row, strict=True)]
                for row in table.itertuples(index=False)]
        labels = next((i for i, head in enumerate(heads) if head.number), len(heads))
        notes = [f'{remark}.' for remark in map(printable, self.remarks)]
        return Sheet(printable(self.title), heads, labels, rows, note=' '.join(notes), notes=notes)

    def records(self) -> Iterator[dict[str, Any]]:
        """The rows of the table, each with the keys of the block."""
        for row in self.table.to_dict('records'):
            yield {str(name): _plain(value) for name, value in (*self.keys.items(), *row.items())}


@dataclass(frozen=True)
class Listing:
    """Tables that are printed together; in CSV they are one."""

    blocks: Sequence[Block]
    notes: Sequence[str] = field(default=())
    heading: str = ''

    def sheets(self) -> list[Sheet]:
        return [block.sheet() for block in self.blocks]

    def records(self) -> Iterator[dict[str, Any]]:
        for block in self.blocks:
            yield from block.records()

    def plain(self) -> Mapping[str, Any]:
        remarks = [remark for block in self.blocks for remark in block.remarks]
        return {'rows': list(self.records()), 'remarks': list(dict.fromkeys(remarks)), 'notes': list(self.notes)}


def _cell(name: str, value: Any) -> Parts:
    """Two decimals, p in two digits, a dash for what is not known."""
    if value is pd.NA:
        return words('—')
    if not isinstance(value, float):
        return words(str(value))
    if math.isnan(value):
        return words('—')
    return words(f'{value:.2g}' if name == 'p' else f'{value:.2f}')


def _plain(value: Any) -> Any:
    """A NumPy number as a plain one for JSON, ``None`` for what is not known."""
    value = value.item() if hasattr(value, 'item') else value
    return None if value is pd.NA or (isinstance(value, float) and math.isnan(value)) else value
