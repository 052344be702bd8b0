"""What all tests share: how laws are tried, and a small benchmark for the tests that need images.

Laws (hypothesis) are tried on new examples each time; with ``CI`` in the environment always on the same ones; by
``make test-wide`` on twenty times as many. Nothing is kept from one run to the next: a failure prints the line that
repeats it. The small benchmark is a few scenes a split, in the place of the embedded one.
"""
from __future__ import annotations

import importlib.metadata
import os
import resource
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test, settings

os.environ.setdefault('GOMP_SPINCOUNT', '20000')  # as run_benchmark.py, before torch is imported

importlib.metadata.version = cache(importlib.metadata.version)  # each of hundreds of runs records a dozen

import torch  # noqa: E402

from harness.embedded import build  # noqa: E402

torch.set_num_threads(1)

LAWS = dict(max_examples=50, deadline=None, database=None, print_blob=True)
settings.register_profile('new', **LAWS)
settings.register_profile('ci', **LAWS, derandomize=True)
settings.register_profile('wide', **LAWS)
settings.load_profile('ci' if os.environ.get('CI', '').lower() not in ('', '0', 'false') else 'new')
WIDER = 20
#: What takes longest begins first: begun last, it would leave the other process with nothing to do.
LONGEST = ('test_recipes.py', 'test_broken_inputs.py', 'test_package.py', 'test_kill_and_resume.py',
           'test_runs_in_parts.py', 'test_train_ref_nms_command.py', 'test_start.py', 'test_study_seeds.py')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first; the profile ``wide`` tries each law on so many times its own examples."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    if settings.get_current_profile_name() != 'wide':
        return
    for law in {getattr(item.obj, '__func__', item.obj) for item in items
                if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj)}:
        own = getattr(law, '_hypothesis_internal_use_settings', settings.default)
        law._hypothesis_internal_use_settings = settings(own, max_examples=WIDER * own.max_examples)

SMALL = (
    build.Split('val', build.COCO_PAIR, 10_001, 3, ('mixed',), 'mixed'),
    build.Split('testA', build.COCO_PAIR, 20_001, 2, ('people',), 'people'),
    build.Split('testB', build.COCO_PAIR, 30_001, 3, ('objects',), 'objects'),
    build.Split('val', ('mini-refcocog',), 40_001, 2, ('mixed',), 'mixed'),
    build.Split('test', ('mini-refcocog',), 50_001, 2, ('mixed',), 'mixed'),
)


@pytest.fixture(scope='session', autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Detections of tests are kept apart from those of the user."""
    os.environ['REFNMS_STORE'] = str(tmp_path_factory.mktemp('store'))


@pytest.fixture(scope='session', autouse=True)
def unhurried_disk() -> Iterator[None]:
    """No test cuts the power: a journal need not be waited for, line by line, until it is on the disk."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, 'fsync', lambda _: None)
        yield


@pytest.fixture(scope='session')
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds an evaluation part of twelve images."""
    cache = tmp_path_factory.mktemp('cache')
    folder = cache / build.EMBEDDED_VERSION / 'eval'
    folder.parent.mkdir()
    build.build_part(folder, SMALL, 1)
    return cache


@pytest.fixture
def small_benchmark(small_cache: Path) -> Iterator[Path]:
    """The embedded datasets are the small ones; gives their folder."""
    before = os.environ.get('REFNMS_CACHE')
    os.environ['REFNMS_CACHE'] = str(small_cache)
    yield small_cache / build.EMBEDDED_VERSION / 'eval'
    if before is None:
        del os.environ['REFNMS_CACHE']
    else:
        os.environ['REFNMS_CACHE'] = before


@pytest.fixture
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails where an attack leaves its file ``fired`` in the working folder, or a small file takes much memory."""
    monkeypatch.chdir(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert not (tmp_path / 'fired').exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB
