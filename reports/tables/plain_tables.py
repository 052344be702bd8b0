"""Plain tables of figures, from result files alone.

Datasets and splits go across; rules, or grounders with rules, go down. A cell that was not measured is a dash. Tables
that look like the paper's are in :mod:`reports.tables.paper_tables`.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.data.results import Record, ResultsFile, RunRecord, Throughput
from reports.drawing.rendering import markdown, written
from reports.drawing.sheets import Drawn, Head, Sheet, words
from reports.rows.metrics import METRICS, TitledMetric
from reports.tables.layout import Cell, Column, Line, Table, Tables
from reports.tables.passport_notes import Passports, passport_notes, passports_in
from reports.tables.record_intervals import RecordIntervals, measured_cell, said_of_intervals
from reports.tables.seen_images import Seen, footnotes, seen_in, with_marks

#: The tables that a terminal shows after a run; the rest is in tables.md.
SHOWN = ('referent_recall', 'context_recall', 'mean_proposals', 'accuracy', 'overall_iou')


def tables(results: ResultsFile, metrics: Iterable[str] | None = None) -> list[str]:
    """Markdown tables, each with its title, for the metrics that the results have.

    Args:
        results: ``results.json``.
        metrics: only these; ``None`` for all.
    """
    return [markdown(Tables([table])) for table in _of_run(results, metrics)]


def printed(results: ResultsFile) -> str:
    """What a run prints at its end: its first tables and its stages, drawn in a terminal, else as Markdown."""
    sheets = [table.sheet() for table in _of_run(results, SHOWN)]
    return written(Drawn([*sheets, *([stages(results.run)] if results.run.throughput else [])]))


def _of_run(results: ResultsFile, metrics: Iterable[str] | None) -> list[Table]:
    return plain_tables(results.records, metrics, seen=seen_in([results.run]), passports=passports_in([results.run]))


def plain_tables(records: Sequence[Record], metrics: Iterable[str] | None = None,
                 intervals: RecordIntervals | None = None, seen: Seen | None = None,
                 passports: Passports | None = None) -> list[Table]:
    """One table a metric, the known ones first.

    Args:
        records: of ``results.json``.
        metrics: only these; ``None`` for all.
        intervals: gives every number its interval.
        seen: the images that the detector has seen, for marks and footnotes.
        passports: which partitions the rows are.
    """
    there = list(dict.fromkeys(record['metric'] for record in records))
    wanted = there if metrics is None else [metric for metric in there if metric in set(metrics)]
    known = [metric for metric in METRICS if metric in wanted]
    return [_table(metric, [r for r in records if r['metric'] == metric], intervals, seen or {}, passports or {})
            for metric in (*known, *(metric for metric in wanted if metric not in METRICS))]


def _table(metric: str, records: Sequence[Record], intervals: RecordIntervals | None, seen: Seen,
           passports: Passports) -> Table:
    """Lines by (grounder, rule), columns by (dataset, split), in order of appearance, a dataset's splits together."""
    grounded = any(record['grounder'] != '-' for record in records)
    first = {name: i for i, name in enumerate(dict.fromkeys(record['dataset'] for record in records))}
    splits = sorted(dict.fromkeys((r['dataset'], r['split']) for r in records), key=lambda split: first[split[0]])
    columns = [Column(dataset, split, metric, dataset) for dataset, split in splits]
    measured = {(r['grounder'], r['proposals'], r['dataset'], r['split']): r for r in records}
    counts = {(r['dataset'], r['split']): r['n'] for r in records}
    lines = []
    for grounder, rule in dict.fromkeys((r['grounder'], r['proposals']) for r in records):
        found = [measured.get((grounder, rule, c.dataset, c.split)) for c in columns]
        cells = tuple(Cell() if r is None else measured_cell(r, intervals) for r in found)
        lines.append(Line((grounder, rule) if grounded else (rule,), cells, grounder=grounder, proposals=rule))
    heads = ('grounder', 'proposals') if grounded else ('proposals',)
    footer = ('expressions', *('' for _ in heads[1:]), *(str(counts[split]) for split in splits))
    table = Table(metric, METRICS.get(metric, TitledMetric(metric)).title, heads, columns, lines, footer)
    said = [*passport_notes(table, passports), *footnotes(table, seen)]
    return with_marks(replace(table, notes=[*said, *said_of_intervals(table)], note=' '.join(said)), seen)


def document(results: ResultsFile, title: str) -> str:
    """All tables as one Markdown page with where they come from."""
    run = results.run
    lines = [f'# {title}', '', f'`{run.command}`', '']
    for note in run.notes:
        lines += [f'> {note}', '']
    lines += ['\n\n'.join(tables(results)), '']
    lines += [markdown(Drawn([stages(run)])), '']
    lines += [f'{run.expressions} expressions on {run.images} images; seed {run.seed}; '
              f'commit `{run.commit}`.', '']
    return '\n'.join(lines)


def stages(run: RunRecord) -> Sheet:
    """Seconds of each stage of a run, and how many images and expressions go through it a second."""
    through = {stage: run.throughput.get(stage, Throughput()) for stage in run.seconds}
    rows = [[stage, f'{seconds:.1f}', _rate(through[stage].images_per_second),
             _rate(through[stage].expressions_per_second)] for stage, seconds in run.seconds.items()]
    rows.append(['all', f'{run.wall_seconds:.1f}', '', ''])
    heads = [Head('stage', number=False), *map(Head, ('seconds', 'images/s', 'expressions/s'))]
    return Sheet('Seconds by stage', heads, 1, [list(map(words, row)) for row in rows])


def _rate(rate: float | None) -> str:
    return '' if rate is None else f'{rate:.1f}'
