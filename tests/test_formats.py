"""Every command that prints tables knows the same formats: boxes in a terminal, Markdown in a pipe, or as told."""
from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from reports.__main__ import COMMANDS as REPORTS
from reports.__main__ import command_line
from reports.drawing.boxes import terminal
from reports.drawing.rendering import RENDERERS
from reports.drawing.sheets import Drawn, Head, Parts, Sheet, words
from reports.rows.results_files import read_results
from reports.tables.plain_tables import printed
from tests.html_run import write_run

#: Commands on a run's folder, with something that each of them prints in every format.
COMMANDS = {
    'tables': (['tables', 'RUN'], '75.0'),
    'tables like the paper': (['tables', 'RUN', '--like', 'paper', '--ci'], '75.0'),
    'compare': (['compare', 'RUN:greedy', ':ref-nms-b'], '25.0'),
    'failures': (['failures', 'RUN'], 'cmae'),
    'where they went': (['failures', 'RUN', '--from', 'greedy', '--to', 'ref-nms-b'], 'suppressed'),
    'which they are': (['failures', 'RUN', '--list', 'right'], 'big cup'),
    'published': (['published', '--table', '3'], '68.25'),
}


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp('run'))


def output(capsys: pytest.CaptureFixture[str], run: Path, arguments: Sequence[str]) -> str:
    assert command_line([argument.replace('RUN', str(run)) for argument in arguments]) == 0
    return capsys.readouterr().out


def plain(text: str) -> str:
    """Without what makes it bold or italic."""
    return re.sub(r'\x1b\[[\d;]*m', '', text)


@pytest.mark.parametrize('form', [*RENDERERS, 'md'])
@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_knows_every_format(run: Path, capsys: pytest.CaptureFixture[str], name: str, form: str) -> None:
    arguments, inside = COMMANDS[name]
    text = output(capsys, run, [*arguments, '--format', form])
    assert inside in text
    if form == 'csv':
        head, *rows = list(csv.reader(io.StringIO(text)))
        assert rows and all(len(row) == len(head) for row in rows)
    elif form == 'json':
        assert json.loads(text)
    else:
        assert {'latex': r'\begin{table*}', 'terminal': '┃'}.get(form, '|--') in text


@pytest.mark.parametrize('name', COMMANDS)
def test_a_pipe_gets_markdown_and_a_terminal_boxes(run: Path, capsys: pytest.CaptureFixture[str],
                                                   monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    arguments, _ = COMMANDS[name]
    assert output(capsys, run, arguments) == output(capsys, run, [*arguments, '--format', 'markdown'])
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    assert output(capsys, run, arguments) == output(capsys, run, [*arguments, '--format', 'terminal'])


@pytest.mark.parametrize('columns', [80, 120, 200])
@pytest.mark.parametrize('name', [*COMMANDS, 'a whole run', 'check'])
def test_what_is_drawn_fits_the_terminal(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
                                         name: str, columns: int) -> None:
    baseline = Path(__file__).parents[1] / 'reports' / 'baseline.json'
    arguments = {'a whole run': ['tables', str(baseline), '--like', 'paper'],
                 'check': ['check', 'RUN', '--against', str(baseline)]}.get(name) or COMMANDS[name][0]
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    monkeypatch.setenv('COLUMNS', str(columns))
    command_line([argument.replace('RUN', str(run)) for argument in arguments])
    lines = plain(capsys.readouterr().out).splitlines()
    assert lines and max(map(cell_len, lines)) <= columns


def test_a_terminal_says_a_dataset_s_name_once_over_its_splits(capsys: pytest.CaptureFixture[str],
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    monkeypatch.setenv('COLUMNS', '120')
    assert command_line(['published', '--table', '4']) == 0
    above, splits = plain(capsys.readouterr().out).splitlines()[2:4]
    assert [cell.strip() for cell in above.strip('┃').split('┃')] == ['', '', '', 'RefCOCO', 'RefCOCO+', 'RefCOCOg']
    assert [cell.split() for cell in splits.strip('┃').split('┃')][3:] == [
        ['val', 'testA', 'testB'], ['val', 'testA', 'testB'], ['val', 'test']]


def test_a_run_ends_with_the_same_tables(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = read_results(run)
    assert '| greedy      |          50.00 |' in printed(results)
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    assert '│ greedy      │        50.00 │' in plain(printed(results)) and '┃ stage  ┃' in plain(printed(results))


NAMES = st.text('abc -', min_size=1, max_size=12).filter(str.strip)
NUMBERS = st.integers(0, 10_000).map(lambda n: f'{n / 100:.2f}')


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    """A label and up to a dozen columns of numbers, some under a name."""
    groups = draw(st.lists(st.tuples(st.none() | NAMES, st.integers(1, 4)), min_size=1, max_size=4))
    heads = [Head(draw(NAMES), () if name is None else ('', name)) for name, size in groups for _ in range(size)]
    rows = [[words(draw(NAMES)), *(Parts('', draw(NUMBERS), '') for _ in heads)]
            for _ in range(draw(st.integers(1, 3)))]
    return Sheet('title', [Head('label', number=False), *heads], 1, rows)


@settings(max_examples=30, deadline=None)
@given(sheets(), st.integers(40, 160))
def test_any_table_fits_any_width_and_loses_no_number(sheet: Sheet, columns: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stdout, 'isatty', lambda: True)
        patch.setenv('COLUMNS', str(columns))
        text = plain(terminal(Drawn([sheet])))
    assert max(map(cell_len, text.splitlines())) <= columns
    shown = [number for line in text.splitlines() if line.startswith('│') for number in re.findall(r'\d+\.\d\d', line)]
    assert sorted(shown) == sorted(str(cell) for row in sheet.rows for cell in row[1:])


@pytest.mark.parametrize('name', [*REPORTS, ''])
def test_help_is_plain_text(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) if name else nullcontext():
        command_line([*filter(None, [name]), '--help'])
    text = capsys.readouterr().out
    assert 'usage: python -m reports' in text and '`' not in text


def test_a_reader_who_has_seen_enough_is_no_fault() -> None:
    done = subprocess.run(['bash', '-c', f'{sys.executable} -m reports published --all --format csv | head -1'],
                          capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.stdout.startswith('table,method') and done.stderr == ''
