"""``python -m reports published``: the published numbers, as tables."""
from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from harness.names import OneLineParser
from reports.drawing.rendering import add_format, written
from reports.published import COLUMNS, ORIGINALS, PAPER, published
from reports.tables.layout import Tables
from reports.tables.paper_tables import as_printed


@dataclass(frozen=True)
class Published(Tables):
    """Published tables, whose CSV is that of the files they come from."""

    frame: pd.DataFrame = field(default_factory=pd.DataFrame)

    def records(self) -> Iterator[Mapping[str, Any]]:
        for row in self.frame[list(COLUMNS)].to_dict('records'):
            yield {**{str(name): value for name, value in row.items()}, 'value': f'{row["value"]:.2f}',
                   'dagger': str(row['dagger']).lower()}


def main(argv: Sequence[str]) -> int:
    """``python -m reports published``: print the published tables."""
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
