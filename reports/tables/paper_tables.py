"""Measured results in the layout of the paper's Tables 1 to 4 and of its supplement's Pr@X.

The lines are those of the published tables, in their order, as far as they hold a number. On RefCOCO, RefCOCO+ and
RefCOCOg the published number stands beside the measured one; every other dataset gets the same layout under its own
name, without a published number. A method that the paper has no row for can be given a name, and has a line then.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter
from typing import NamedTuple

import pandas as pd

from harness.data.counts import PUBLISHED
from harness.data.results import Key, Record, key_of
from reports.published import PAPER
from reports.published.reading import published
from reports.rows.results_files import Results
from reports.tables.layout import Cell, Column, Line, Table, marked
from reports.tables.outside_rows import Method, Named
from reports.tables.record_intervals import RecordIntervals, measured_cell
from reports.tables.seen_images import footnotes, seen_in, with_marks
from reports.tables.table_notes import TITLES, counted_by, counted_otherwise, note_under, notes_under

#: The paper's columns.
SPLITS = tuple((dataset, split) for dataset, splits in PUBLISHED.items() for split in splits if split != 'train')
#: Our grounders by the paper's names.
GROUNDERS = {'MAttNet': 'mattnet', 'NMTree': 'nmtree', 'CM-A-E': 'cmae'}
SUFFIX = {'ref-nms-b': '+Ref-NMS B', 'ref-nms-r': '+Ref-NMS R'}
NO_GROUNDER = '-'
#: The metric that says at which cost recall is measured: no figure of the paper's, and more of it is not better.
NUMBER = 'mean_proposals'


class Row(NamedTuple):
    """One method as a published table has it."""

    method: str
    venue: str
    backbone: str
    proposals: str
    n_proposals: str
    dagger: bool

    @property
    def grounder(self) -> str:
        """As in ``results.json``; what isn't a grounder of ours is compared by its proposals alone."""
        return GROUNDERS.get(self.method, NO_GROUNDER)

    @property
    def stage(self) -> str:
        """Whether the method has one stage or two; one-stage methods have no proposals."""
        return 'one-stage' if self.proposals == NO_GROUNDER else 'two-stage'

    @property
    def marked_method(self) -> str:
        """The name of the method, with the paper's dagger."""
        return self.method + ('†' if self.dagger else '')


def _recall_labels(row: Row, own: bool) -> tuple[str, ...]:
    return 'real' if row.n_proposals == 'real' else f'N = {row.n_proposals}', row.method


def _model_labels(row: Row, own: bool) -> tuple[str, ...]:
    if own:
        return (row.method + SUFFIX.get(row.proposals, ''),)
    return (SUFFIX.get(row.proposals, row.marked_method),)


def _stage_labels(row: Row, own: bool) -> tuple[str, ...]:
    """Our own datasets' detector is no ResNet-101, so there backbone and venue are left out."""
    method = (row.method if own else row.marked_method) + ('+Ref-NMS' if row.proposals in SUFFIX else '')
    return (row.stage, method) if own else (row.stage, method, row.venue, row.backbone)


def _ours(row: Row) -> bool:
    """Whether we have this method, on the detector that it is published with."""
    return row.method in GROUNDERS and row.backbone == 'res101'


def _ours_rerun(row: Row) -> bool:
    """The same, without the rows that Table 2 quotes from the methods' own papers: its own runs stand below them."""
    return _ours(row) and (row.dagger or row.proposals != 'greedy')


@dataclass(frozen=True)
class Layout:
    """How one published table is laid out.

    Attributes:
        name: ``'1'`` to ``'4'``, or ``'pr@0.5'``, ….
        title: what it shows.
        metrics: (metric, what stands over its columns).
        heads: of the label columns.
        labels: a row's label cells, on the paper's datasets or on our ``own``, where there is no † and no venue.
        block: rows of one block stand together.
        measurable: whether our own runs belong into a row.
        compete: whether the best of a column is sought block by block (or else in the whole column).
        extend: whether what was measured and is in no row of the paper gets a line of its own at the end, even where it
            was given no name.
    """

    name: str
    title: str
    metrics: tuple[tuple[str, str], ...]
    heads: tuple[str, ...] = ('model',)
    labels: Callable[[Row, bool], tuple[str, ...]] = _model_labels
    block: Callable[[Row], str] = attrgetter('method')
    measurable: Callable[[Row], bool] = _ours_rerun
    compete: bool = True
    extend: bool = True

    @property
    def caption(self) -> str:
        """The title with the table's number."""
        return f'Table {self.name}: {self.title}' if self.name in PAPER else f'Supplement: {self.title}'


