"""Make ``.venv`` and install what pyproject.toml pins, in the order that works. Python 3.11 to 3.13 and C++ are needed.

torch comes first, so that nothing asks for another one; mmcv has no wheel and compiles its operators against it. pip
would compile all 17,000 Python files, of which the project imports a fifth; those are compiled as they are imported.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import mmcv_wheel
from environment import PYTHON, ROOT, VENV, pip

STAMP = VENV / '.installed'


def pins() -> tuple[list[str], list[str], list[str], str]:
    """Dependencies, build tools and developers' tools, and a fingerprint of the file that pins them."""
    import tomllib  # which an older Python, that is told to be one, has not

    text = (ROOT / 'pyproject.toml').read_bytes()
    project = tomllib.loads(text.decode())['project']
    optional = project['optional-dependencies']
    wanted = repr((project['dependencies'], optional))
    return project['dependencies'], optional['build'], optional['dev'], hashlib.sha256(wanted.encode()).hexdigest()


def check_operators(kept: Path) -> None:
    """Ends with one line where mmcv's operators compute something else than plain torch; their wheel is not kept."""
    code = run('check_operators.py')
    if code:
        shutil.rmtree(kept, ignore_errors=True)
        sys.exit(code)


def check_imports() -> None:
    """Ends with one line where a module of the project cannot be imported; from here on they are compiled."""
    code = run('check_imports.py')
    if code:
        sys.exit(code)


def run(script: str) -> int:
    """The exit code of a script beside this one, by the Python that is installed into."""
    quietly = '-W', 'ignore::SyntaxWarning'  # of packages that are compiled now
    return subprocess.run([str(PYTHON), *quietly, str(ROOT / '.ci' / script)], check=False).returncode


def main() -> None:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit(f'error: {sys.executable} is Python {sys.version.split()[0]}; use 3.11 to 3.13, for instance '
                 'make PYTHON=python3.11 (docs/dependencies.md says where to get one)'
                 + ', and remove .venv before' * (Path(sys.prefix) == VENV))
    dependencies, build, dev, fingerprint = pins()
    if STAMP.exists() and STAMP.read_text() == fingerprint:
        return
    if shutil.which('c++') is None and shutil.which('g++') is None:
        sys.exit('error: no C++ compiler; install one (Debian: apt-get install g++)')
    print('installing into .venv, once: 4 minutes of processor time, 1 where mmcv is compiled already', flush=True)
    os.environ.pop('PYTHONDONTWRITEBYTECODE', None)  # else nothing would be kept compiled
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    new_pip, torch, numpy, mmcv, headless = (
        next(d for d in (*build, *dependencies) if d.startswith(f'{name}=='))
        for name in ('pip', 'torch', 'numpy', 'onedl-mmcv', 'opencv-python-headless'))
    pip('pip', 'install', new_pip)
    pip('torch and build tools', 'install', '--no-compile', torch, numpy, *build)
    kept = mmcv_wheel.install(mmcv)
    pip('everything else', 'install', '--no-compile', *dependencies, *dev)
    # imaug and mmcv ask for opencv-python, which needs a display's libraries; the headless build takes its place.
    pip('OpenCV without a display', 'install', '--no-compile', '--no-deps', '--force-reinstall', headless)
    check_operators(kept)
    check_imports()
    STAMP.write_text(fingerprint)


if __name__ == '__main__':
    main()
