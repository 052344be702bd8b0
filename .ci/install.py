"""Make ``.venv`` and install what pyproject.toml pins, in the order that works. Python 3.11 to 3.13 and C++ are needed.

torch comes first, so that nothing asks for another one; mmcv has no wheel and compiles its operators against it.
"""
from __future__ import annotations

import hashlib
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
    checked = subprocess.run([str(PYTHON), str(ROOT / '.ci' / 'check_operators.py')], check=False)
    if checked.returncode:
        shutil.rmtree(kept, ignore_errors=True)
        sys.exit(checked.returncode)


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
    print('installing into .venv, once: 6 minutes of processor time, 2 where mmcv is compiled already', flush=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    torch, numpy, mmcv, headless = (next(d for d in dependencies if d.startswith(f'{name}=='))
                                    for name in ('torch', 'numpy', 'onedl-mmcv', 'opencv-python-headless'))
    pip('torch and build tools', 'install', torch, numpy, *build)
    kept = mmcv_wheel.install(mmcv)
    pip('everything else', 'install', *dependencies, *dev)
    # imaug and mmcv ask for opencv-python, which needs a display's libraries; the headless build takes its place.
    pip('OpenCV without a display', 'install', '--no-deps', '--force-reinstall', headless)
    check_operators(kept)
    STAMP.write_text(fingerprint)


if __name__ == '__main__':
    main()
