"""Detections with their masks, ``*_masks.json`` of MAttNet and ``matt_mask_*.json`` of Ref-NMS.

Sources: ``tools/run_detect_to_mask.py`` (``main``) of lichengunc/MAttNet repeats every detection and adds ``rle``,
COCO's compressed run lengths with ``size`` (height, width); ``tools/eval_ref_masks.py`` (``main``) of
ChopinSharp/CM-Erase-REG reads ``det_id`` and ``rle``.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.data.masks import to_rle
from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes


@dataclass(frozen=True)
class Masks:
    """Masks by ``det_id``, as in the file; each is checked when it is first looked up."""

    path: Path
    segmentations: dict[int, Any]
    _checked: dict[tuple[int, int, int], dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.segmentations)

    def rle(self, det_id: int, height: int, width: int) -> dict[str, Any]:
        """``{'size': [height, width], 'counts': bytes}``, safe for pycocotools.

        Raises:
            InputError: the file has no such mask, or it is not of an image of that size.
        """
        if (key := (det_id, height, width)) in self._checked:
            return self._checked[key]
        if det_id not in self.segmentations:
            raise InputError(f'{self.path}: has no mask of det_id {det_id}; give masks and boxes of the same run')
        self._checked[key] = to_rle(self.segmentations[det_id], height, width, f'{self.path}: det_id {det_id}')
        return self._checked[key]


def read_masks(path: str | Path) -> Masks:
    """Read masks.

    Raises:
        InputError: the file is not a list of records with ``det_id`` and ``rle``, or a ``det_id`` occurs twice.
    """
    rows = parse_json(read_bytes(path), str(path))
    if not isinstance(rows, list):
        raise InputError(f'{path}: must be a list of detections with masks, not {fields.kind(rows)}')
    ids = [fields.integer(row, 'det_id', f'{path}: detection {i}') for i, row in enumerate(rows)]
    fields.unique(ids, 'det_id', str(path))
    return Masks(Path(path), {det_id: _segmentation(row, f'{path}: detection {i}')
                              for i, (det_id, row) in enumerate(zip(ids, rows, strict=True))})


def _segmentation(row: Any, where: str) -> dict[str, Any]:
    rle = fields.required(row, 'rle', where)
    if not isinstance(rle, dict):
        raise InputError(f"{where}: 'rle' must be run lengths with size and counts, not {fields.kind(rle)}")
    return rle
