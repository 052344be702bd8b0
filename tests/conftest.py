"""A small benchmark for the tests that need images: a few scenes a split, in the place of the embedded one."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault('GOMP_SPINCOUNT', '20000')  # as run_benchmark.py, before torch is imported

import torch  # noqa: E402

from harness.embedded import build  # noqa: E402

torch.set_num_threads(min(2, torch.get_num_threads()))

SMALL = (
    build.Split('val', build.COCO_PAIR, 10_001, 3, ('mixed',), 'mixed'),
    build.Split('testA', build.COCO_PAIR, 20_001, 2, ('people',), 'people'),
    build.Split('testB', build.COCO_PAIR, 30_001, 3, ('objects',), 'objects'),
    build.Split('val', ('mini-refcocog',), 40_001, 2, ('mixed',), 'mixed'),
    build.Split('test', ('mini-refcocog',), 50_001, 2, ('mixed',), 'mixed'),
)


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
