"""What the user asks for."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.plain import load_expressions
from harness.errors import InputError
from harness.types import Dataset

if TYPE_CHECKING:
    from harness.detection.source import StoredMap
    from harness.proposals.given import OutsideBoxes

#: What detects where nobody says what.
DETECTOR = 'mmdet-c4'
#: What can be measured.
TASKS = ('recall', 'rec', 'res')


@dataclass(frozen=True)
class Request:
    """What the command line says; ``None`` means the default, no grounder at all is ``[]`` or ``['none']``."""

    grounders: list[str] | None = None
    datasets: list[str] | None = None
    splits: list[str] | None = None
    tasks: list[str] | None = None
    rules: list[str] | None = None
    limit: int | None = None
    device: str | None = None
    seed: int = 0
    data_root: Path | None = None
    split_by: str | None = None
    expressions: Path | None = None
    candidates: Path | None = None
    detections: Path | None = None
    features: Path | None = None
    masks: Path | None = None
    images: Path | None = None
    max_pixels: int | None = None
    reads_images: bool = True  # else the caller hands over pixels
    vectors: Path | None = None
    detector: str = DETECTOR
    weights: dict[str, Path] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    store: str = 'boxes'  # what is kept of detections: boxes, maps or none


def _no_reader(path: Path) -> Any:
    raise InputError(f'{path}: files of this kind are read by an adapter, and none is given')


@dataclass(frozen=True)
class Readers:
    """How the files that a request names are read; adapters bring further forms.

    Attributes:
        expressions: a file of expressions and the folder of its images to datasets by name.
        detections: boxes from outside.
        features: a folder of stored maps, to be asked by image id.
        masks: stored masks, to be asked by ``det_id``, height and width.
    """

    expressions: Callable[[Path, Path | None], dict[str, Dataset]] = load_expressions
    detections: Callable[[Path], OutsideBoxes] = _no_reader
    features: Callable[[Path], Callable[[int], StoredMap]] = _no_reader
    masks: Callable[[Path], Callable[[int, int, int], dict]] = _no_reader


#: What is read without an adapter.
OWN_FORMS = Readers()