LAYOUTS = (
    Layout('1', 'Recall (%) of the referent and of contextual objects',
           (('referent_recall', 'Referent'), ('context_recall', 'Contextual objects'), (NUMBER, 'Proposals')),
           ('proposals', 'rule'), _recall_labels, attrgetter('n_proposals'), measurable=lambda row: True),
    Layout('2', 'REC accuracy (%) and RES overall IoU (%) of different architectures',
           (('accuracy', 'REC'), ('overall_iou', 'RES'))),
    Layout('3', 'REC accuracy (%) beside the state of the art', (('accuracy', ''),), ('', 'model', 'venue', 'backbone'),
           _stage_labels, attrgetter('stage'), _ours, compete=False, extend=False),
    Layout('4', 'RES overall IoU (%) beside the state of the art', (('overall_iou', ''),), ('', 'model', 'venue'),
           lambda row, own: _stage_labels(row, own)[:3], attrgetter('stage'), _ours, compete=False, extend=False),
    *(Layout(f'pr@{x}', f'RES Pr@{x} (%)', ((f'pr@{x}', ''),)) for x in ('0.5', '0.6', '0.7', '0.8', '0.9')),
)
#: The names of all tables.
NAMES = tuple(layout.name for layout in LAYOUTS)


def paper_tables(results: Results, intervals: RecordIntervals | None = None,
                 named: Mapping[Method, Named] | None = None) -> list[Table]:
    """All tables of which something was measured: the paper's datasets first, then the others.

    Args:
        results: one run or several.
        intervals: gives every measured number its interval.
        named: what methods that the paper has no row for are called.
    """
    named = named or {}
    printed = [(layout, *_published_part(layout)) for layout in LAYOUTS]
    tables = []
    for own in (False, True):
        mine = [record for record in results.records if (record['dataset'] in TITLES) != own]
        for layout, rows, numbers in printed:
            wanted = {metric for metric, _ in layout.metrics}
            shown = {*_methods(layout, rows), *named}
            measured = {key_of(record): record for record in mine if record['metric'] in wanted
                        and (layout.extend or (record['grounder'], record['proposals']) in shown)}
            if measured:
                tables.append(_table(layout, rows, numbers, measured, results, own, intervals, named))
    return tables


def outside_methods(results: Results) -> list[Method]:
    """Grounders with their rules that the paper's tables have no row for."""
    layout = next(layout for layout in LAYOUTS if layout.name == '2')
    ours = _methods(layout, _published_part(layout)[0])
    measured = dict.fromkeys((record['grounder'], record['proposals']) for record in results.records)
    return [method for method in measured if method[0] != NO_GROUNDER and method not in ours]


def _methods(layout: Layout, rows: Sequence[Row]) -> set[Method]:
    """The grounders and rules, as (grounder, rule), that have a row of the paper's own."""
    return {(row.grounder, row.proposals) for row in rows if layout.measurable(row)}


def left_out(tables: Sequence[Table], wanted: Collection[str] = NAMES) -> list[str]:
    """One line each on what the tables lack, of those that are ``wanted``, because nothing was measured."""
    there = {table.name for table in tables}
    missing = [layout.caption for layout in LAYOUTS if layout.name in wanted and layout.name not in there]
    lines = [f'nothing was measured for {"; ".join(missing)}'] if missing else []
    if not any(column.dataset in TITLES for table in tables for column in table.columns):
        lines.append(f'nothing was measured on {", ".join(TITLES.values())}; '
                     'python -m reports published prints the paper\'s numbers')
    return lines


def as_printed(name: str, frame: pd.DataFrame) -> Table:
    """Published numbers alone.

    Args:
        name: of the table, as in ``frame['table']``.
        frame: its numbers, as :func:`~reports.published.published` gives them.
    """
    layout = next((layout for layout in LAYOUTS if layout.name == name), None)
    if layout is None:
        return _listing(name, frame)
    columns = [column for column in _paper_columns(layout) if column.metric != NUMBER]
    lines = [_line(layout, row, columns, {}, _numbers(frame), None) for row in _rows(frame)]
    return Table(name, f'{layout.caption}, as published', layout.heads, columns, marked(lines, layout.compete),
                 notes=[counted_by(frame)])


def _listing(name: str, frame: pd.DataFrame) -> Table:
    """Numbers that follow no table of the paper: a line for each method, rule and metric."""
    columns = [Column(dataset, split, '', TITLES[dataset]) for dataset, split in SPLITS]
    lines = []
    for row in _rows(frame):
        numbers = _numbers(frame)
        for metric in dict.fromkeys(frame['metric']):
            cells = tuple(Cell(published=numbers.get((*_identity(row), c.dataset, c.split, metric))) for c in columns)
            if any(cell.published is not None for cell in cells):
                lines.append(Line((row.marked_method, row.proposals, metric), cells, row.method + row.proposals))
    return Table(name, f'As published: {", ".join(dict.fromkeys(frame["source"]))}', ('method', 'proposals', 'metric'),
                 columns, lines, notes=[counted_by(frame)])


def _rows(frame: pd.DataFrame) -> list[Row]:
    return list(dict.fromkeys(Row(*values) for values in frame[list(Row._fields)].itertuples(index=False)))


def _identity(row: Row) -> tuple[str, str, str, bool]:
    return row.method, row.backbone, row.proposals, row.dagger


Numbers = Mapping[tuple, float]


