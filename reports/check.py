"""Has a run become worse than the baseline? For CI: exit code 0 (no), 1 (yes) or 2 (they could not be compared).

A baseline is a ``results.json`` that may have a ``tolerances`` block, ``{metric: points}``; ``--update`` writes one
from a run. Every record of the baseline has to be there, on as many expressions, and not lower than its tolerance
allows (or, with ``--significant``, not significantly lower); data, weights, conventions and ``--set`` options have to
be the same; and the run's figures have to follow from its own predictions (:mod:`reports.recount`). What counts things
instead of shares, as proposals, must not rise either.
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pandas as pd

from harness.data.results import Record, key_of, said
from harness.errors import InputError
from harness.files.writing import write_text
from reports.baseline import Baseline, part_there, read_baseline, updated
from reports.compare import pair_up
from reports.drawing.listing import Block, Listing
from reports.drawing.rendering import written
from reports.drawing.sheets import printable
from reports.limits import DEFAULT_TOLERANCE, SIGNIFICANT
from reports.recount import RunPredictions, recount
from reports.rows.results_files import Run, beside
from reports.statistics.intervals import mcnemar, swap_test
from reports.statistics.outcomes import OUTCOMES

#: A stage is judged as if it had taken at least this many seconds, because shorter times are noise.
SHORTEST_STAGE = 1.0
#: This many failed cases are printed; --summary and --junit have all.
FIRST = 10
#: What is wrong with a record, weight or dataset that the baseline has and the run has not.
ABSENT = 'is not there'
_ROUNDING = 1e-6


class Case(NamedTuple):
    """One thing that has to hold, in words; ``wrong`` says what does not, ``better`` what became better."""

    group: str
    what: str
    baseline: str
    now: str
    wrong: str = ''
    better: str = ''


def cases(now: Run, baseline: Baseline, max_slowdown: float | None = None, significant: bool = False) -> list[Case]:
    """Everything that has to hold, in order: data, weights, conventions, settings, records, the run's figures counted
    again from its ``predictions.jsonl`` where that lies beside, times.

    Args:
        max_slowdown: a stage may take at most this many times as long; ``None``: any time.
        significant: test pairs of expressions instead of holding values against tolerances.

    Raises:
        InputError: ``significant``, and a ``predictions.jsonl`` is missing, damaged or not of its ``results.json``.
    """
    origin = list(_origin(now, baseline.run))
    other_data = {case.what for case in origin if case.group == 'data' and case.wrong}
    mine = _answers(now, significant)
    before = _answers(baseline.run, True) if significant else None
    paired = Pairs(before, mine) if before is not None and mine is not None else None
    there = {key_of(record): record for record in now.records}
    records = [_record_case(record, there.get(key_of(record)), baseline.tolerances, paired, other_data)
               for record in baseline.run.records]
    again = [] if mine is None else [Case('recount', what, 'agree', 'differ' if wrong else 'agree', wrong)
                                     for what, wrong in recount(mine, now.records)]
    times = [] if max_slowdown is None else list(_time_cases(now, baseline.run, max_slowdown))
    return origin + records + again + times


def _origin(now: Run, baseline: Run) -> Iterator[Case]:
    """What the figures were made from."""
    measured = dict.fromkeys(record['dataset'] for record in baseline.records)
    data = {name: sha for name, sha in baseline.run.data.items() if name in measured}
    yield from _same('data', data, now.run.data)
    yield from _same('weights', baseline.run.hashes, now.run.hashes)
    yield from _same('conventions', baseline.run.conventions, now.run.conventions)
    settings = [{'--set': ' '.join(sorted(run.run.settings)) or 'none'} for run in (baseline, now)]
    yield from _same('settings', *settings)


def _same(group: str, baseline: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Case]:
    for name, value in baseline.items():
        wrong = '' if now.get(name) == value else 'differs' if name in now else ABSENT
        yield Case(group, name, _short(value), _short(now.get(name, '—')), wrong)


def _record_case(record: Record, now: Record | None, tolerances: Mapping[str, float], paired: Pairs | None,
                 other_data: set[str]) -> Case:
    key = key_of(record)
    if now is None:
        return Case('records', said(key), f'{record["value"]:.2f}', '—', ABSENT)
    case = Case('records', said(key), f'{record["value"]:.2f}', f'{now["value"]:.2f}')
    if now['n'] != record['n']:
        return case._replace(wrong=f'is of {now["n"]} expressions, not {record["n"]}')
    change = now['value'] - record['value']
    if key[2] in OUTCOMES and paired is not None:
        if key[0] in other_data:
            return case._replace(wrong='cannot be paired, the data differ')
        change, p = paired.test(record)
        moved = p < SIGNIFICANT
        how = f', p = {p:.2g}'
    else:
        tolerance = tolerances.get(key[2], DEFAULT_TOLERANCE)
        moved = abs(change) > tolerance + _ROUNDING
        how = f', tolerance {tolerance:g}'
    if not moved:
        return case
    counts_things = key[2] in OUTCOMES and not OUTCOMES[key[2]].percent
    if change < 0 or counts_things:
        return case._replace(wrong=f'{"fell" if change < 0 else "rose"} by {abs(change):.2f}{how}')
    return case._replace(better=f'rose by {change:.2f}{how}')


class Pairs:
    """The predictions of two runs, to test their records expression by expression.

    Args:
        baseline, now: the runs' own.
    """

    def __init__(self, baseline: RunPredictions, now: RunPredictions) -> None:
        self._both = baseline, now

    def test(self, record: Record) -> tuple[float, float]:
        """Change and p of a record of the baseline: McNemar's exact test where an expression is right or wrong, else a
        test that exchanges the runs in whole images by chance.

        Raises:
            InputError: the baseline's predictions give another value than the record, or a run has none.
        """
        if wrong := self._both[0].wrong(record):
            raise InputError(f'{self._both[0].file}: is not of its results, {wrong}; give the files of one run')
        metric = OUTCOMES[record['metric']]
        before, now = (answers.of(record) for answers in self._both)
        if before is None or now is None:
            raise InputError(f'{self._both[1].file}: has no row for {said(key_of(record))}; give '
                             'the files of one run')
        pair = pair_up(before, now)
        a, b = metric.of(pair.a), metric.of(pair.b)
        both = a.counts & b.counts
        a, b = a.of(both), b.of(both)
        if metric.yes_no:
            p = mcnemar(int((a.part > b.part).sum()), int((a.part < b.part).sum()))
        else:
            p = swap_test(pair.a['image_id'].to_numpy()[both], a.part, a.whole, b.part, b.whole)
        return b.value() - a.value(), p


def _answers(run: Run, needed: bool) -> RunPredictions | None:
    file = beside(run, 'predictions.jsonl')
    if file is not None:
        return RunPredictions(file, ('box',))
    if needed:
        raise InputError(f'{run.file.with_name("predictions.jsonl")}: --significant needs it and it is not there; '
                         'give a run\'s folder, also as --against')
    return None


def _time_cases(now: Run, baseline: Run, most: float) -> Iterator[Case]:
    after = now.run.seconds
    for stage, before in baseline.run.seconds.items():
        if stage in after:
            ratio = after[stage] / max(before, SHORTEST_STAGE)
            yield Case('seconds', stage, f'{before:.1f} s', f'{after[stage]:.1f} s',
                       f'takes {ratio:.2f} times as long, {most:g} is allowed' if ratio > most else '')


def remarks(now: Run, baseline: Baseline) -> list[str]:
    """Remarks on what does not fail the check but should be known."""
    known = {key_of(record) for record in baseline.run.records}
    new = [said(key_of(record)) for record in now.records if key_of(record) not in known]
    found = [f'{len(new)} records are not in the baseline: {_some(new)}.'] if new else []
    if beside(now, 'predictions.jsonl') is None:
        found.append('No predictions.jsonl beside the results: nothing was counted again.')
    versions = [run.run.versions for run in (baseline.run, now)]
    moved = [f'{name} {versions[0].get(name, "—")} → {versions[1].get(name, "—")}'
             for name in dict.fromkeys((*versions[0], *versions[1])) if versions[0].get(name) != versions[1].get(name)]
    if moved:
        found.append(f'Other versions than the baseline: {_some(moved)}.')
    if baseline.updates:
        last = baseline.updates[-1]
        found.append(f'The baseline is of {_short(last.get("date"))}: {_short(last.get("reason"))}.')
    return [printable(line) for line in found]


def _some(names: Sequence[str], most: int = 5) -> str:
    return ', '.join(names[:most]) + (', …' if len(names) > most else '')


def _short(value: Any) -> str:
    text = printable(str(value))
    return text if len(text) <= 60 else f'{text[:57]}…'


def check_listing(found: Sequence[Case], notes: Sequence[str], title: str, most: int | None = None) -> Listing:
    """Passed or failed, a table of what moved, a table of what became better, remarks.

    Args:
        most: the largest number of rows per table, what moved before what is not there; ``None``: all.
    """
    failed = sorted((case for case in found if case.wrong), key=lambda case: case.wrong == ABSENT)
    better = [case for case in found if case.better]
    verdict = f'failed: {len(failed)} of {len(found)}' if failed else f'passed: {len(found)}'
    blocks = [_block([case[:5] for case in failed], 'what moved', most),
              _block([(*case[:4], case.better) for case in better], 'what became better', most)]
    more = ['--update --reason TEXT takes what became better into the baseline.'] if better and not failed else []
    return Listing([block for block in blocks if len(block.table)], [*more, *notes], f'{title} {verdict}')


def _block(rows: Sequence[tuple[str, ...]], head: str, most: int | None) -> Block:
    shown = rows[:most]
    more = len(rows) - len(shown)
    left = [f'{more} more; --summary FILE and --junit FILE have all of them'] if more else []
    return Block('', pd.DataFrame(shown, columns=['', head, 'baseline', 'now', 'how']), {}, left)


def junit(found: Sequence[Case]) -> str:
    """JUnit XML with one test case per :class:`Case`, in one suite per group."""
    root = ElementTree.Element('testsuites', tests=str(len(found)), failures=str(sum(bool(c.wrong) for c in found)))
    for group in dict.fromkeys(case.group for case in found):
        mine = [case for case in found if case.group == group]
        suite = ElementTree.SubElement(root, 'testsuite', name=f'check.{group}', tests=str(len(mine)),
                                       failures=str(sum(bool(case.wrong) for case in mine)))
        for case in mine:
            test = ElementTree.SubElement(suite, 'testcase', classname=f'check.{group}', name=printable(case.what))
            if case.wrong:
                failure = ElementTree.SubElement(test, 'failure', message=printable(f'{case.what} {case.wrong}'))
                failure.text = printable(f'baseline {case.baseline}, now {case.now}')
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding='unicode', xml_declaration=True) + '\n'


def partial(now: Run, baseline: Run) -> list[str]:
    parts = part_there(now, baseline)
    if not parts:
        return []
    return [f'The run holds only a part of the baseline: --part {" --part ".join(parts)} checks that part alone.']


def update(now: Run, path: Path, reason: str) -> int:
    if path.is_dir() or (path.exists() and path.samefile(now.file)):
        raise InputError(f'--update: --against {path} must be a baseline file of its own, not the run')
    before = read_baseline(path) if path.exists() else None
    date = datetime.now(UTC).date().isoformat()
    new = updated(now, reason, before.tolerances if before else {}, before.updates if before else (), date)
    write('--update', path, json.dumps(new, indent=1, ensure_ascii=False) + '\n')
    if before is not None:
        print(written(check_listing(cases(now, before), (), f'Check against {path} as it was', FIRST)), end='\n\n')
    print(f'{path}: now {len(now.records)} records of {now.file}, because: {reason}')
    return 0


def write(option: str, path: Path, text: str) -> None:
    write_text(path, text, advice='', where=f'{option} {path}')
