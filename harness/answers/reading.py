"""The files that answers come in, read within bounds: one JSON value, JSON lines, or a table of text.

JSON lines and TSV are read line by line, whatever their size. ``NaN`` and ``Infinity``, which Python's own ``json``
writes, are read as such: an answer that holds one is not readable, and no reason to refuse the file.
"""
from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import openpyxl

from harness.errors import InputError, shown
from harness.files.reading import parse_json, read_bytes, read_lines, require_file

#: The largest file that is one JSON value, in bytes: it is in memory whole.
LARGEST_JSON = 64 << 20
#: The longest line of JSON lines or TSV, in bytes.
LONGEST_LINE = 16 << 20
#: What an ``.xlsx`` may unpack to, in bytes, and how many times its own size.
LARGEST_SHEET, DENSEST_SHEET = 256 << 20, 200
_BOM = '\ufeff'


def json_value(path: Path) -> Any:
    """The one JSON value of a file, which may be gzip.

    Raises:
        InputError: it is larger than :data:`LARGEST_JSON`, or no JSON.
    """
    require_file(path)
    if path.stat().st_size > LARGEST_JSON or len(data := read_bytes(path)) > LARGEST_JSON:
        raise InputError(f'{path}: one JSON value of more than {LARGEST_JSON >> 20} MiB is not read; write one record '
                         'a line and give it as --answers jsonl, which is read line by line')
    return parse_json(data, str(path), constant=float)


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The records of a file of JSON lines, each with its line for messages.

    Raises:
        InputError: a line is longer than :data:`LONGEST_LINE`, or no JSON.
    """
    require_file(path)
    for number, line in enumerate(read_lines(path, LONGEST_LINE), start=1):
        if line.strip():
            yield f'line {number}', parse_json(line, f'{path}: line {number}', constant=float)


def table(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The rows of a TSV file or of the first sheet of an ``.xlsx``, by content and not by name: text by column.

    Raises:
        InputError: the file is neither, or it holds what is not read here: formulas, macros, links to other files.
    """
    require_file(path)
    if zipfile.is_zipfile(path):
        yield from _sheet(path)
    else:
        yield from _tsv(path)


def _named(path: Path, head: list[str]) -> list[str]:
    if len(set(head)) < len(head):
        raise InputError(f'{path}: two columns have one name; every one must be unique')
    return head


def _tsv(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    rows = csv.reader(_text_lines(path), delimiter='\t', strict=True)
    head: list[str] | None = None
    try:
        for cells in rows:
            if head is None:
                head = _named(path, cells)
            elif cells:
                row = f'line {rows.line_num}'
                if len(cells) != len(head):
                    raise InputError(f'{path}: {row}: has {len(cells)} fields, the first line names {len(head)}')
                yield row, dict(zip(head, cells, strict=True))
    except csv.Error as error:
        raise InputError(f'{path}: line {rows.line_num}: is not TSV ({error}); give the file of answers, without '
                         'images') from None


def _text_lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(read_lines(path, LONGEST_LINE), start=1):
        if b'\0' in line:
            raise InputError(f'{path}: line {number}: holds a NUL, which no TSV has')
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise InputError(f'{path}: line {number}: is not UTF-8 text') from None
        yield (text.removeprefix(_BOM) if number == 1 else text) + '\n'


def _sheet(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    _refuse_hostile(path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, keep_links=False)
        head: list[str] | None = None
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # a file may claim any size
        for number, cells in enumerate(sheet.iter_rows(), start=1):
            values = [_cell(cell, f'{path}: row {number}') for cell in cells]
            if head is None:
                head = _named(path, values)
            elif any(values):
                yield f'row {number}', dict(zip_longest(head, values[:len(head)], fillvalue=''))
    except InputError:
        raise
    except Exception as error:  # whatever openpyxl says of a damaged file
        raise InputError(f'{path}: is a damaged .xlsx ({shown(str(error))}); save it again') from None


def _cell(cell: Any, where: str) -> str:
    if cell.data_type == 'f':
        raise InputError(f'{where}: {cell.column_letter}{cell.row} is a formula, and none is computed here; save the '
                         'sheet with values')
    return '' if cell.value is None else str(cell.value)


def _refuse_hostile(path: Path) -> None:
    """Refuse a workbook that unpacks to far more than it is, or holds what a table has no need of."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            names = [part.filename for part in parts]
            size = sum(part.file_size for part in parts)
            if 'xl/workbook.xml' not in names:
                raise InputError(f'{path}: is a zip archive and no .xlsx; unzip it and give the file in it')
            if size > min(LARGEST_SHEET, (16 << 20) + DENSEST_SHEET * path.stat().st_size):
                raise InputError(f'{path}: unpacks to {size >> 20} MiB, far more than a sheet of answers does')
            for name in names:
                if name.endswith('vbaProject.bin'):
                    raise InputError(f'{path}: holds macros ({shown(name)}); save it as .xlsx without them')
                if name.startswith('xl/externalLinks/'):
                    raise InputError(f'{path}: has links to other files ({shown(name)}); save it with values')
                if name.endswith(('.xml', '.rels')) and b'<!DOCTYPE' in archive.read(name):
                    raise InputError(f'{path}: {shown(name)} declares entities, which no .xlsx does; save it again')
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise InputError(f'{path}: is a damaged .xlsx ({shown(str(error))}); save it again') from None
