"""A run that is killed goes on: a short turn of ``python -m tests.kill_and_resume``, which does it fifty times."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests import kill_and_resume


@pytest.fixture(scope='module')
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kill_and_resume.Trial]:
    """The run that nobody kills."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv('REFNMS_CACHE', '')  # another takes its place, until here
        yield kill_and_resume.prepared(tmp_path_factory.mktemp('killed'), kill_and_resume.OPTIONS)


@pytest.mark.parametrize(('times', 'workers'), [(2, 2), (1, 1)])
def test_a_run_that_is_killed_goes_on_as_if_nothing_had_been(
        times: int, workers: int, trial: kill_and_resume.Trial, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(kill_and_resume, 'prepared', lambda folder, options: replace(trial, options=options))
    assert kill_and_resume.main(['--times', str(times), '--workers', str(workers)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f'{times} kills in ')
