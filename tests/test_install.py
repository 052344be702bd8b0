"""The installation: mmcv is compiled in a few unity files and kept as a wheel, and its operators are checked."""
from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import mmcv.ops
import pytest

from harness.errors import PYTHON

ROOT = Path(__file__).parents[1]
MACHINE = ['2.13.0+cpu', 'cpython-311', 'linux-x86_64', 'glibc', '2.36', None, False]


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / '.ci')


@pytest.fixture
def install() -> ModuleType:
    return importlib.import_module('install')


@pytest.fixture
def mmcv_wheel() -> ModuleType:
    return importlib.import_module('mmcv_wheel')


@pytest.fixture
def check_operators() -> ModuleType:
    return importlib.import_module('check_operators')


@pytest.mark.parametrize('version', [(3, 10, 13), (3, 14, 0)])
def test_the_installation_names_the_pythons_that_it_takes(version: tuple[int, ...], install: ModuleType,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'version_info', version)
    with pytest.raises(SystemExit, match='use 3.11 to 3.13, for instance make PYTHON=python3.11'):
        install.main()


def test_the_pythons_that_are_taken_are_the_same_everywhere() -> None:
    first, last = PYTHON
    versions = [f'3.{minor}' for minor in range(first[1], last[1] + 1)]
    for file, said in (('pyproject.toml', f'requires-python = ">={versions[0]},<3.{last[1] + 1}"'),
                       ('.ci/install.py', f'{first} <= sys.version_info[:2] <= {last}'),
                       ('.github/workflows/ci.yml', f'python: {versions}'),
                       ('Makefile', ' '.join(f'python{version}' for version in versions)),
                       ('README.md', f'Python {", ".join(versions[:-1])} or {versions[-1]}')):
        assert said in (ROOT / file).read_text(), file


# ------------------------------------------------------------------------------------------ unity files

def test_every_source_is_in_one_unity_file(mmcv_wheel: ModuleType) -> None:
    files = [Path(f'{name}.cpp') for name in 'abcdefg']
    assert [[file.stem for file in group] for group in mmcv_wheel.groups(files, ('b', 'e'), ('a', 'd'))] == [
        ['b', 'c', 'g', 'd'], ['e', 'f', 'a']]


@pytest.fixture
def sources(tmp_path: Path, mmcv_wheel: ModuleType) -> Path:
    """mmcv's tree, with the files that the recipe names and one more, which includes a neighbour."""
    for place, (first, last) in mmcv_wheel.UNITY.items():
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        for name in (*first, *last, 'another'):
            (tmp_path / place / f'{name}.cpp').write_text('')
    (tmp_path / 'setup.py').write_text('from glob import glob\nfiles = ' + ' + '.join(
        f"glob('./{place}/*.cpp')" for place in mmcv_wheel.UNITY))
    return tmp_path


