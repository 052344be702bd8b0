"""``python -m reports tables RESULTS…``: tables of measured results, plain or in the layout of the paper's."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.run_files import results_file
from harness.errors import InputError
from harness.names import OneLineParser, pick
from reports.drawing.formats import add_format

if TYPE_CHECKING:
    from reports.rows.results_files import Results
    from reports.tables.layout import Table
    from reports.tables.record_intervals import RecordIntervals


def main(argv: Sequence[str]) -> int:
    """``python -m reports tables``: print results as tables."""
    parser = OneLineParser(prog='python -m reports tables', allow_abbrev=False,
                           description='Tables of measured results.')
    parser.add_argument('results', nargs='+', type=Path, metavar='RESULTS', help='a run\'s folder or results.json')
    parser.add_argument('--like', choices=('paper', 'today'),
                        help='in the layout of the paper\'s tables, beside the published numbers; or among the models '
                             'of today')
    parser.add_argument('--table', action='append', default=[], metavar='NAME',
                        help='of --like paper this one alone, repeatable: 1, 2, 3, 4, pr@0.5, …')
    parser.add_argument('--ci', action='store_true',
                        help='each number with its 95 %% interval, by bootstrap over images of predictions.jsonl')
    for option, what in (('label', 'what the row of a method from outside is called in --like paper, or any row of '
                                   'the run in --like today, one or GROUNDER=TEXT for each'),
                         ('venue', 'of that row'), ('backbone', 'of that row')):
        parser.add_argument(f'--{option}', action='append', default=[], metavar='TEXT', help=what)
    parser.add_argument('--notes', type=Path, metavar='FILE',
                        help='what is said of data, weights and conventions goes into this file, not under the tables')
    add_format(parser)
    args: argparse.Namespace = parser.parse_args(argv)
    if args.like is None and (args.label or args.venue or args.backbone):
        raise InputError('--label, --venue and --backbone: name a row of --like today or of --like paper; add it')
    if args.table and args.like != 'paper':
        raise InputError('--table: is one of the paper\'s; add --like paper, or leave it out')
    for path in args.results:
        results_file(path)
    from reports.drawing.rendering import written
    from reports.rows.results_files import read_runs
    from reports.tables.layout import Tables
    from reports.tables.passport_notes import passports_in
    from reports.tables.plain_tables import plain_tables
    from reports.tables.record_intervals import RecordIntervals
    from reports.tables.seen_images import seen_in
    results = read_runs(args.results)
    intervals = RecordIntervals(results) if args.ci else None
    missing: Sequence[str] = ()
    if args.like is None:
        shown = plain_tables(results.records, intervals=intervals,
                             seen=seen_in(run.run for run in results.runs),
                             passports=passports_in(run.run for run in results.runs))
    else:
        shown, missing = (_like_paper if args.like == 'paper' else _like_today)(results, intervals, args)
    if args.notes is not None:
        if not any(table.notes for table in shown):
            raise InputError(f'--notes {args.notes}: nothing is said under these tables; leave it out, or add '
                             '--like paper or --ci')
        _write_notes(args.notes, shown)
        shown = [replace(table, notes=()) for table in shown]
    print(written(Tables(shown), args.format))
    for line in missing:
        print(f'note: {line}', file=sys.stderr)
    return 0


def _like_paper(results: Results, intervals: RecordIntervals | None,
                args: argparse.Namespace) -> tuple[list[Table], list[str]]:
    from reports.tables.outside_rows import named_rows
    from reports.tables.paper_tables import NAMES, left_out, outside_methods, paper_tables
    from reports.tables.table_notes import TITLES
    wanted = pick('--table', args.table or None, NAMES, NAMES)
    named = named_rows(outside_methods(results), args.label, args.venue, args.backbone)
    shown = [table for table in paper_tables(results, intervals, named) if table.name in wanted]
    if args.table and not shown:
        raise InputError(f'--table {", ".join(wanted)}: nothing was measured for it; leave --table out')
    for option in ('venue', 'backbone'):
        if getattr(args, option) and all(option not in table.heads for table in shown):
            raise InputError(f'--{option}: only Tables 3 and 4 on {", ".join(TITLES.values())} have it, and '
                             'nothing was measured for them; leave it out')
    return shown, left_out(shown, wanted)


def _like_today(results: Results, intervals: RecordIntervals | None,
                args: argparse.Namespace) -> tuple[list[Table], list[str]]:
    from reports.published.reading import today
    from reports.tables.outside_rows import named_rows
    from reports.tables.today_table import methods_measured, nothing_measured, today_table
    named = named_rows(methods_measured(results), args.label, args.venue, args.backbone)
    table = today_table(today(), results, intervals, named)
    return [table], nothing_measured(table)


def _write_notes(path: Path, shown: Sequence[Table]) -> None:
    text = '\n\n'.join('\n\n'.join([table.title, *table.notes]) for table in shown if table.notes)
    try:
        path.write_text(text + '\n', encoding='utf-8')
    except OSError as error:
        raise InputError(f'--notes {path}: cannot be written ({error.strerror}); name another file') from None
