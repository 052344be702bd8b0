"""The reader of the published numbers, which refuses a file that was edited."""
from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd

from harness.errors import InputError
from harness.names import nearest
from harness.program import how_to_restore
from reports.conventions.ledger import RULES
from reports.published import MEASURED_BY, ORIGINALS, PAPER, TODAY, TODAY_METRICS, UNKNOWN
from reports.rows.metrics import METRICS

HERE = Path(__file__).parent


def published(tables: Iterable[str] = PAPER, folder: Path = HERE) -> pd.DataFrame:
    """The numbers of some tables, in their order.

    Args:
        tables: among :data:`reports.published.PAPER` and :data:`reports.published.ORIGINALS`.
        folder: where the files are.

    Returns:
        :data:`reports.published.COLUMNS`; ``value`` is float64, ``dagger`` bool, the others are text, empty where there
        is nothing.

    Raises:
        InputError: an unknown table; a file that is missing or not as it was transcribed; an unknown metric or
            convention in it.
    """
    return pd.concat([_read(name, folder) for name in tables], ignore_index=True)


def today(folder: Path = HERE) -> pd.DataFrame:
    """REC figures of today's models.

    Returns:
        :data:`reports.published.TODAY_COLUMNS` as :func:`published` gives its columns, and ``digits``: how many
        decimals ``value`` is printed with.

    Raises:
        InputError: as :func:`published`, and for an unknown ``measured_by``.
    """
    file = _unedited(folder / f'{TODAY}.csv')
    frame = _text(file, TODAY_METRICS)
    _check(file, frame, 'measured_by', MEASURED_BY)
    return _typed(frame).assign(digits=frame['value'].str.partition('.')[2].str.len())


def notes(folder: Path = HERE) -> pd.DataFrame:
    """Where the paper's text and tables disagree: ``statement``, ``text``, ``table`` (both float64) and ``why``."""
    return pd.read_csv(_unedited(folder / 'notes.csv'))


def _read(table: str, folder: Path) -> pd.DataFrame:
    known = (*PAPER, *ORIGINALS)
    if table not in known:
        raise InputError(f'--table {table}: unknown{nearest(table, known)}; known are {", ".join(known)}')
    file = _unedited(folder / (f'table{table}.csv' if table in PAPER else f'{table}.csv'))
    return _typed(_text(file, METRICS))


def _text(file: Path, metrics: Collection[str]) -> pd.DataFrame:
    """A file's cells as text, its metrics and conventions known."""
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    _check(file, frame, 'metric', metrics)
    _check(file, frame, 'convention', (*RULES, UNKNOWN))
    return frame


def _check(file: Path, frame: pd.DataFrame, column: str, names: Collection[str]) -> None:
    for name in frame[column].unique():
        if name not in names:
            raise InputError(f'{file}: unknown {column} {name}{nearest(name, names)}; '
                             f'bring the file back by {how_to_restore(file)}')


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(value=frame['value'].astype(float), dagger=frame['dagger'] == 'true')


def _unedited(file: Path) -> Path:
    """The file, once its bytes are known to be those that ``SHA256SUMS`` beside it names."""
    try:
        sums = dict(line.split()[::-1] for line in (file.parent / 'SHA256SUMS').read_text('utf-8').splitlines())
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(f'{file}: a published table or its SHA256SUMS cannot be read ({error}); '
                         f'bring them back by {how_to_restore(file.parent)}') from None
    if sums.get(file.name) != found:
        raise InputError(f'{file}: edited, its bytes are not those that were transcribed (SHA256SUMS); '
                         f'bring it back by {how_to_restore(file)}')
    return file