def test_setup_compiles_the_unity_files_in_the_place_of_the_sources(
        mmcv_wheel: ModuleType, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = sorted((sources / 'mmcv').rglob('*.cpp'))
    mmcv_wheel.unite(sources)
    monkeypatch.chdir(sources)
    listed: dict = {}
    exec(Path('setup.py').read_text(), listed)
    assert len(listed['files']) == 6 and all(file.startswith('./unity/') for file in listed['files'])
    lines = [line for file in listed['files'] for line in Path(file).read_text().splitlines()]
    assert sorted(lines) == sorted(f'#include "{file}"' for file in everything)


def test_an_mmcv_that_lists_its_sources_in_another_way_is_refused(mmcv_wheel: ModuleType, sources: Path) -> None:
    (sources / 'setup.py').write_text('files = []')
    with pytest.raises(SystemExit, match=r"^error: mmcv's setup.py lists no './mmcv/ops/csrc/pytorch/\*.cpp'; say in"):
        mmcv_wheel.unite(sources)


# ------------------------------------------------------------------------------------------ the kept wheel

def test_a_wheel_is_kept_for_one_mmcv_and_one_machine(mmcv_wheel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', '/cache')
    mine = mmcv_wheel.folder('onedl-mmcv==2.3.6', MACHINE)
    assert mine.parent == Path('/cache/refnms-bench/wheels')
    assert mine == mmcv_wheel.folder('onedl-mmcv==2.3.6', list(MACHINE))
    machines = [[*MACHINE[:i], 'another', *MACHINE[i + 1:]] for i in range(len(MACHINE))]
    others = [mmcv_wheel.folder('onedl-mmcv==2.3.5', MACHINE),
              *(mmcv_wheel.folder('onedl-mmcv==2.3.6', machine) for machine in machines)]
    assert len({mine, *others}) == 2 + len(MACHINE)
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert mmcv_wheel.folder('onedl-mmcv==2.3.6', MACHINE) == Path.home() / '.cache/refnms-bench/wheels' / mine.name


@pytest.fixture
def builds(mmcv_wheel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled, and installed, by an installation that does neither."""
    done: list[str] = []

    def build(mmcv: str, work: Path, cuda: bool) -> Path:
        done.append('compiled')
        (work / 'onedl_mmcv-2.3.6.whl').write_bytes(b'wheel')
        return work / 'onedl_mmcv-2.3.6.whl'

    def pip(what: str, *arguments: str) -> None:
        assert Path(arguments[-1]).read_bytes() == b'wheel'
        done.append('installed')

    monkeypatch.setattr(mmcv_wheel, 'build', build)
    monkeypatch.setattr(mmcv_wheel, 'pip', pip)
    monkeypatch.setattr(mmcv_wheel, 'PYTHON', sys.executable)
    return done


def test_mmcv_is_compiled_once(mmcv_wheel: ModuleType, builds: list[str], tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    kept = mmcv_wheel.install('onedl-mmcv==2.3.6')
    assert mmcv_wheel.install('onedl-mmcv==2.3.6') == kept
    assert builds == ['compiled', 'installed', 'installed']
    assert [file.name for file in kept.iterdir()] == ['onedl_mmcv-2.3.6.whl']


def test_a_cache_that_cannot_be_written_is_done_without(mmcv_wheel: ModuleType, builds: list[str], tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    mmcv_wheel.install('onedl-mmcv==2.3.6')
    assert builds == ['compiled', 'installed']
    assert 'Not a directory; the next installation compiles mmcv again' in capsys.readouterr().out


def test_a_wheel_with_wrong_operators_is_not_kept(install: ModuleType, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / '.ci').mkdir()
    (tmp_path / '.ci/check_operators.py').write_text('raise SystemExit("error: wrong")')
    (tmp_path / 'kept').mkdir()
    monkeypatch.setattr(install, 'ROOT', tmp_path)
    monkeypatch.setattr(install, 'PYTHON', sys.executable)
    with pytest.raises(SystemExit):
        install.check_operators(tmp_path / 'kept')
    assert not (tmp_path / 'kept').exists()


def test_a_module_that_cannot_be_imported_ends_the_installation(tmp_path: Path) -> None:
    (tmp_path / '.ci').mkdir()
    script = shutil.copy(ROOT / '.ci/check_imports.py', tmp_path / '.ci')
    for room in ('harness', 'adapters', 'grounders', 'reports'):
        (tmp_path / room / 'inner').mkdir(parents=True)
        (tmp_path / room / '__init__.py').touch()
        (tmp_path / room / 'inner/__init__.py').touch()
        (tmp_path / room / '__main__.py').write_text('raise SystemExit("is run")')
    assert subprocess.run([sys.executable, script]).returncode == 0
    (tmp_path / 'reports/inner/last.py').write_text('import not_there_at_all')
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == ("error: what is installed cannot be imported: No module named 'not_there_at_all'; "
                           'remove .venv and install again\n')


# ------------------------------------------------------------------------------------------ the operators

def test_the_operators_compute_what_plain_torch_does(check_operators: ModuleType) -> None:
    check_operators.check_nms(mmcv.ops.nms)
    check_operators.check_roi_align(mmcv.ops.roi_align)


def test_an_nms_that_suppresses_other_boxes_is_found(check_operators: ModuleType) -> None:
    with pytest.raises(SystemExit, match="^error: mmcv's nms keeps other boxes than plain torch at threshold 0.3"):
        check_operators.check_nms(lambda boxes, scores, threshold: mmcv.ops.nms(boxes, scores, threshold, offset=1))


def test_a_roi_align_with_another_result_or_gradient_is_found(check_operators: ModuleType) -> None:
    def shifted(features, rois, *rest):
        return mmcv.ops.roi_align(features, rois, *rest[:-1], False)

    def halved(*arguments):
        pooled = mmcv.ops.roi_align(*arguments)
        return pooled.detach() / 2 + pooled / 2

    for wrong, what in ((shifted, 'result'), (halved, 'gradient')):
        with pytest.raises(SystemExit, match=f"^error: the {what} of mmcv's roi_align differs from plain torch by"):
            check_operators.check_roi_align(wrong)
