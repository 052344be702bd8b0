"""The browser's tests run when they are named, ``pytest tests/browser``: not everybody has a Chromium."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Browser, started

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out unless it, or something in it, was named."""
    named = [Path(config.invocation_params.dir, str(argument).partition('::')[0]).resolve()
             for argument in config.invocation_params.args]
    return None if any(path == HERE or HERE in path.parents for path in named) else True


@pytest.fixture(scope='module')
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: ``REPORT_SCREENSHOTS``, or else a temporary folder."""
    folder = Path(os.environ.get('REPORT_SCREENSHOTS') or tmp_path_factory.mktemp('screenshots'))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope='module')
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    driver = started(tmp_path_factory.mktemp('profile'))
    yield driver
    driver.quit()
