"""Puts the page together: the template with everything inside it, so that it asks for nothing when it is opened."""
from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.tables.layout import Cell, Table

FOLDER = Path(__file__).parent
#: What must not stand as it is within a script element, and what it is in JSON.
_IN_SCRIPT = {ord(c): f'\\u{ord(c):04x}' for c in '<>&\u2028\u2029'}


def render(values: Mapping[str, Any]) -> str:
    """The page as text.

    Args:
        values: what the template ``report.html.j2`` names; text in it is escaped, whatever it holds.
    """
    import plotly  # here, so that help does not wait for it

    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(inline_json=inline_json, heads=heads, without_interval=without_interval)
    own = {name: Markup((FOLDER / f'report.{name}').read_text(encoding='utf-8')) for name in ('css', 'js')}
    return environment.get_template('report.html.j2').render(
        values, style=own['css'], script=own['js'], library=charting_library(), library_version=plotly.__version__)


def inline_json(data: Any) -> Markup:
    """JSON that can stand in a script element: nothing in it ends the element or a line of script.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(',', ':'))
    return Markup(text.translate(_IN_SCRIPT))


@cache
def charting_library() -> Markup:
    """plotly.js, packed: gzip in base64, a third of its size."""
    from plotly.offline import get_plotlyjs
    return Markup(base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode())


def without_interval(cell: Cell) -> Cell:
    """The same cell, whose interval stands on a line of its own."""
    return replace(cell, low=None, high=None)


def heads(table: Table) -> Sequence[Sequence[tuple[str, int]]]:
    """The rows of heads over a table's splits: each head with the columns that it stands over."""
    columns = [(column.top, column.head) for column in table.columns]
    rows = [[(top, len(list(same))) for top, same in groupby(columns, key=lambda column: column[0])]] \
        if any(top for top, _ in columns) else []
    return [*rows, [(head, len(list(same))) for (_, head), same in groupby(columns)]]
