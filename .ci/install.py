"""Make ``.venv`` and install what pyproject.toml pins, in the order that works. Needs Python 3.11 and a C++ compiler.

torch comes first, so that nothing asks for another one; mmcv has no wheel and compiles its operators against it.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
STAMP = VENV / '.installed'


def pins() -> tuple[list[str], list[str], list[str], str]:
    """Dependencies, build tools and developers' tools, and a fingerprint of the file that pins them."""
    import tomllib  # which an older Python, that is told to be one, has not

    text = (ROOT / 'pyproject.toml').read_bytes()
    project = tomllib.loads(text.decode())['project']
    optional = project['optional-dependencies']
    wanted = repr((project['dependencies'], optional))
    return project['dependencies'], optional['build'], optional['dev'], hashlib.sha256(wanted.encode()).hexdigest()


def pip(what: str, *arguments: str, **environment: str) -> None:
    """One pip call, quiet unless it fails."""
    start = time.monotonic()
    print(f'  {what} …', flush=True)
    done = subprocess.run([str(PYTHON), '-m', 'pip', 'install', '--disable-pip-version-check', '-q', *arguments],
                          env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f'{done.stdout[-3000:]}{done.stderr[-3000:]}\nerror: installing {what} failed, see above')
    print(f'  {what}: {time.monotonic() - start:.0f} s', flush=True)


def operators_environment() -> dict[str, str]:
    """Settings of mmcv's build: a job a processor, less optimising than the default, and no CUDA without nvcc."""
    settings = {'MAX_JOBS': str(os.cpu_count() or 1), 'CFLAGS': '-O2 -g0', 'CXXFLAGS': '-O2 -g0'}
    has_gpu = subprocess.run([str(PYTHON), '-c', 'import sys, torch; sys.exit(not torch.cuda.is_available())'],
                             check=False).returncode == 0
    if has_gpu and shutil.which('nvcc') is None:
        print('  a GPU but no nvcc: mmcv\'s operators are built for the CPU', flush=True)
        settings |= {'CUDA_VISIBLE_DEVICES': '', 'FORCE_CUDA': '0'}
    elif has_gpu:
        print('  a GPU and nvcc: mmcv\'s operators are built for CUDA', flush=True)
    return settings


def main() -> None:
    if sys.version_info[:2] != (3, 11):
        sys.exit(f'error: {sys.executable} is Python {sys.version.split()[0]}; use 3.11, for instance '
                 'make PYTHON=python3.11 (docs/dependencies.md says where to get one)'
                 + ', and remove .venv before' * (Path(sys.prefix) == VENV))
    dependencies, build, dev, fingerprint = pins()
    if STAMP.exists() and STAMP.read_text() == fingerprint:
        return
    if shutil.which('c++') is None and shutil.which('g++') is None:
        sys.exit('error: no C++ compiler; install one (Debian: apt-get install g++)')
    print('installing into .venv, once: about 2 minutes, and 4 to 14 more to compile mmcv\'s operators', flush=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    torch, mmcv = (next(d for d in dependencies if d.startswith(f'{name}==')) for name in ('torch', 'onedl-mmcv'))
    headless = next(d for d in dependencies if d.startswith('opencv-python-headless=='))
    numpy = next(d for d in dependencies if d.startswith('numpy=='))
    pip('torch', torch, numpy)
    pip('build tools', *build)
    pip('mmcv\'s operators', '--no-build-isolation', mmcv, numpy, **operators_environment())
    pip('everything else', *dependencies, *dev)
    # imaug and mmcv ask for opencv-python, which needs a display's libraries; the headless build takes its place.
    pip('OpenCV without a display', '--no-deps', '--force-reinstall', headless)
    STAMP.write_text(fingerprint)


if __name__ == '__main__':
    main()
