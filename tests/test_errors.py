"""What goes wrong is told in one line, whichever Python and whichever command."""
from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness.errors
from harness.errors import InputError, exit_code, one_line

ROOT = Path(__file__).parents[1]
#: What is read before anything can be said.
FIRST = ('run_benchmark.py', 'reports/__main__.py', 'harness/embedded/__main__.py', 'harness/errors.py',
         'harness/names.py', 'harness/program.py', '.ci/environment.py', '.ci/install.py', '.ci/mmcv_wheel.py')


def told(capsys: pytest.CaptureFixture, error: BaseException) -> tuple[int, str]:
    def work() -> int:
        raise error
    code = exit_code(work, 'interrupted', 'look at it')
    return code, capsys.readouterr().err


def test_exit_codes(capsys: pytest.CaptureFixture) -> None:
    assert exit_code(lambda: 7, '', '') == 7
    assert told(capsys, InputError('x: bad')) == (2, 'error: x: bad\n')
    assert told(capsys, KeyboardInterrupt()) == (130, 'interrupted\n')
    assert told(capsys, FileNotFoundError(2, 'No such file', 'x')) == (2, 'error: x: No such file; look at it\n')


def test_what_cannot_be_printed_is_spelt_out(capsys: pytest.CaptureFixture) -> None:
    assert one_line('a\nb\x00\x1b[31m\u2028γ…é') == r'a\nb\x00\x1b[31m\u2028γ…é'
    assert one_line('\udcff') == r'\udcff'
    assert told(capsys, InputError('--grounder a\nb: unknown')) == (2, 'error: --grounder a\\nb: unknown\n')


def test_what_is_long_is_cut_in_its_middle(capsys: pytest.CaptureFixture) -> None:
    code, typed = told(capsys, InputError(f'--grounder {"x" * 5_000}: unknown; known are cmae, mattnet'))
    assert code == 2 and len(typed) < 350
    assert typed.startswith('error: --grounder xxx') and typed.endswith('xxx: unknown; known are cmae, mattnet\n')
    assert len(told(capsys, InputError('a: ' + 'word ' * 5_000 + '; do this'))[1]) < 650
    assert len(told(capsys, InputError('\x1b' * 5_000))[1]) < 650


def test_a_path_is_told_whole(capsys: pytest.CaptureFixture) -> None:
    path = '/home/someone/' + 'a folder of data/' * 8 + 'n' * 200 + '.json'
    assert told(capsys, InputError(f'{path}: is empty; give another'))[1] == f'error: {path}: is empty; give another\n'


@pytest.mark.parametrize('version', [(3, 8, 18), (3, 10, 13), (3, 14, 0)])
def test_another_python_is_told_what_to_do(version: tuple[int, ...], capsys: pytest.CaptureFixture,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.errors.sys, 'version_info', version)
    assert exit_code(lambda: pytest.fail('runs'), '', '') == 2
    assert 'one of 3.11 to 3.13 is needed; install with "make install"' in capsys.readouterr().err


@pytest.mark.parametrize('file', FIRST)
def test_older_pythons_can_read_as_far_as_that(file: str) -> None:
    ast.parse((ROOT / file).read_text(), feature_version=(3, 7))


@pytest.mark.parametrize('command', [['run_benchmark.py'], ['run_benchmark.py', 'show', 'a.png', 'cup'],
                                     ['-m', 'harness.embedded', 'stats'], ['-m', 'reports', 'published'],
                                     ['-m', 'harness.words.vectors', 'subset', 'a', 'b'],
                                     ['-m', 'reports.picture', '.']],
                         ids=' '.join)
def test_a_python_without_the_packages_says_so(command: list[str]) -> None:
    found = subprocess.run([sys.executable, '-S', *command], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2
    last = found.stderr.splitlines()[-1]
    assert last.startswith(f'error: {sys.executable} has no ') and 'make install' in last
    assert 'Traceback' not in found.stderr


@pytest.mark.parametrize('command', ['-m harness.embedded stats', '-m reports published', 'run_benchmark.py --help',
                                     'run_benchmark.py study --help'])
def test_whoever_has_read_enough_may_go(command: str, small_benchmark: Path) -> None:
    """A pipe whose reader is gone before the first line."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([sys.executable, *command.split()], cwd=ROOT, stdout=write, stderr=subprocess.PIPE,
                              text=True)
    finally:
        os.close(write)
    assert done.returncode == 0 and 'Traceback' not in done.stderr and 'Exception' not in done.stderr


def test_make_asks_for_a_python_only_to_make_the_environment(tmp_path: Path) -> None:
    (tmp_path / 'Makefile').write_text((ROOT / 'Makefile').read_text())
    for name in ('python3', 'python3.11', 'python3.12', 'python3.13'):
        (tmp_path / 'bin').mkdir(exist_ok=True)
        (tmp_path / 'bin' / name).write_text('#!/bin/sh\n')
        (tmp_path / 'bin' / name).chmod(0o755)

    def first() -> str:
        outer = {name: value for name, value in os.environ.items() if name not in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS')}
        path = f'{tmp_path / "bin"}:{os.environ["PATH"]}'
        return subprocess.run(['make', '-n', 'test'], cwd=tmp_path, env={**outer, 'PATH': path},
                              capture_output=True, text=True, check=True).stdout.splitlines()[0]

    assert first() == 'python3.11 .ci/install.py'
    (tmp_path / '.venv/bin').mkdir(parents=True)
    (tmp_path / '.venv/bin/python').symlink_to(tmp_path / 'gone')
    assert first() == 'python3.11 .ci/install.py', 'one that does not run is none'
    (tmp_path / '.venv/bin/python').unlink()
    (tmp_path / '.venv/bin/python').symlink_to(sys.executable)
    assert first() == '.venv/bin/python .ci/install.py'
