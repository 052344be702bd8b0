"""Plain tables, one below the other, as Markdown, CSV or JSON."""
from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from tabulate import tabulate

FORMATS = ('md', 'csv', 'json')


class Block(NamedTuple):
    """A table: what stands over it in Markdown, its columns that repeat in CSV and JSON instead, and remarks on it."""

    title: str
    table: pd.DataFrame
    keys: Mapping[str, Any]
    remarks: Sequence[str] = ()


def written(blocks: Sequence[Block], notes: Sequence[str], form: str) -> str:
    """All tables as text that ends with a new line.

    Args:
        blocks: tables; in CSV they are one.
        notes: what holds for all of them; not in CSV.
        form: one of :data:`FORMATS`.
    """
    if form == 'md':
        parts = [f'**{escaped(b.title)}**\n\n{markdown(b.table)}' + ''.join(f'\n\n{escaped(r)}.' for r in b.remarks)
                 for b in blocks]
        return '\n\n'.join([*parts, *notes]) + '\n'
    tables = [b.table.assign(**b.keys)[[*b.keys, *b.table.columns]] for b in blocks]
    if form == 'csv':
        return pd.concat(tables, ignore_index=True).to_csv(index=False)
    rows = [row for table in tables for row in table.to_dict('records')]
    remarks = [remark for block in blocks for remark in block.remarks]
    return json.dumps({'rows': [{str(k): _plain(v) for k, v in row.items()} for row in rows],
                       'remarks': list(dict.fromkeys(remarks)), 'notes': list(notes)},
                      indent=1, ensure_ascii=False, allow_nan=False) + '\n'


def markdown(table: pd.DataFrame) -> str:
    """A table that GitHub renders; numbers stand right, ``low`` and ``high`` as one interval."""
    if 'low' in table:
        between = [f'{low:.2f} … {high:.2f}' if not math.isnan(low) else '—'
                   for low, high in zip(table['low'], table['high'], strict=True)]
        table = table.assign(low=between).rename(columns={'low': '95 % interval'}).drop(columns='high')
    numbers = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    body = [[cell(str(name), value) for name, value in zip(table.columns, row, strict=True)]
            for row in table.itertuples(index=False)]
    return tabulate(body, headers=[escaped(str(name)) for name in table.columns], tablefmt='github',
                    disable_numparse=True, colalign=['right' if number else 'left' for number in numbers])


def cell(name: str, value: Any) -> str:
    """Two decimals, p in three digits, a dash for what is not known."""
    if isinstance(value, float):
        if math.isnan(value):
            return '—'
        return f'{value:.2g}' if name == 'p' else f'{value:.2f}'
    return escaped(str(value))


def escaped(text: str) -> str:
    """Text that Markdown takes for what it is, in a table's cell too."""
    return re.sub(r'([\\|*`~<>\[\]])', r'\\\1', printable(text))


def printable(text: str) -> str:
    """One line, without signs that a terminal or an XML file cannot have."""
    return ''.join(sign for sign in ' '.join(text.split()) if sign.isprintable())


def _plain(value: Any) -> Any:
    """A NumPy number as JSON has it, ``None`` for NaN."""
    value = value.item() if hasattr(value, 'item') else value
    return None if isinstance(value, float) and math.isnan(value) else value
