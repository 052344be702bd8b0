"""mmcv with its operators, compiled once and kept as a wheel in the user's cache.

mmcv has no wheel on the package index. Its operators are 78 small C++ files, and compiling one is nearly all reading
torch's headers. So a few *unity files* that include the others are compiled in their place.
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from environment import PYTHON, pip

#: For each folder of sources: the files that begin a unity file each, and those that end theirs. Files that define the
#: same names, here the kernels with a bilinear interpolation of their own, begin different ones. What leaks names into
#: the files after it ends one: ``contour_expand`` uses namespace std, and ``psamask`` defines the macros min and max.
UNITY = {
    'mmcv/ops/csrc/pytorch': (('pybind', 'spconv_ops'), ('contour_expand',)),
    'mmcv/ops/csrc/pytorch/cpu': (('bezier_align', 'roi_align', 'roi_align_rotated', 'rotated_feature_align'),
                                  ('psamask',)),
}
#: What of the machine a compiled operator depends on, as JSON; run by the Python that mmcv is installed into.
MACHINE = '''
import json, platform, sys, sysconfig, torch
gpu = torch.cuda.get_device_capability() if torch.cuda.is_available() else None
print(json.dumps([
    torch.__version__, sys.implementation.cache_tag, sysconfig.get_platform(), *platform.libc_ver(), gpu]))
'''


def install(mmcv: str) -> Path:
    """Installs mmcv from the wheel that is kept for this machine, which is built first where there is none.

    Args:
        mmcv: the requirement, ``onedl-mmcv==…``.

    Returns:
        The folder that the wheel is kept in.
    """
    machine = json.loads(subprocess.run([str(PYTHON), '-c', MACHINE], check=True, stdout=subprocess.PIPE).stdout)
    cuda = machine[-1] is not None and shutil.which('nvcc') is not None
    if machine[-1] is not None:
        print('  a GPU and nvcc: mmcv\'s operators are built for CUDA' if cuda else
              '  a GPU but no nvcc: mmcv\'s operators are built for the CPU', flush=True)
    kept = folder(mmcv, [*machine, cuda])
    with tempfile.TemporaryDirectory() as work:
        wheel = next(kept.glob('*.whl'), None)
        if wheel is None:
            wheel = keep(build(mmcv, Path(work), cuda), kept)
        # An older build in this environment has the same version, so pip would leave it.
        pip('mmcv', 'install', '--no-deps', '--force-reinstall', str(wheel))
    return kept


def folder(mmcv: str, machine: list) -> Path:
    """Where the wheel is kept that this module builds of ``mmcv`` on such a machine: below ``$XDG_CACHE_HOME``, or
    ``~/.cache``."""
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    recipe = json.dumps([mmcv, machine]).encode() + Path(__file__).read_bytes()
    return cache / 'refnms-bench' / 'wheels' / hashlib.sha256(recipe).hexdigest()[:16]


def keep(wheel: Path, kept: Path) -> Path:
    """The wheel, copied into the cache; where that cannot be written, the wheel where it is."""
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as beside:
            os.replace(shutil.copy(wheel, beside), kept / wheel.name)  # whole or not at all
        return kept / wheel.name
    except OSError as error:
        print(f'  {kept}: {error.strerror}; the next installation compiles mmcv again', flush=True)
        return wheel


def build(mmcv: str, work: Path, cuda: bool) -> Path:
    """A wheel of mmcv with its operators, in ``work``: a job a processor, less optimised than by default."""
    pip('mmcv\'s sources', 'download', '--no-deps', '--no-build-isolation', '--no-binary', ':all:', '-d', str(work),
        mmcv)
    with tarfile.open(next(work.glob('*.tar.gz'))) as archive:
        archive.extractall(work / 'unpacked', **({'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}))
    (sources,) = (work / 'unpacked').iterdir()
    settings = {'MAX_JOBS': str(os.cpu_count() or 1), 'CFLAGS': '-O2 -g0', 'CXXFLAGS': '-O2 -g0'}
    if not cuda:  # with CUDA most of the time goes into the kernels for the GPU, which stay one by one
        settings.update(CUDA_VISIBLE_DEVICES='', FORCE_CUDA='0')
        unite(sources)
    pip('compiling mmcv\'s operators', 'wheel', '--no-deps', '--no-build-isolation', '-w', str(work), str(sources),
        **settings)
    return next(work.glob('*.whl'))


def unite(sources: Path) -> None:
    """Writes the unity files, and lets setup.py compile them instead of the files that they include."""
    setup = (sources / 'setup.py').read_text()
    for number, (place, (first, last)) in enumerate(UNITY.items()):
        unity = sources / 'unity' / str(number)
        unity.mkdir(parents=True)
        for group in groups(sorted((sources / place).glob('*.cpp')), first, last):
            (unity / f'with_{group[0].name}').write_text(''.join(f'#include "{file}"\n' for file in group))
        listed = f"'./{place}/*.cpp'"
        if listed not in setup:
            raise SystemExit(f'error: mmcv\'s setup.py lists no {listed}; '
                             'say in .ci/mmcv_wheel.py which files this version compiles')
        setup = setup.replace(listed, f"'./unity/{number}/*.cpp'")
    (sources / 'setup.py').write_text(setup)


def groups(files: list[Path], first: tuple[str, ...], last: tuple[str, ...]) -> list[list[Path]]:
    """The files of each unity file: one of ``first``, then its share of the others, ``last`` at the end."""
    shares = [[file] for file in files if file.stem in first]
    for number, file in enumerate(sorted((file for file in files if file.stem not in first),
                                         key=lambda file: file.stem in last)):
        shares[number % len(shares)].append(file)
    return shares
