"""What results are held against: a ``results.json`` with tolerances, a part of it, and how it is made of a run."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge
from pydantic import AllowInfNan

from harness.data.results import Record, ResultsFile, read_as
from harness.errors import InputError
from harness.names import nearest
from reports.rows.metrics import METRICS
from reports.rows.results_files import Run, read_runs

#: Options of a run that a baseline keeps; the others name places on a machine.
KEPT_OPTIONS = ('grounder', 'dataset', 'split', 'task', 'proposals', 'limit', 'seed', 'settings')
KEPT_PARTS = ('seed', 'commit', 'versions', 'data', 'weights', 'conventions', 'seconds', 'images', 'expressions')


class BaselineFile(ResultsFile):
    """A baseline as it is written: results, how many points each metric may fall, and a line for each update."""

    tolerances: dict[str, Annotated[float, AllowInfNan(False), Ge(0)]] = {}
    updates: list[dict[str, Any]] = []


class Baseline(NamedTuple):
    """What results are held against: a run, its records, how far each metric may fall, and why it is as it is."""

    run: Run
    tolerances: Mapping[str, float]
    updates: Sequence[Mapping[str, Any]]


def read_baseline(path: Path, needed: Collection[str] = ()) -> Baseline:
    """A baseline file, or the results of a run's folder; ``needed`` as for :func:`read_run`.

    Raises:
        InputError: as :func:`reports.rows.results_files.read_runs`; a tolerance of an unknown metric or no number.
    """
    whole = read_as(BaselineFile, path, needed)
    known = dict.fromkeys([*METRICS, *(record['metric'] for record in whole.records)])
    for metric in whole.tolerances:
        if metric not in known:
            raise InputError(f'{path}: tolerances: unknown metric {metric}{nearest(metric, known)}; '
                             f'known are {", ".join(known)}')
    return Baseline(read_run(path, needed), whole.tolerances, whole.updates)


def part_of(baseline: Baseline, parts: Sequence[str]) -> Baseline:
    """What a baseline says of some ``DATASET`` or ``DATASET/SPLIT``, and of the weights that have a part in them.

    Raises:
        InputError: nothing, of one of them.
    """
    known = dict.fromkeys(map(_split, baseline.run.records))
    for part in parts:
        if not any(_in(split, part) for split in known):
            raise InputError(f'--part {part}: the baseline has none{nearest(part, known)}; it has {", ".join(known)}')
    records = tuple(r for r in baseline.run.records if any(_in(_split(r), part) for part in parts))
    datasets = {r['dataset'] for r in records}
    weights = {name: about for name, about in baseline.run.run.weights.items()
               if '(' not in name or any(name.endswith(f'({dataset})') for dataset in datasets)}
    run = baseline.run.run.model_copy(update={'weights': weights})
    return baseline._replace(run=baseline.run._replace(records=records, run=run))


def part_there(now: Run, baseline: Run) -> list[str]:
    """The parts of a baseline that a run has, as ``--part`` takes them; none where it has them all or nothing."""
    mine, whole = (dict.fromkeys(map(_split, run.records)) for run in (now, baseline))
    there = [split for split in whole if split in mine]
    if not there or len(there) == len(whole):
        return []
    parts = []
    for split in there:
        dataset = split.partition('/')[0]
        complete = all(other in mine for other in whole if _in(other, dataset))
        parts.append(dataset if complete else split)
    return list(dict.fromkeys(parts))


def _split(record: Record) -> str:
    return f'{record["dataset"]}/{record["split"]}'


def _in(split: str, part: str) -> bool:
    return split == part or split.partition('/')[0] == part


def read_run(path: Path, needed: Collection[str] = ()) -> Run:
    """One run; ``needed`` as :func:`harness.data.results.read_as` takes it."""
    results = read_runs([path], needed)
    (run,) = results.runs
    return run._replace(records=results.records)


def updated(now: Run, reason: str, tolerances: Mapping[str, float], updates: Iterable[Mapping[str, Any]],
            date: str) -> dict[str, Any]:
    """A baseline of a run: without the run's own places on the machine, with one more line of history."""
    options = now.run.options
    run = now.run.model_dump(include=set(KEPT_PARTS), exclude_unset=True)
    run['options'] = {name: options[name] for name in KEPT_OPTIONS if name in options}
    return {'tolerances': dict(tolerances), 'updates': [*updates, {'date': date, 'reason': reason}],
            'records': list(now.records), 'run': run}
