"""A run that is killed goes on: a short turn of ``python -m tests.kill_and_resume``, which does it fifty times."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(('times', 'workers'), [(2, 2), (1, 1)])
def test_a_run_that_is_killed_goes_on_as_if_nothing_had_been(times: int, workers: int) -> None:
    done = subprocess.run([sys.executable, '-m', 'tests.kill_and_resume', '--times', str(times), '--workers',
                           str(workers)], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(f'{times} kills in ')
