"""The browser's tests run when they are named, ``pytest tests/browser``: not everybody has a Chromium."""
from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out unless it, or something in it, was named."""
    named = [Path(config.invocation_params.dir, str(argument).partition('::')[0]).resolve()
             for argument in config.invocation_params.args]
    return None if any(path == HERE or HERE in path.parents for path in named) else True
