"""Tables are made from results.json alone: datasets and splits across, rules and grounders down."""
from __future__ import annotations

from typing import Any

from harness.data.results import ResultsFile
from reports.tables.plain_tables import document, tables


def record(metric: str, value: float, dataset: str = 'refcoco', split: str = 'val', rule: str = 'greedy',
           grounder: str = '-', n: int = 10) -> dict:
    return {'dataset': dataset, 'split': split, 'task': 'recall', 'metric': metric, 'grounder': grounder,
            'proposals': rule, 'value': value, 'n': n}


def results(records: list[dict], **run: Any) -> ResultsFile:
    return ResultsFile.model_validate({'records': records, 'run': run})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_a_column_a_split_and_a_row_a_rule() -> None:
    records = [record('referent_recall', 88.84), record('referent_recall', 80.77, split='testB'),
               record('referent_recall', 92.51, rule='ref-nms-b'), record('referent_recall', 84.11, dataset='refcoco+')]
    (table,) = tables(results(records))
    title, _, head, rule_line, splits, greedy, refnms, counts = table.splitlines()
    assert title == '**Recall of the referent (%)**'
    assert set(rule_line) <= set('|-:')
    assert cells(head) == ['proposals', 'refcoco', '', 'refcoco+']
    assert cells(splits) == ['', '**val**', '**testB**', '**val**']
    assert cells(greedy) == ['greedy', '88.84', '80.77', '84.11']
    assert cells(refnms) == ['ref-nms-b', '92.51', '—', '—'], 'what was not measured is a dash'
    assert cells(counts) == ['expressions', '10', '10', '10']


def test_a_dataset_s_splits_stand_together_however_the_run_came_across_them() -> None:
    records = [record('referent_recall', 1.0, dataset, split) for split in ('val', 'testA') for dataset in ('b', 'a')]
    (table,) = tables(results(records))
    assert cells(table.splitlines()[2]) == ['proposals', 'b', '', 'a', '']
    assert cells(table.splitlines()[4]) == ['', '**val**', '**testA**', '**val**', '**testA**']


def test_grounders_have_a_column_of_their_own() -> None:
    (table,) = tables(results([record('accuracy', 71.318, grounder='cmae')]))
    assert cells(table.splitlines()[2])[:2] == ['grounder', 'proposals']
    assert cells(table.splitlines()[5]) == ['cmae', 'greedy', '71.32']


def test_only_the_metrics_asked_for() -> None:
    records = [record('referent_recall', 1.0), record('context_recall', 2.0)]
    assert len(tables(results(records))) == 2
    assert len(tables(results(records), ['context_recall'])) == 1


def test_the_document_says_where_the_figures_come_from() -> None:
    run = {'command': 'python run_benchmark.py', 'notes': ['a note'], 'seconds': {'detect': 1.26}, 'wall_seconds': 2.0,
           'expressions': 10, 'images': 2, 'seed': 0, 'commit': 'abc'}
    text = document(results([record('referent_recall', 1.0)], **run), 'Results')
    for part in ('# Results', '`python run_benchmark.py`', '> a note', '| detect', '1.3', 'commit `abc`'):
        assert part in text
