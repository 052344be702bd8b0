"""``results.json`` files read strictly, alone or several as one.

What can't stand in one table is refused: a NaN, a record that two runs measured differently, runs of different
versions, conventions, data or weights.
"""
from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import InputError
from harness.files.reading import read_bytes, require_regular
from harness.names import nearest
from reports.drawing.sheets import printable
from reports.rows.metrics import METRICS
from reports.rows.prediction_rows import LONGEST_NAME

Record = Mapping[str, Any]
Key = tuple[str, str, str, str, str]

KEY = ('dataset', 'split', 'metric', 'grounder', 'proposals')
#: What to do about a file that no run writes.
AS_WRITTEN = 'give the file as it was written'
#: No figure or number of expressions is larger.
LARGEST = 10 ** 15
RUN_PARTS = {'versions': dict, 'conventions': dict, 'data': dict, 'weights': dict, 'options': dict, 'notes': list}


class Run(NamedTuple):
    """One run: the file, its ``records`` and its ``run`` part."""

    file: Path
    records: Sequence[Record]
    run: Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """Runs that belong together, and all they measured: each record once, in order of appearance."""

    runs: Sequence[Run]
    records: Sequence[Record]


def results_file(path: Path) -> Path:
    """``results.json`` of a run's folder, or the file itself.

    Raises:
        InputError: there is none.
    """
    file = path / 'results.json' if path.is_dir() else path
    require_regular(file)
    if not file.is_file():
        raise InputError(f'{file}: there is no such file; give a run\'s folder or its results.json')
    return file


def beside(run: Run, name: str) -> Path | None:
    """Another file of a run's folder, ``None`` where there is none.

    Raises:
        InputError: it is no regular file.
    """
    file = run.file.with_name(name)
    require_regular(file)
    return file if file.is_file() else None


def read_results(path: Path) -> dict[str, Any]:
    """One ``results.json``, whole, as it was written.

    Args:
        path: a run's folder, or the file.

    Raises:
        InputError: not there, not a results file, without records, or a value is not a finite number.
    """
    file = results_file(path)
    try:
        results = json.loads(read_bytes(file))
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f'{file}: not a results file, it is no JSON ({_one_line(error)}); '
                         'give the results.json that a run wrote') from None
    if not (isinstance(results, dict) and isinstance(results.get('records'), list)
            and isinstance(results.get('run'), dict)):
        raise InputError(f'{file}: not a results file, it lacks "records" or "run"; '
                         'give the results.json that a run wrote')
    if not results['records']:
        raise InputError(f'{file}: holds no records, nothing was measured; give results that hold figures')
    for number, record in enumerate(results['records'], 1):
        _check_record(file, number, record)
    for part, kind in RUN_PARTS.items():
        if not isinstance(results['run'].get(part, kind()), kind):
            raise InputError(f'{file}: not a results file, run.{part} is no {kind.__name__}; {AS_WRITTEN}')
    return results


def read_runs(paths: Iterable[Path]) -> Results:
    """Several runs as one.

    Raises:
        InputError: as :func:`read_results`; an unknown metric; a record that two runs measured differently; runs on the
            same data that differ in versions, conventions, data, weights, settings or number of expressions.
    """
    runs = []
    for file in dict.fromkeys(results_file(path) for path in paths):
        results = read_results(file)
        runs.append(Run(file, results['records'], results['run']))
        _check_metrics(runs[-1])
    for index, run in enumerate(runs):
        for other in runs[:index]:
            _check_together(other, run)
    return Results(runs, _merged(runs))


def key_of(record: Record) -> Key:
    """What a record is the value of: dataset, split, metric, grounder, rule."""
    dataset, split, metric, grounder, proposals = (record[name] for name in KEY)
    return dataset, split, metric, grounder, proposals


def settings_of(run: Run) -> list[str]:
    """The ``--set`` options of a run, as typed; earlier versions wrote the list as text."""
    settings = run.run.get('options', {}).get('settings')
    if isinstance(settings, str):
        try:
            settings = ast.literal_eval(settings)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            settings = [settings]
    return [str(setting) for setting in settings] if isinstance(settings, list) else []


def said(key: Key) -> str:
    """A key in words."""
    dataset, split, metric, grounder, proposals = key
    return f'{metric} of {proposals if grounder == "-" else f"{grounder} on {proposals}"}, {dataset} {split}'


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())[:120] or type(error).__name__


def _check_record(file: Path, number: int, record: Any) -> None:
    if not isinstance(record, dict) or any(not isinstance(record.get(name), str) for name in KEY):
        raise InputError(f'{file}: not a results file, record {number} lacks one of {", ".join(KEY)}; {AS_WRITTEN}')
    for name in KEY:
        if not record[name].isprintable() or len(record[name]) > LONGEST_NAME:
            raise InputError(f'{file}: not a results file, record {number} has a name that cannot be printed; '
                             f'{AS_WRITTEN}')
    value: Any = record.get('value')
    n: Any = record.get('n')
    if not _number(value) or not abs(value) <= LARGEST:
        raise InputError(f'{file}: {said(key_of(record))} is {_short(value)}, not a finite number; {AS_WRITTEN}')
    if not isinstance(n, int) or not _number(n) or not 1 <= n <= LARGEST:
        raise InputError(f'{file}: {said(key_of(record))} counts {_short(n)} expressions, not 1 or more; {AS_WRITTEN}')


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_metrics(run: Run) -> None:
    """A metric is known by name, or else the run's own conventions say what it counts."""
    described = run.run.get('conventions', {})
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
    for part, what in (('versions', 'versions'), ('conventions', 'conventions')):
        _check_same(a, b, what, a.run.get(part, {}), b.run.get(part, {}))
    _check_same(a, b, 'data', *({name: run.run.get('data', {}).get(name) for name in shared} for run in (a, b)))
    mine, other = (_hashes(run) for run in (a, b))
    both = [name for name in mine if name in other]
    _check_same(a, b, 'weights', *({name: hashes[name] for name in both} for hashes in (mine, other)))
    _check_same(a, b, '--set options', *({'settings': sorted(settings_of(run))} for run in (a, b)))
    _check_same(a, b, 'numbers of expressions', *_sizes(a, b))


def _hashes(run: Run) -> dict[str, Any]:
    return {name: weights.get('sha256') if isinstance(weights, dict) else weights
            for name, weights in run.run.get('weights', {}).items()}


def _sizes(a: Run, b: Run) -> tuple[dict[str, int], dict[str, int]]:
    """Expressions by dataset, split and metric, of those that both runs measured."""
    mine, other = ({f'{r["dataset"]} {r["split"]}, {r["metric"]}': r['n'] for r in run.records} for run in (a, b))
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
