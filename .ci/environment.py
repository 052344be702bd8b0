"""The environment that is installed into, ``.venv``, and its pip."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'


def pip(what: str, *arguments: str, **environment: str) -> None:
    """One pip call, quiet unless it fails."""
    start = time.monotonic()
    print(f'  {what} …', flush=True)
    done = subprocess.run([str(PYTHON), '-m', 'pip', '--disable-pip-version-check', '-q', *arguments],
                          env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f'{done.stdout[-3000:]}{done.stderr[-3000:]}\nerror: installing {what} failed, see above')
    print(f'  {what}: {time.monotonic() - start:.0f} s', flush=True)
