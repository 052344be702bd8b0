"""The lines under a table like the paper's: data, sizes, seeds, weights, conventions, and how to read it."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import pandas as pd

from harness.data.counts import PUBLISHED
from reports.conventions.ledger import RULES
from reports.drawing.sheets import printable
from reports.published import UNKNOWN
from reports.rows.metrics import METRICS
from reports.rows.results_files import Results, Run
from reports.tables.layout import Table
from reports.tables.passport_notes import passport_notes, passports_in
from reports.tables.record_intervals import said_of_intervals
from reports.tables.seen_images import SHORT

#: The paper's datasets as it writes them.
TITLES = {'refcoco': 'RefCOCO', 'refcoco+': 'RefCOCO+', 'refcocog': 'RefCOCOg'}
#: The rules of :data:`reports.conventions.ledger.RULES` by which a run's metrics are counted; Pr@X is its own.
OUR_RULES = {'referent_recall': 'plain-over', 'context_recall': 'plain-over', 'accuracy': 'inclusive',
             'overall_iou': 'overall-iou'}
#: The most characters that the limits may take in a note that has to be one line.
ROOM = 90


def counted_otherwise(published: pd.DataFrame, metrics: Collection[str]) -> dict[str, list[str]]:
    """The methods whose published figures are not known to be counted as ours are, by the rule of theirs.

    Args:
        published: as :func:`reports.published.reading.published` gives it.
        metrics: of the table.
    """
    found: dict[str, list[str]] = {}
    rows = published[published['metric'].isin(list(metrics))][['method', 'metric', 'convention']].drop_duplicates()
    for method, metric, convention in rows.itertuples(index=False):
        if convention != OUR_RULES.get(metric, metric):
            found.setdefault(convention, []).append(method if len(metrics) == 1 else f'{method} ({metric})')
    return found


def counted_by(published: pd.DataFrame) -> str:
    """The rule by which each method's published figures were counted, in one line."""
    pairs = published[['convention', 'method']].drop_duplicates()
    rules = [f'{rule} ({_listed(mine["method"])})' for rule, mine in pairs.groupby('convention', sort=False)]
    return f'Counted by these rules of the ledger of conventions: {"; ".join(rules)}.'


