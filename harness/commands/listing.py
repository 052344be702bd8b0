"""What there is: every registered plug-in with the first line of its docstring."""
from __future__ import annotations

from tabulate import tabulate

from harness.evaluation.run import TASKS
from harness.names import plain
from harness.registry import DATASETS, DETECTORS, GROUNDERS, METRICS, PROPOSAL_RULES, names

SPLITS = {'refcoco': 'train, val, testA, testB', 'refcoco+': 'train, val, testA, testB', 'refcocog': 'train, val, test'}


def listing() -> str:
    """Six small tables."""
    datasets = [[n, SPLITS.get(n.removeprefix('mini-'), ''), _summary(DATASETS.get(n))] for n in names(DATASETS)]
    parts = [_table('datasets (--dataset, --split)', ['name', 'splits', 'what'], datasets)]
    for title, registry in (('grounders (--grounder)', GROUNDERS), ('proposal rules (--proposals)', PROPOSAL_RULES),
                            ('detectors (--detector)', DETECTORS)):
        parts.append(_table(title, ['name', 'what'], [[n, _summary(registry.get(n))] for n in names(registry)]))
    metrics = [[', '.join(m.names), m.task, _summary(m)] for m in map(METRICS.get, names(METRICS))]
    parts.append(_table(f'metrics (--task: {", ".join(TASKS)})', ['name', 'task', 'what'], metrics))
    return '\n\n'.join(parts)


def _summary(plugin: object) -> str:
    return plain((plugin.__doc__ or '').strip().split('\n')[0])


def _table(title: str, headers: list[str], rows: list[list[str]]) -> str:
    return f'{title}\n\n{tabulate(rows, headers=headers, tablefmt="github")}'
