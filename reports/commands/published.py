"""``python -m reports published``: the published numbers, as tables."""
from __future__ import annotations

import argparse
from collections.abc import Sequence

from harness.errors import InputError
from harness.names import OneLineParser, nearest
from reports.drawing.formats import add_format
from reports.published import ORIGINALS, PAPER, TODAY, TODAY_COLUMNS


def main(argv: Sequence[str]) -> int:
    """``python -m reports published``: print the published tables."""
    parser = OneLineParser(prog='python -m reports published', allow_abbrev=False,
                           description='The published numbers: the 429 of Tables 1 to 4 by default.')
    add_format(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--table', action='append', metavar='NAME',
                       help=f'repeatable: {", ".join((*PAPER, *ORIGINALS))} (default: {", ".join(PAPER)}); or '
                            f'{TODAY}, the models of today')
    which.add_argument('--all', action='store_true', help=f'all of these but {TODAY}, which has columns of its own')
    args: argparse.Namespace = parser.parse_args(argv)
    wanted = (*PAPER, *ORIGINALS) if args.all else tuple(dict.fromkeys(args.table or PAPER))
    known = (*PAPER, *ORIGINALS, TODAY)
    for name in wanted:
        if name not in known:
            raise InputError(f'--table {name}: unknown{nearest(name, known)}; known are {", ".join(known)}')
    if TODAY in wanted and len(wanted) > 1:
        raise InputError(f'--table {TODAY}: has columns of its own; print it alone')
    from reports.drawing.rendering import written
    from reports.published.reading import published, today
    from reports.tables.paper_tables import as_printed
    from reports.tables.published import Published
    from reports.tables.today_table import today_as_printed
    if TODAY in wanted:
        frame = today()
        print(written(Published([today_as_printed(frame)], frame=frame, columns=TODAY_COLUMNS), args.format))
        return 0
    frame = published(wanted)
    shown = [as_printed(name, frame[frame['table'] == name]) for name in wanted]
    print(written(Published(shown, frame=frame), args.format))
    return 0
