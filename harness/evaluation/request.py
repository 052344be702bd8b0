"""The request that a command line stands for, and the readers of the files that it names."""
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

#: The detector of a request that names none.
DETECTOR = 'mmdet-c4'
#: The tasks that can be measured.
TASKS = ('recall', 'rec', 'res')


@dataclass(frozen=True)
class Request:
    """What a command line asks for; ``None`` means the default, and ``[]`` or ``['none']`` that no grounder is run."""

    grounders: list[str] | None = None
    datasets: list[str] | None = None
    splits: list[str] | None = None
    tasks: list[str] | None = None
    rules: list[str] | None = None
    limit: int | None = None
    device: str | None = None
    precision: str = 'fp32'  # of the detector's networks: fp32 or bf16
    seed: int = 0
    data_root: Path | None = None
    split_by: str | None = None
    expressions: Path | None = None
    data: tuple[Path, ...] = ()  # files of any form
    boxes: str | None = None  # how these write a box, in the place of what the form says: xywh or xyxy
    candidates: Path | None = None
    detections: Path | None = None
    features: Path | None = None
    masks: Path | None = None
    images: Path | None = None
    max_pixels: int | None = None
    reads_images: bool = True  # False: the caller gives the pixels
    vectors: Path | None = None
    detector: str = DETECTOR
    weights: dict[str, Path] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    store: str = 'boxes'  # what is kept of detections: boxes, maps or none


def _no_reader(path: Path) -> Any:
    raise InputError(f'{path}: only an adapter reads files of this kind, and none is given; pass '
                     'adapters.originals.outside.READERS')


@dataclass(frozen=True)
class Readers:
    """The functions that read the files of a request; adapters add further formats.

    Attributes:
        expressions: reads a file of expressions, with the folder of its images, into datasets by name.
        detections: reads boxes from outside.
        features: opens a folder of stored maps; gives the map of an image id.
        masks: reads stored masks; gives the mask of a ``det_id``, height and width.
    """

    expressions: Callable[[Path, Path | None], dict[str, Dataset]] = load_expressions
    detections: Callable[[Path], OutsideBoxes] = _no_reader
    features: Callable[[Path], Callable[[int], StoredMap]] = _no_reader
    masks: Callable[[Path], Callable[[int, int, int], dict]] = _no_reader


#: The formats that are read without an adapter.
OWN_FORMS = Readers()
