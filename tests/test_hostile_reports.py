"""Whatever stands in a run's files, every report is made or refused in one clear line."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile_reports import (
    COMMANDS,
    CONTENTS,
    FILES,
    VALUES,
    changed,
    in_the_place_of,
    one_line_at_most,
    places,
    read,
    write,
)
from tests.html_run import write_run

pytestmark = pytest.mark.filterwarnings('error::RuntimeWarning')  # which a terminal would show

CAPSYS = pytest.CaptureFixture[str]
#: Those that read a run's predictions, or else its results alone.
ALL_READ_RESULTS = [command for command in COMMANDS if not command.startswith(('compare', 'failures'))]
QUICK = ('tables RUN', 'compare RUN:greedy :ref-nms-b --no-groups', 'failures RUN', 'check RUN --against OTHER',
         'html RUN -o PAGE')


@pytest.fixture(scope='module')
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp('other'))


def test_a_run_that_is_well_is_reported(tmp_path: Path, other: Path, capsys: CAPSYS) -> None:
    run = write_run(tmp_path)
    assert [one_line_at_most(capsys, command, run, other) for command in COMMANDS] == [''] * len(COMMANDS)


@pytest.mark.parametrize('what', ['a pipe', 'a device', 'a folder', 'a loop'])
@pytest.mark.parametrize('name', FILES)
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path, other: Path, capsys: CAPSYS, name: str,
                                                   what: str) -> None:
    run = write_run(tmp_path)
    in_the_place_of(run / name, what)
    lines = {command: one_line_at_most(capsys, command, run, other) for command in QUICK}
    readers = {'results.json': ('tables', 'check', 'html'), 'proposals.jsonl': ('check', 'html'),
               'predictions.jsonl': ('compare', 'failures', 'check', 'html')}[name]
    for command, line in lines.items():
        if command.startswith(readers) and what != 'a loop':
            assert str(run / name) in line, command


@pytest.mark.parametrize('content', CONTENTS)
@pytest.mark.parametrize('name', FILES)
def test_a_file_of_other_content(tmp_path: Path, other: Path, capsys: CAPSYS, name: str, content: bytes) -> None:
    run = write_run(tmp_path)
    (run / name).write_bytes(content)
    for command in QUICK:
        line = one_line_at_most(capsys, command, run, other)
        assert not line or str(run / name) in line


@pytest.mark.parametrize('name', FILES)
def test_a_file_that_is_cut_short(tmp_path: Path, other: Path, capsys: CAPSYS, name: str) -> None:
    run = write_run(tmp_path)
    whole = (run / name).read_bytes()
    reader = {'results.json': 'tables RUN', 'predictions.jsonl': 'failures RUN', 'proposals.jsonl': 'html RUN -o PAGE'}
    for part in range(1, 10):
        (run / name).write_bytes(whole[:len(whole) * part // 10 - 3])
        assert str(run / name) in one_line_at_most(capsys, reader[name], run, other)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_the_place_of_any(tmp_path: Path, other: Path, capsys: CAPSYS, data: st.DataObject) -> None:
    run = tmp_path / 'run'
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    write_run(run)
    file = run / data.draw(st.sampled_from(FILES))
    values = read(file)
    line = data.draw(st.integers(0, len(values) - 1))
    place = data.draw(st.sampled_from(list(places(values[line]))))
    values[line] = changed(values[line], place, data.draw(st.sampled_from(VALUES)))
    write(file, values)
    one_line_at_most(capsys, data.draw(st.sampled_from(COMMANDS)), run, other)


@pytest.mark.parametrize('value', [1e308, -1e308, 1e16])
@pytest.mark.parametrize('field', ['score', 'box'])
def test_a_score_or_a_box_beyond_all_measure(tmp_path: Path, other: Path, capsys: CAPSYS, field: str,
                                             value: float) -> None:
    run = write_run(tmp_path)
    rows = read(run / 'predictions.jsonl')
    rows[0] = changed(rows[0], [field] if field == 'score' else [field, 2], value)
    write(run / 'predictions.jsonl', rows)
    lines = {command: one_line_at_most(capsys, command, run, other) for command in QUICK}
    assert all(('reaches further than any image' in line or 'negative width' in line) == (field == 'box')
               for command, line in lines.items() if not command.startswith('tables'))


def test_a_proposal_beyond_all_measure(tmp_path: Path, other: Path, capsys: CAPSYS) -> None:
    run = write_run(tmp_path)
    rows = read(run / 'proposals.jsonl')
    write(run / 'proposals.jsonl', [changed(rows[0], ['boxes', 0, 2], 1e308), *rows[1:]])
    for command in ('check RUN --against OTHER', 'html RUN -o PAGE'):
        assert 'proposals.jsonl: line 1: ' in one_line_at_most(capsys, command, run, other)


def test_a_figure_that_no_metric_has_is_named_without_its_signs(tmp_path: Path, other: Path, capsys: CAPSYS) -> None:
    run = write_run(tmp_path)
    (results,) = read(run / 'results.json')
    for value in ('\x1b[31mred\n', 10 ** 400, 'x' * 5000):
        (run / 'results.json').write_text(json.dumps(changed(results, ['records', 0, 'n'], value)))
        line = one_line_at_most(capsys, 'tables RUN', run, other)
        assert 'mean_proposals of greedy, mini-refcoco val counts' in line and 'as it was written' in line


def test_answers_with_a_box_that_is_none(tmp_path: Path, other: Path, capsys: CAPSYS) -> None:
    run = write_run(tmp_path)
    rows = read(run / 'predictions.jsonl')
    for box in (['1', 2, 3, 4], [1, 2, 3], [1, 2, 3, None], [1, 2, -3, 4], {'x': 1}):
        write(run / 'predictions.jsonl', [changed(rows[0], ['box'], box), *rows[1:]])
        for command in ('check RUN --against OTHER', 'failures RUN', 'html RUN -o PAGE'):
            assert "predictions.jsonl: line 1: 'box' " in one_line_at_most(capsys, command, run, other)