def notes_under(table: Table, results: Results, own: bool, compete: bool,
                others: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """What stands under a table, a paragraph each: its provenance and how to read it, and what limits it.

    Args:
        table: finished but for its notes.
        results: what it was made from.
        own: on other datasets than the paper's.
        compete: the best of a column was sought block by block.
        others: as :func:`counted_otherwise` gives them.
    """
    scope = _scope(compete)
    reading = f'Bold is the best number {scope}, italic the second best; — was not run.'
    if not own:
        reading = ('Cells read: measured here (published, difference); in parentheses alone, published only; — was not '
                   f'run, or not published. Bold is the best number {scope}, italic the second best, where a published '
                   'number stands in for one not measured. † the paper\'s authors ran the method themselves.')
        reading = ' '.join([reading, *_otherwise(others)])
    return [provenance(table, results), reading, *said_of_intervals(table)], limits_of(table, results)


def provenance(table: Table, results: Results) -> str:
    """Where a table's measured figures come from: sizes, rows, data, seeds, weights, commits and conventions."""
    datasets, runs = _datasets(table), _runs(table, results)
    metrics = list(dict.fromkeys(column.metric for column in table.columns))
    rows = passport_notes(table, passports_in(run.run for run in runs))
    parts = [_sizes(table, metrics), *(line.rstrip('.') for line in rows),
             f'Data: {_listed(_data(runs, datasets))}', f'Seed: {_listed(_seeds(runs))}', *_weights(runs, table),
             f'Commit: {_listed(_commits(runs))}', f'How it counts: {_listed(_conventions(runs, metrics), "; ")}']
    return printable('. '.join(parts) + '.')


def limits_of(table: Table, results: Results) -> list[str]:
    """What keeps a table's measured figures from being those of the whole splits."""
    return list(map(printable, _warnings(_runs(table, results), _datasets(table))))


def _datasets(table: Table) -> list[str]:
    return list(dict.fromkeys(column.dataset for column in table.columns))


def _runs(table: Table, results: Results) -> list[Run]:
    datasets = _datasets(table)
    return [run for run in results.runs if any(record['dataset'] in datasets for record in run.records)]


def _otherwise(others: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for rule, methods in others.items():
        if rule != UNKNOWN:
            yield f'Published by another rule than ours: {_listed(methods)} ({rule}: {RULES[rule].title}).'
    if UNKNOWN in others:
        yield f'It is not known by which rule these were counted: {_listed(others[UNKNOWN])}.'


def note_under(table: Table, own: bool, compete: bool, limits: Sequence[str],
               others: Mapping[str, Sequence[str]]) -> str:
    """What a paper has under it, in one line: how to read it, and what limits it or that something does."""
    numbers = '' if own else 'Measured (published, difference); in parentheses alone, published. '
    sure = any(cell.low is not None for line in table.lines for cell in line.cells)
    brackets = 'In brackets, 95 % intervals. ' if sure else ''
    dagger = '' if own else ' † run by the paper\'s authors.'
    dagger += f' {SHORT}' if any(table.head(column) != column.split for column in table.columns) else ''
    counted = _listed(method for rule, methods in others.items() if rule != UNKNOWN for method in methods)
    counted = f' Published by another rule: {counted}.' if counted else ''
    more = ' '.join(f'{limit.rstrip(".")}.' for limit in limits)
    more = more if len(more) <= ROOM else 'Limited: see the notes.'
    counted = counted if len(counted) + len(more) <= ROOM else ''
    return f'{numbers}{brackets}Bold is the best {_scope(compete)}, italic the second.{dagger}{counted} {more}'.rstrip()


def _scope(compete: bool) -> str:
    return 'of its block' if compete else 'of its column'


def _listed(items: Iterable[str], between: str = ', ') -> str:
    return between.join(dict.fromkeys(items))


def _sizes(table: Table, metrics: Sequence[str]) -> str:
    """Expressions by split; a metric that counts others than the first one is told apart."""
    counts = {metric: {(c.dataset, c.split): max((n for line in table.lines if (n := line.cells[i].n)), default=None)
                       for i, c in enumerate(table.columns) if c.metric == metric} for metric in metrics}
    first = counts[metrics[0]]
    texts = [f'Expressions: {_sized(first)}']
    texts += [f'for {metric}: {_sized(mine)}' for metric, mine in counts.items() if mine != first]
    return '; '.join(texts)


def _sized(counts: Mapping[tuple[str, str], int | None]) -> str:
    by_dataset: dict[str, list[str]] = {}
    for (dataset, split), n in counts.items():
        if n is not None:
            by_dataset.setdefault(dataset, []).append(f'{split} {n:,}')
    return ' / '.join(f'{TITLES.get(dataset, dataset)} {", ".join(splits)}' for dataset, splits in by_dataset.items())


def _data(runs: Iterable[Run], datasets: Sequence[str]) -> Iterator[str]:
    for run in runs:
        for name, sha in run.run.data.items():
            if name in datasets:
                yield f'{name} {str(sha)[:12]}'


def _seeds(runs: Iterable[Run]) -> Iterator[str]:
    return ('unknown' if run.run.seed is None else str(run.run.seed) for run in runs)


def _commits(runs: Iterable[Run]) -> Iterator[str]:
    for run in runs:
        head, plus, changes = (run.run.commit or 'unknown').partition('+')
        yield head[:12] + plus + changes


def _weights(runs: Iterable[Run], table: Table) -> list[str]:
    """Weight files of the detector and of the rules and grounders in the table, by the seed of their training."""
    used = {name for line in table.lines if any(cell.value is not None for cell in line.cells)
            for name in (line.grounder or '', line.proposals)}
    by_seed: dict[str, list[str]] = {}
    for run in runs:
        for name, weights in run.run.weights.items():
            base = name.partition(' ')[0]
            if base == 'detector' or any(other.startswith(base) for other in used):
                trained = f' trained with seed {weights["seed"]}' if 'seed' in weights else ''
                by_seed.setdefault(trained, []).append(f'{name} {str(weights.get("sha256", "unknown"))[:12]}')
    return [f'Weights{trained}: {_listed(files)}' for trained, files in by_seed.items()] or ['Weights: none']


def _conventions(runs: Iterable[Run], metrics: Sequence[str]) -> Iterator[str]:
    for run in runs:
        described = run.run.conventions
        for metric in metrics:
            key = METRICS[metric].convention
            if key in described:
                yield f'{metric}: {described[key]}'


def _warnings(runs: Iterable[Run], datasets: Sequence[str]) -> list[str]:
    """What keeps the numbers from being those of the whole split, and what a run noted about the datasets."""
    found = []
    for run in runs:
        for record in run.records:
            whole = PUBLISHED.get(record['dataset'], {}).get(record['split'])
            if record['dataset'] in datasets and record['metric'] in ('referent_recall', 'accuracy', 'overall_iou') \
                    and whole is not None and record['n'] != whole.expressions:
                found.append(f'{TITLES[record["dataset"]]} {record["split"]}: {record["n"]:,} of '
                             f'{whole.expressions:,} expressions; not comparable with the published number')
        options = run.run.options
        if options.get('limit'):
            found.append(f'Only the first {options["limit"]} expressions of each split were run.')
        if settings := run.run.settings:
            found.append(f'Run with {" ".join(f"--set {setting}" for setting in settings)}.')
        found += [note for note in run.run.notes
                  if not set(datasets).isdisjoint(note.partition(': ')[0].split(', '))]
    return list(dict.fromkeys(found))
