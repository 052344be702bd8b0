"""The tables of ``--list``: every plug-in with the first line of its docstring."""
from __future__ import annotations

from tabulate import tabulate

from harness.answers.coordinates import SYSTEMS
from harness.evaluation.request import TASKS
from harness.names import plain
from harness.registry import (
    ANSWER_FORMS,
    DATA_FORMS,
    DATASETS,
    DETECTORS,
    GROUNDERS,
    METRICS,
    PROPOSAL_RULES,
    PluginRegistry,
    names,
)

SPLITS = {'refcoco': 'train, val, testA, testB', 'refcoco+': 'train, val, testA, testB', 'refcocog': 'train, val, test'}


def listing() -> str:
    """Eight small tables; of the plug-ins only the metrics are imported."""
    datasets = [[name, SPLITS.get(name.removeprefix('mini-'), ''), summary] for name, summary in _summaries(DATASETS)]
    parts = [_table('datasets (--dataset, --split)', ['name', 'splits', 'what'], datasets)]
    for title, registry in (('grounders (--grounder)', GROUNDERS), ('proposal rules (--proposals)', PROPOSAL_RULES),
                            ('detectors (--detector)', DETECTORS)):
        parts.append(_table(title, ['name', 'what'], _summaries(registry)))
    metrics = [[', '.join(METRICS.get(name).names), METRICS.get(name).task, summary]
               for name, summary in _summaries(METRICS)]
    parts.append(_table(f'metrics (--task: {", ".join(TASKS)})', ['name', 'task', 'what'], metrics))
    parts.append(_table('forms of the data (--data FILE)', ['name', 'what'], _summaries(DATA_FORMS)))
    parts.append(_table('forms of answers (--predictions FILE --answers)', ['name', 'what'], _summaries(ANSWER_FORMS)))
    parts.append(_table('what the numbers of answers are (--coordinates)', ['name', 'what'],
                        [[system.name, system.what] for system in SYSTEMS.values()]))
    return '\n\n'.join(parts)


def _summaries(registry: PluginRegistry) -> list[list[str]]:
    return [[name, plain(registry.summary(name))] for name in names(registry)]


def _table(title: str, headers: list[str], rows: list[list[str]]) -> str:
    return f'{title}\n\n{tabulate(rows, headers=headers, tablefmt="github")}'
