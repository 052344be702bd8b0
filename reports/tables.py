"""Markdown tables from ``results.json`` alone, laid out as the paper's Tables 1 and 2.

Datasets and splits go across; rules, or grounders with rules, go down. A cell that was not measured is a dash.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

Record = Mapping[str, Any]

#: (title, metric, digits) of the tables without a grounder.
RECALL_TABLES = (
    ('Recall of the referent (%)', 'referent_recall', 2),
    ('Recall of contextual objects (%)', 'context_recall', 2),
    ('Proposals an expression', 'mean_proposals', 2),
)
#: The same for the tables of grounders.
GROUNDING_TABLES = (
    ('REC accuracy (%), IoU ≥ 0.5 with inclusive pixels as the original programs count', 'accuracy', 2),
    ('REC accuracy (%), IoU > 0.5 as the paper\'s text says', 'accuracy_strict', 2),
    ('RES overall IoU (%)', 'overall_iou', 2),
    *((f'RES Pr@{x} (%)', f'pr@{x}', 2) for x in ('0.5', '0.6', '0.7', '0.8', '0.9')),
)
#: The tables that a terminal shows; the rest is in tables.md.
SHOWN = ('referent_recall', 'context_recall', 'mean_proposals', 'accuracy', 'overall_iou')


def read_results(path: Path) -> dict[str, Any]:
    """``results.json`` of a run's folder, or the file itself."""
    file = path / 'results.json' if path.is_dir() else path
    return json.loads(file.read_text(encoding='utf-8'))


def tables(results: Mapping[str, Any], metrics: Iterable[str] | None = None) -> list[str]:
    """Markdown tables, each with its title, for the metrics that the results have.

    Args:
        results: ``results.json``.
        metrics: only these; ``None`` for all.
    """
    records = results['records']
    wanted = None if metrics is None else set(metrics)
    found = []
    for title, metric, digits in (*RECALL_TABLES, *GROUNDING_TABLES):
        mine = [r for r in records if r['metric'] == metric and (wanted is None or metric in wanted)]
        if mine:
            found.append(f'**{title}**\n\n{_layout(mine, digits)}')
    return found


def _layout(records: Sequence[Record], digits: int) -> str:
    """Rows by (grounder, rule), columns by (dataset, split), in order of appearance, a dataset's splits together."""
    grounded = any(r['grounder'] != '-' for r in records)
    keys = ['grounder', 'proposals'] if grounded else ['proposals']
    frame = pd.DataFrame(records)
    frame['column'] = list(zip(frame['dataset'], frame['split'], strict=True))
    frame['row'] = list(zip(*(frame[k] for k in keys), strict=True))
    first = {d: i for i, d in enumerate(dict.fromkeys(frame['dataset']))}
    columns = sorted(dict.fromkeys(frame['column']), key=lambda column: first[column[0]])
    cells = {(r, c): v for r, c, v in zip(frame['row'], frame['column'], frame['value'], strict=True)}
    counts = {c: n for c, n in zip(frame['column'], frame['n'], strict=True)}
    datasets = [d for d, _ in columns]
    heads = [d if i == 0 or datasets[i - 1] != d else '' for i, d in enumerate(datasets)]
    body = [[*(_name(part) for part in row), *(_cell(cells.get((row, c)), digits) for c in columns)]
            for row in dict.fromkeys(frame['row'])]
    splits = [*('' for _ in keys), *(f'**{s}**' for _, s in columns)]
    sizes = [*('expressions' if i == 0 else '' for i in range(len(keys))), *(str(counts[c]) for c in columns)]
    align = ['left'] * len(keys) + ['right'] * len(columns)
    return tabulate([splits, *body, sizes], headers=[*keys, *heads], tablefmt='github', colalign=align,
                    disable_numparse=True)


def _name(name: str) -> str:
    return name.replace('|', '\\|')


def _cell(value: float | None, digits: int) -> str:
    return '—' if value is None else f'{value:.{digits}f}'


def document(results: Mapping[str, Any], title: str) -> str:
    """All tables as one Markdown page with where they come from."""
    run = results['run']
    lines = [f'# {title}', '', f'`{run["command"]}`', '']
    for note in run['notes']:
        lines += [f'> {note}', '']
    lines += ['\n\n'.join(tables(results)), '']
    seconds = [[stage, f'{spent:.1f}'] for stage, spent in run['seconds'].items()]
    lines += ['**Seconds by stage**', '', tabulate([*seconds, ['all', f'{run["wall_seconds"]:.1f}']],
              headers=['stage', 'seconds'], tablefmt='github', colalign=('left', 'right'), disable_numparse=True), '']
    lines += [f'{run["expressions"]} expressions on {run["images"]} images; seed {run["seed"]}; '
              f'commit `{run["commit"]}`.', '']
    return '\n'.join(lines)
