"""``results.json`` files read strictly, alone or several as one.

What can't stand in one table is refused: a NaN, a record that two runs measured differently, runs of different
versions, conventions, data or weights.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from harness.data.results import Key, Record, ResultsFile, RunRecord, key_of, read_results_file, said
from harness.data.run_files import results_file
from harness.errors import InputError
from harness.files.reading import require_regular
from harness.names import nearest
from reports.drawing.sheets import printable
from reports.rows.metrics import METRICS

T = TypeVar('T')


class Run(NamedTuple):
    """One run: the file, its ``records`` and its ``run`` part."""

    file: Path
    records: Sequence[Record]
    run: RunRecord


@dataclass(frozen=True)
class Results:
    """Runs that belong together, and all they measured: each record once, in order of appearance."""

    runs: Sequence[Run]
    records: Sequence[Record]


def beside(run: Run, name: str) -> Path | None:
    """Another file of a run's folder, ``None`` where there is none.

    Raises:
        InputError: it is no regular file.
    """
    file = run.file.with_name(name)
    require_regular(file)
    return file if file.is_file() else None


def read_results(path: Path, needed: Collection[str] = ()) -> ResultsFile:
    """One ``results.json`` that holds figures; ``needed`` as :func:`harness.data.results.read_as` takes it.

    Raises:
        InputError: not there, not a results file, without records, or a value is not a finite number.
    """
    results = read_results_file(path, needed)
    if not results.records:
        raise InputError(f'{results_file(path)}: holds no records, nothing was measured; '
                         'give results that hold figures')
    return results


def read_runs(paths: Iterable[Path], needed: Collection[str] = ()) -> Results:
    """Several runs as one; ``needed`` as for :func:`read_results`.

    Raises:
        InputError: as :func:`read_results`; an unknown metric; a record that two runs measured differently; runs on the
            same data that differ in versions, conventions, data, weights, settings or number of expressions.
    """
    runs = []
    for file in dict.fromkeys(results_file(path) for path in paths):
        results = read_results(file, needed)
        runs.append(Run(file, results.records, results.run))
        _check_metrics(runs[-1])
    for index, run in enumerate(runs):
        for other in runs[:index]:
            _check_together(other, run)
    return Results(runs, _merged(runs))


def _check_metrics(run: Run) -> None:
    """A metric is known by name, or else the run's own conventions say what it counts."""
    described = run.run.conventions
    for record in run.records:
        metric = record['metric']
        if metric not in METRICS and metric not in described:
            raise InputError(f'{run.file}: unknown metric {metric}{nearest(metric, METRICS)}; known are '
                             f'{", ".join(METRICS)} and whatever run.conventions describes')


def _check_together(a: Run, b: Run) -> None:
    """Two runs that share a dataset must have been made alike."""
    shared = [name for name in dict.fromkeys(r['dataset'] for r in a.records)
              if any(r['dataset'] == name for r in b.records)]
    if not shared:
        return
    _check_same(a, b, 'versions', *_in_both(a.run.versions, b.run.versions))
    _check_same(a, b, 'conventions', a.run.conventions, b.run.conventions)
    _check_same(a, b, 'data', *({name: run.run.data.get(name) for name in shared} for run in (a, b)))
    _check_same(a, b, 'weights', *_in_both(a.run.hashes, b.run.hashes))
    _check_same(a, b, '--set options', *({'settings': sorted(run.run.settings)} for run in (a, b)))
    _check_same(a, b, 'numbers of expressions', *_sizes(a, b))


def _sizes(a: Run, b: Run) -> tuple[dict[str, int], dict[str, int]]:
    """Expressions by dataset, split and metric, of those that both runs measured."""
    mine, other = ({f'{r["dataset"]} {r["split"]}, {r["metric"]}': r['n'] for r in run.records} for run in (a, b))
    return _in_both(mine, other)


def _in_both(mine: Mapping[str, T], other: Mapping[str, T]) -> tuple[dict[str, T], dict[str, T]]:
    """Both without what the other lacks."""
    both = [name for name in mine if name in other]
    return {name: mine[name] for name in both}, {name: other[name] for name in both}


def _check_same(a: Run, b: Run, what: str, mine: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    for name in dict.fromkeys((*mine, *other)):
        if mine.get(name) != other.get(name):
            raise InputError(f'{a.file} and {b.file}: results of different {what} cannot be mixed ({name}: '
                             f'{_short(mine.get(name))} and {_short(other.get(name))}); give them one at a time')


def _short(value: Any) -> str:
    text = printable(str(value))
    return text if len(text) <= 60 else f'{text[:57]}…'


def _merged(runs: Sequence[Run]) -> list[Record]:
    seen: dict[Key, tuple[Path, Record]] = {}
    for run in runs:
        for record in run.records:
            key = key_of(record)
            file, first = seen.setdefault(key, (run.file, record))
            if (first['value'], first['n']) != (record['value'], record['n']):
                where = f'{file} and {run.file}' if file != run.file else f'{file}'
                raise InputError(f'{where}: {said(key)} is there twice, as {first["value"]:.6g} ({first["n"]} '
                                 f'expressions) and {record["value"]:.6g} ({record["n"]}); leave one of them out')
    return [record for _, record in seen.values()]
