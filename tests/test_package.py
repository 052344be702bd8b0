"""The project as a wheel, installed outside its checkout and called by its command's name."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.files.weights import git_commit
from harness.names import OneLineParser
from harness.program import program

ROOT = Path(__file__).parents[1]
PACKAGES = ('adapters', 'grounders', 'harness', 'reports')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout stays as it is."""
    source = tmp_path_factory.mktemp('source')
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('run_benchmark.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    pip('wheel', '--no-build-isolation', '-w', str(source / 'dist'), str(source))
    (built,) = (source / 'dist').glob('*.whl')
    return built


@pytest.fixture(scope='module')
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages beside those of the dependencies, inside a git repository that is not this project's."""
    repository = tmp_path_factory.mktemp('someone_else_s')
    git = ('git', '-C', str(repository), '-c', 'user.name=someone', '-c', 'user.email=someone@example.org')
    subprocess.run([*git, 'init', '-q'], check=True)
    subprocess.run([*git, 'commit', '-q', '--allow-empty', '-m', 'theirs'], check=True)
    pip('install', '--target', str(repository / 'packages'), str(wheel))
    return repository / 'packages'


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, '-m', 'pip', *arguments, '--no-deps', '--no-index', '-q',
                    '--disable-pip-version-check'], check=True)


def outside(installed: Path, folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run in a folder that has nothing to do with the checkout."""
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False,
                          env={**os.environ, 'PYTHONPATH': str(installed), **environment})


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    here = {file.relative_to(ROOT).as_posix() for name in PACKAGES for file in (ROOT / name).rglob('*')
            if file.is_file() and '__pycache__' not in file.parts and not file.name.startswith('.')}
    there = {name for name in zipfile.ZipFile(wheel).namelist() if '.dist-info/' not in name}
    assert there == here | {'run_benchmark.py'}


def test_a_limited_run_from_a_folder_elsewhere(installed: Path, tmp_path: Path, small_cache: Path) -> None:
    command = str(installed / 'bin/ref-nms-benchmark')
    done = outside(installed, tmp_path, command, '--grounder', 'cmae', '--dataset', 'mini-refcoco', '--split', 'testB',
                   '--proposals', 'ref-nms-b', '--limit', '3', '--out', 'out', REFNMS_CACHE=str(small_cache))
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / 'out/results.json').read_text())['run']
    assert run['command'].startswith('ref-nms-benchmark --grounder cmae ')
    assert run['commit'] == 'unknown'
    assert [file.name for file in tmp_path.iterdir()] == ['out']
    page = outside(installed, tmp_path, '-m', 'reports', 'html', 'out', '-o', 'page.html')
    assert page.returncode == 0, page.stderr
    assert '<style>' in (tmp_path / 'page.html').read_text()


def test_list_and_help_speak_of_the_installed_command(installed: Path, tmp_path: Path) -> None:
    command = str(installed / 'bin/ref-nms-benchmark')
    listed = outside(installed, tmp_path, command, '--list')
    assert listed.returncode == 0, listed.stderr
    assert all(name in listed.stdout for name in ('mini-refcocog', 'nmtree', 'ref-nms-b', 'overall_iou'))
    for words in ('--help', 'study', 'study seeds --help', 'train --help', 'train ref-nms --help', 'convert --help'):
        said = outside(installed, tmp_path, command, *words.split()).stdout
        assert said.startswith('usage: ref-nms-benchmark') and 'run_benchmark.py' not in said


def test_what_an_installed_package_holds_is_found_and_stays(installed: Path, tmp_path: Path) -> None:
    command = str(installed / 'bin/ref-nms-benchmark')
    refused = outside(installed, tmp_path, command, 'train', 'all', '--overwrite')
    assert refused.returncode == 2 and 'part of an installed package' in refused.stderr.splitlines()[-1]
    whole = json.loads((installed / 'reports/baseline.json').read_text())
    (tmp_path / 'results.json').write_text(json.dumps({'records': whole['records'], 'run': whole['run']}))
    done = outside(installed, tmp_path, '-m', 'reports', 'check', 'results.json')
    assert done.returncode == 0, done.stderr
    bare = subprocess.run([sys.executable, '-S', '-m', 'reports', 'check', str(tmp_path / 'results.json')],
                          cwd=installed, capture_output=True, text=True)
    assert bare.returncode == 2 and 'install the package' in bare.stderr and 'make' not in bare.stderr


def test_published_numbers_from_a_folder_elsewhere(installed: Path, tmp_path: Path) -> None:
    done = outside(installed, tmp_path, '-m', 'reports', 'published', '--table', '1', '--format', 'csv')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith('table,method,')


def test_mmdet_finds_the_plugin_without_a_path_of_its_own(installed: Path, tmp_path: Path) -> None:
    (tmp_path / 'config.py').write_text("custom_imports = dict(imports=['harness.mmdet_plugin'])\n")
    code = ("from mmengine.config import Config; Config.fromfile('config.py'); from mmdet.registry import MODELS; "
            "print(MODELS.get('GroundingDetector'), __import__('harness').__file__)")
    done = outside(installed, tmp_path, '-c', code)
    assert 'GroundingDetector' in done.stdout and str(installed) in done.stdout, done.stderr


@pytest.mark.parametrize(('called', 'typed'), [
    ('/usr/local/bin/ref-nms-benchmark', 'ref-nms-benchmark'),
    ('run_benchmark.py', 'python run_benchmark.py'),
    ('../bench/run_benchmark.py', 'python ../bench/run_benchmark.py'),
    ('/usr/bin/pytest', 'python run_benchmark.py'),
])
def test_what_is_printed_can_be_typed(called: str, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'argv', [called])
    assert program() == typed
    parser = OneLineParser(prog='run_benchmark.py show', description='``run_benchmark.py show``: draws',
                           epilog='see python run_benchmark.py --list')
    assert parser.prog == f'{typed} show'
    assert f'{typed} show: draws' in parser.format_help() and f'see {typed} --list' in parser.format_help()


def test_a_checkout_s_commit_is_its_own() -> None:
    if (ROOT / '.git').exists():
        assert len(git_commit().removesuffix('+changes')) == 40


def test_the_docs_name_the_pinned_versions() -> None:
    pinned = set(re.findall(r'"([\w-]+==[\w.]+)"', (ROOT / 'pyproject.toml').read_text()))
    printed = set(re.findall(r'[\w-]+==[\w.]+', (ROOT / 'docs/dependencies.md').read_text()))
    assert printed and printed <= pinned