def _numbers(frame: pd.DataFrame) -> Numbers:
    """Published values by :func:`_identity`, dataset, split and metric."""
    keys = frame[['method', 'backbone', 'proposals', 'dagger', 'dataset', 'split', 'metric']]
    return dict(zip(keys.itertuples(index=False, name=None), frame['value'], strict=True))


@cache
def _published_frame(layout: Layout) -> pd.DataFrame:
    """The published numbers that may stand in a layout."""
    return published([layout.name] if layout.name in PAPER else ['mattnet', 'ref-nms-logs'])


@cache
def _published_part(layout: Layout) -> tuple[Sequence[Row], Numbers]:
    """Rows and numbers of a layout; Pr@X has Table 2's rows, as far as there is anything to show in them."""
    frame = _published_frame(layout)
    numbers = _numbers(frame)
    if layout.name in PAPER:
        return _rows(frame), numbers
    rows = [row for row in _rows(published(['2'])) if layout.measurable(row)
            or any(key[:4] == _identity(row) and key[6] == layout.name for key in numbers)]
    return rows, numbers


def _paper_columns(layout: Layout) -> list[Column]:
    return [Column(dataset, split, metric, TITLES[dataset], top)
            for metric, top in layout.metrics for dataset, split in SPLITS]


def _own_columns(layout: Layout, keys: Iterable[Key]) -> list[Column]:
    """The columns of the datasets and splits that were measured, a dataset's splits together."""
    measured = list(dict.fromkeys((dataset, split) for dataset, split, *_ in keys))
    first = {dataset: i for i, dataset in reversed(list(enumerate(d for d, _ in measured)))}
    return [Column(dataset, split, metric, dataset, top) for metric, top in layout.metrics
            for dataset, split in sorted(measured, key=lambda column: first[column[0]])]


def _table(layout: Layout, rows: Sequence[Row], numbers: Numbers, measured: Mapping[Key, Record], results: Results,
           own: bool, intervals: RecordIntervals | None, named: Mapping[Method, Named]) -> Table:
    columns = _own_columns(layout, measured) if own else _paper_columns(layout)
    if not any(metric == NUMBER for _, _, metric, *_ in measured):
        columns = [column for column in columns if column.metric != NUMBER]
    if own:
        rows, numbers = [row for row in rows if layout.measurable(row)], {}
    lines = [_line(layout, row, columns, measured, numbers, intervals, own) for row in rows]
    heads = layout.heads[:len(lines[0].labels)]
    lines += _extra_lines(len(heads), lines, columns, measured, intervals, named)
    lines = [line for line in lines if any(cell.shown is not None for cell in line.cells)]
    where = f', on {", ".join(dict.fromkeys(column.dataset for column in columns))}' if own else ''
    unranked = [place for place, column in enumerate(columns) if column.metric == NUMBER]
    table = Table(layout.name, layout.caption + where, heads, columns, marked(lines, layout.compete, unranked))
    seen = seen_in(run.run for run in results.runs)
    table = with_marks(table, seen)
    others = {} if own else counted_otherwise(_published_frame(layout), {metric for metric, _ in layout.metrics})
    notes, limits = notes_under(table, results, own, layout.compete, others)
    limits += footnotes(table, seen)
    return replace(table, notes=[*notes, *limits], note=note_under(table, own, layout.compete, limits, others))


def _line(layout: Layout, row: Row, columns: Sequence[Column], measured: Mapping[Key, Record], numbers: Numbers,
          intervals: RecordIntervals | None, own: bool = False) -> Line:
    measurable = layout.measurable(row)
    cells = []
    for c in columns:
        number = numbers.get((*_identity(row), c.dataset, c.split, c.metric))
        key = (c.dataset, c.split, c.metric, row.grounder, row.proposals)
        cells.append(_cell(measured.get(key) if measurable else None, number, measurable, intervals))
    return Line(layout.labels(row, own), tuple(cells), layout.block(row),
                row.grounder if measurable else None, row.proposals)


def _cell(record: Record | None, number: float | None, measurable: bool, intervals: RecordIntervals | None) -> Cell:
    if record is None:
        return Cell(published=number, measurable=measurable)
    return measured_cell(record, intervals, number)


def _extra_lines(labels: int, lines: Sequence[Line], columns: Sequence[Column], measured: Mapping[Key, Record],
                 intervals: RecordIntervals | None, named: Mapping[Method, Named]) -> Iterator[Line]:
    """What was measured and has no line in the paper, with as many label cells as the others have."""
    there = {(line.grounder, line.proposals) for line in lines}
    for grounder, rule in dict.fromkeys(key[3:] for key in measured):
        if (grounder, rule) not in there:
            cells = tuple(_cell(measured.get((c.dataset, c.split, c.metric, grounder, rule)), None, True, intervals)
                          for c in columns)
            name = named.get((grounder, rule), Named(rule if grounder == NO_GROUNDER else f'{grounder}, {rule}'))
            texts = (name.label,) if labels == 1 else ('', *name)[:labels]
            yield Line(texts, cells, 'not in the paper', grounder, rule)
