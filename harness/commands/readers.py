"""How a run reads the files of its user, the originals' layouts included."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.originals.outside import read_expressions
from harness.evaluation.request import Readers

if TYPE_CHECKING:
    from harness.detection.source import StoredMap
    from harness.proposals.given import OutsideBoxes


def _detections(path: Path) -> OutsideBoxes:
    from adapters.originals.detections import read_detections
    return read_detections(path)


def _features(path: Path) -> Callable[[int], StoredMap]:
    from adapters.originals.features import read_head_features
    return read_head_features(path)


def _masks(path: Path) -> Callable[[int, int, int], dict]:
    from adapters.originals.masks import read_masks
    return read_masks(path).rle


READERS = Readers(read_expressions, _detections, _features, _masks)
