"""Tables from result files alone: plain ones, and ``python -m reports tables``.

In the plain ones datasets and splits go across; rules, or grounders with rules, go down. A cell that was not measured
is a dash. Those that look like the paper's are in :mod:`reports.paper_tables`.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tabulate import tabulate

from harness.names import OneLineParser
from reports.layout import Cell, Column, Line, Table
from reports.metrics import METRICS, Metric
from reports.paper_tables import left_out, paper_tables
from reports.record_intervals import RecordIntervals, measured_cell, said_of_intervals
from reports.rendering import RENDERERS, markdown
from reports.results_files import Record, read_results, read_runs

__all__ = ['SHOWN', 'document', 'main', 'plain_tables', 'read_results', 'tables']

#: The tables that a terminal shows after a run; the rest is in tables.md.
SHOWN = ('referent_recall', 'context_recall', 'mean_proposals', 'accuracy', 'overall_iou')


def tables(results: Mapping[str, Any], metrics: Iterable[str] | None = None) -> list[str]:
    """Markdown tables, each with its title, for the metrics that the results have.

    Args:
        results: ``results.json``.
        metrics: only these; ``None`` for all.
    """
    return [markdown([table]) for table in plain_tables(results['records'], metrics)]


def plain_tables(records: Sequence[Record], metrics: Iterable[str] | None = None,
                 intervals: RecordIntervals | None = None) -> list[Table]:
    """One table a metric, the known ones first.

    Args:
        records: of ``results.json``.
        metrics: only these; ``None`` for all.
        intervals: gives every number its interval.
    """
    there = list(dict.fromkeys(record['metric'] for record in records))
    wanted = there if metrics is None else [metric for metric in there if metric in set(metrics)]
    known = [metric for metric in METRICS if metric in wanted]
    return [_table(metric, [r for r in records if r['metric'] == metric], intervals)
            for metric in (*known, *(metric for metric in wanted if metric not in METRICS))]


def _table(metric: str, records: Sequence[Record], intervals: RecordIntervals | None) -> Table:
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
    table = Table(metric, METRICS.get(metric, Metric(metric)).title, heads, columns, lines, footer)
    return replace(table, notes=said_of_intervals(table))


def document(results: Mapping[str, Any], title: str) -> str:
    """All tables as one Markdown page with where they come from."""
    run = results['run']
    lines = [f'# {title}', '', f'`{run["command"]}`', '']
    for note in run['notes']:
        lines += [f'> {note}', '']
    lines += ['\n\n'.join(tables(results)), '']
    lines += [stage_table(run), '']
    lines += [f'{run["expressions"]} expressions on {run["images"]} images; seed {run["seed"]}; '
              f'commit `{run["commit"]}`.', '']
    return '\n'.join(lines)


def stage_table(run: Mapping[str, Any]) -> str:
    """Seconds of each stage of a run, and how many images and expressions go through it a second."""
    done = run.get('throughput', {})
    rows = [[stage, f'{seconds:.1f}', *(_rate(done.get(stage, {}).get(f'{what}_per_second'))
                                        for what in ('images', 'expressions'))]
            for stage, seconds in run['seconds'].items()]
    table = tabulate([*rows, ['all', f'{run["wall_seconds"]:.1f}', '', '']], tablefmt='github',
                     headers=['stage', 'seconds', 'images/s', 'expressions/s'],
                     colalign=('left', 'right', 'right', 'right'), disable_numparse=True)
    return f'**Seconds by stage**\n\n{table}'


def _rate(rate: float | None) -> str:
    return '' if rate is None else f'{rate:.1f}'


def main(argv: Sequence[str]) -> int:
    """``python -m reports tables``: print results as tables."""
    parser = OneLineParser(prog='python -m reports tables', allow_abbrev=False,
                           description='Tables of measured results.')
    parser.add_argument('results', nargs='+', type=Path, metavar='RESULTS', help='a run\'s folder or results.json')
    parser.add_argument('--like', choices=('paper',),
                        help='in the layout of the paper\'s tables, beside the published numbers')
    parser.add_argument('--format', choices=tuple(RENDERERS), default='md', help='default: md')
    parser.add_argument('--ci', action='store_true',
                        help='each number with its 95 %% interval, by bootstrap over images of predictions.jsonl')
    args: argparse.Namespace = parser.parse_args(argv)
    results = read_runs(args.results)
    intervals = RecordIntervals(results) if args.ci else None
    if args.like is None:
        print(RENDERERS[args.format](plain_tables(results.records, intervals=intervals)))
        return 0
    shown = paper_tables(results, intervals)
    print(RENDERERS[args.format](shown))
    for line in left_out(shown):
        print(f'note: {line}', file=sys.stderr)
    return 0
