"""The line under a table that says which published partition its rows are."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.data.passport import EMBEDDED_BY, Part, Passport, is_whole, maker, said, titled
from harness.data.results import RunRecord
from reports.drawing.sheets import printable
from reports.tables.layout import Table

Passports = Mapping[tuple[str, str], Passport]


def passports_in(runs: Iterable[RunRecord]) -> Passports:
    """The passports of some runs by dataset and split; where runs differ, that of the most rows."""
    found: dict[tuple[str, str], Passport] = {}
    for run in runs:
        for dataset, splits in run.passports.items():
            for split, passport in splits.items():
                found[dataset, split] = max(found.get((dataset, split), passport), passport,
                                            key=lambda one: one['expressions'])
    return found


def passport_notes(table: Table, passports: Passports) -> list[str]:
    """What the rows of a table's columns are: whole partitions in one line, each other one in its own."""
    splits = [key for key in dict.fromkeys((c.dataset, c.split) for c in table.columns) if key in passports]
    whole = [passports[key]['parts'][0] for key in splits if is_whole(passports[key])]
    lines = [f'Rows: {_whole(whole)}.'] if whole else []
    lines += [f'Rows of {" ".join(key)}: {said(passports[key])}.' for key in splits if not is_whole(passports[key])]
    return list(map(printable, lines))


def _whole(parts: Iterable[Part]) -> str:
    """``RefCOCO val, testA (UNC), RefCOCOg val (UMD), whole``"""
    by_dataset: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        if part['by'] == EMBEDDED_BY:
            by_dataset.setdefault(('the embedded benchmark', ''), [])
        else:
            by_dataset.setdefault((titled(part), maker(part)), []).append(part['split'])
    told = [name if not by else f'{name} {", ".join(splits)} ({by})' for (name, by), splits in by_dataset.items()]
    return f'{"; ".join(told)}, each split whole'
