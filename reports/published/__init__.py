"""The published numbers as data: Tables 1 to 4 of the paper, and what the originals' repositories print.

One CSV a table, one row a number; ``README.md`` beside them says what the columns hold. Percent throughout.
"""
from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import InputError
from harness.names import OneLineParser, nearest
from harness.program import how_to_restore
from reports.layout import Tables
from reports.metrics import METRICS

HERE = Path(__file__).parent
#: The paper's own tables.
PAPER = ('1', '2', '3', '4')
#: What the repositories of the originals and of the paper's authors print beside them.
ORIGINALS = ('mattnet', 'cmae', 'ref-nms-logs')
COLUMNS = ('table', 'method', 'venue', 'backbone', 'proposals', 'dataset', 'split', 'task', 'metric', 'value',
           'n_proposals', 'dagger', 'source')


def published(tables: Iterable[str] = PAPER, folder: Path = HERE) -> pd.DataFrame:
    """The numbers of some tables, in their order.

    Args:
        tables: among :data:`PAPER` and :data:`ORIGINALS`.
        folder: where the files are.

    Returns:
        :data:`COLUMNS`; ``value`` is float64, ``dagger`` bool, the others are text, empty where there is nothing.

    Raises:
        InputError: an unknown table; a file that is missing or not as it was transcribed; an unknown metric in it.
    """
    return pd.concat([_read(name, folder) for name in tables], ignore_index=True)


def notes(folder: Path = HERE) -> pd.DataFrame:
    """Where the paper's text and tables disagree: ``statement``, ``text``, ``table`` (both float64) and ``why``."""
    return pd.read_csv(_unedited(folder / 'notes.csv'))


def _read(table: str, folder: Path) -> pd.DataFrame:
    known = (*PAPER, *ORIGINALS)
    if table not in known:
        raise InputError(f'--table {table}: unknown{nearest(table, known)}; known are {", ".join(known)}')
    file = _unedited(folder / (f'table{table}.csv' if table in PAPER else f'{table}.csv'))
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    for metric in frame['metric'].unique():
        if metric not in METRICS:
            raise InputError(f'{file}: unknown metric {metric}{nearest(metric, METRICS)}; '
                             f'bring the file back by {how_to_restore(file)}')
    return frame.assign(value=frame['value'].astype(float), dagger=frame['dagger'] == 'true')


def _unedited(file: Path) -> Path:
    """The file, once its bytes are known to be those that ``SHA256SUMS`` beside it names."""
    try:
        sums = dict(line.split()[::-1] for line in (file.parent / 'SHA256SUMS').read_text('utf-8').splitlines())
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(f'{file}: a published table or its SHA256SUMS cannot be read ({error}); '
                         f'bring them back by {how_to_restore(file.parent)}') from None
    if sums.get(file.name) != found:
        raise InputError(f'{file}: edited, its bytes are not those that were transcribed (SHA256SUMS); '
                         f'bring it back by {how_to_restore(file)}')
    return file


@dataclass(frozen=True)
class Published(Tables):
    """Published tables, whose CSV is that of the files they come from."""

    frame: pd.DataFrame = field(default_factory=pd.DataFrame)

    def records(self) -> Iterator[Mapping[str, Any]]:
        for row in self.frame[list(COLUMNS)].to_dict('records'):
            yield {**{str(name): value for name, value in row.items()}, 'value': f'{row["value"]:.2f}',
                   'dagger': str(row['dagger']).lower()}


def main(argv: Sequence[str]) -> int:
    """``python -m reports published``: print them."""
    from reports.paper_tables import as_printed
    from reports.rendering import add_format, written
    parser = OneLineParser(prog='python -m reports published', allow_abbrev=False,
                           description='The published numbers: the 429 of Tables 1 to 4 by default.')
    add_format(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--table', action='append', metavar='NAME',
                       help=f'repeatable: {", ".join((*PAPER, *ORIGINALS))} (default: {", ".join(PAPER)})')
    which.add_argument('--all', action='store_true', help='all of these')
    args: argparse.Namespace = parser.parse_args(argv)
    wanted = (*PAPER, *ORIGINALS) if args.all else tuple(dict.fromkeys(args.table or PAPER))
    frame = published(wanted)
    shown = [as_printed(name, frame[frame['table'] == name]) for name in wanted]
    print(written(Published(shown, frame=frame), args.format))
    return 0
