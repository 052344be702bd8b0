"""REC of today's models as their sources give it, and a run's figures among them.

A line is a model as one source measured it; a model that is known to have the truth among its first five or ten boxes
has a line for each. What a run measured on RefCOCO, RefCOCO+ and RefCOCOg has lines of its own at the end.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from harness.data.results import Key, Record, key_of
from reports.published import TODAY, TODAY_METRICS
from reports.rows.results_files import Results
from reports.tables.layout import Cell, Column, Line, Table, marked
from reports.tables.outside_rows import Method, Named
from reports.tables.paper_tables import NO_GROUNDER, SPLITS
from reports.tables.record_intervals import RecordIntervals, measured_cell, said_of_intervals
from reports.tables.seen_images import footnotes, seen_in, with_marks
from reports.tables.table_notes import OUR_RULES, TITLES, counted_by, limits_of, provenance

TITLE = 'REC accuracy (%) of today\'s models'
HEADS = ('', 'model', 'venue', 'backbone', 'of', 'measured by')
COLUMNS = tuple(Column(dataset, split, 'accuracy', TITLES[dataset]) for dataset, split in SPLITS)
#: Columns of the published file that a line is told by.
IDENTITY = ('method', 'venue', 'backbone', 'proposals', 'measured_by', 'metric')
#: The model that shows what its first box misses and its first ten hold, and where.
RANKED, RANKED_ON = 'MM-Grounding-DINO-T (zero-shot)', ('refcoco', 'val')
READING = ('Cells read: measured here; in parentheses, published. Bold is the best number of its column among the '
           'lines of @1, italic the second best. Figures by different rules do not compare to a point.')
CHOOSERS = ('Two-stage: FGVP\'s program has all choose among the boxes of ReCLIP\'s detection files. R parses '
            'relations between boxes as ReCLIP does, S subtracts the mean score of other captions.')
SHORT = 'In parentheses, published, by differing rules: see the notes. Bold is the best of @1, italic the second.'


def today_as_printed(frame: pd.DataFrame) -> Table:
    """Published figures alone, of :func:`reports.published.reading.today`."""
    return _table(_published_lines(frame), f'{TITLE}, as published', said_of_published(frame))


def today_table(frame: pd.DataFrame, results: Results, intervals: RecordIntervals | None = None,
                named: Mapping[Method, Named] | None = None) -> Table:
    """Published figures, and the measured ones of a run below them.

    Args:
        frame: of :func:`reports.published.reading.today`.
        results: one run or several; figures on other datasets stay out.
        intervals: gives every measured number its interval.
        named: what methods are called; the others are called by their grounder and rule.
    """
    measured = {key_of(record): record for record in results.records
                if record['dataset'] in TITLES and record['metric'] == 'accuracy'}
    if not measured:
        return today_as_printed(frame)
    seen = seen_in(run.run for run in results.runs)
    lines = [*_published_lines(frame), *_measured_lines(measured, intervals, named or {})]
    table = with_marks(_table(lines, TITLE, []), seen)
    limits = [*limits_of(table, results), *footnotes(table, seen)]
    here = f'Measured here, by the rule {OUR_RULES["accuracy"]}. {provenance(table, results)}'
    return replace(table, notes=[here, READING, *said_of_intervals(table), *limits, *said_of_published(frame)],
                   note=SHORT)


def methods_measured(results: Results) -> list[Method]:
    """The grounders with their rules that could have a line, as (grounder, rule)."""
    return list(dict.fromkeys((record['grounder'], record['proposals']) for record in results.records
                              if record['grounder'] != NO_GROUNDER))


def nothing_measured(table: Table) -> list[str]:
    """One line that says so where a table holds published figures alone."""
    if not table.alone:
        return []
    return [f'no REC was measured on {", ".join(TITLES.values())} here; the table holds published figures alone']


def said_of_published(frame: pd.DataFrame) -> list[str]:
    """What the ranks say, the rules of counting, the sources, who measured, and what the models were trained on."""
    others = frame[frame['measured_by'] != 'own']
    return [_said_of_ranks(frame), counted_by(frame), CHOOSERS, f'Read in: {_by_text(frame, "source")}.',
            f'Measured by a third party: {_by_text(others, "source")}.',
            *(f'Training data of {names}: {text}.' for text, names in _named_by(frame, 'trained_on'))]


def _said_of_ranks(frame: pd.DataFrame) -> str:
    dataset, split = RANKED_ON
    mine = frame[(frame['method'] == RANKED) & (frame['dataset'] == dataset) & (frame['split'] == split)]
    first, five, ten = (mine.loc[mine['metric'] == metric, 'value'].iloc[0] for metric in TODAY_METRICS)
    return (f'{RANKED} on {TITLES[dataset]} {split}: its first box is right in {first:.1f} %, one of its first five '
            f'in {five:.1f} %, one of its first ten in {ten:.1f} %. The right box is proposed; what is missing is the '
            'choice.')


def _by_text(frame: pd.DataFrame, column: str) -> str:
    return '; '.join(f'{text} ({names})' for text, names in _named_by(frame, column))


def _named_by(frame: pd.DataFrame, column: str) -> Iterator[tuple[str, str]]:
    """Each text of a column with the methods that have it."""
    for text, mine in frame.groupby(column, sort=False):
        yield str(text), ', '.join(mine['method'].unique())


def _table(lines: Sequence[Line], title: str, notes: Sequence[str]) -> Table:
    return Table(TODAY, title, HEADS, COLUMNS, _marked(lines), notes=notes)


def _marked(lines: Sequence[Line]) -> list[Line]:
    """The best of the lines of @1; those of @5 and @10 do not compete."""
    first = iter(marked([line for line in lines if not line.metric], by_block=False))
    return [line if line.metric else next(first) for line in lines]


def _published_lines(frame: pd.DataFrame) -> list[Line]:
    by_line: dict[tuple[str, ...], dict[tuple[str, str], Cell]] = {}
    for row in frame.to_dict('records'):
        cells = by_line.setdefault(tuple(row[name] for name in IDENTITY), {})
        cells[row['dataset'], row['split']] = Cell(published=row['value'], measurable=False, digits=row['digits'])
    return [_published_line(cells, *identity) for identity, cells in by_line.items()]


def _published_line(cells: Mapping[tuple[str, str], Cell], method: str, venue: str, backbone: str, proposals: str,
                    measured_by: str, metric: str) -> Line:
    stage = 'one-stage' if proposals == NO_GROUNDER else 'two-stage'
    return Line((stage, method, venue, backbone, TODAY_METRICS[metric], measured_by),
                tuple(cells.get((c.dataset, c.split), Cell(measurable=False)) for c in COLUMNS), stage,
                proposals=proposals, metric='' if metric == 'accuracy' else metric)


def _measured_lines(measured: Mapping[Key, Record], intervals: RecordIntervals | None,
                    named: Mapping[Method, Named]) -> Iterator[Line]:
    for method in _methods(measured):
        cells = tuple(Cell() if record is None else measured_cell(record, intervals)
                      for record in (measured.get((c.dataset, c.split, c.metric, *method)) for c in COLUMNS))
        name = named.get(method, Named(', '.join(method)))
        yield Line(('here', *name, TODAY_METRICS['accuracy'], 'this run'), cells, 'here', *method)


def _methods(keys: Iterable[Key]) -> list[Method]:
    return list(dict.fromkeys((grounder, rule) for *_, grounder, rule in keys))
