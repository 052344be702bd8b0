"""Flat lists of detections, one record per box: MAttNet's by image, Ref-NMS's by sentence.

Sources: ``tools/run_detect.py`` (``main``) of lichengunc/MAttNet writes ``det_id, h5_id, box, image_id, category_id,
category_name, score`` with ``w = x2 - x1 + 1``, the last pixel counted; ``tools/save_matt_dets.py`` (``main``) of
ChopinSharp/ref-nms writes ``det_id, h5_id, ref_id, sent_id, image_id, box, category_id, category_name, split`` with
``w = x2 - x1`` and no score, a sentence's boxes best first. ``sent_id`` tells the two apart.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from adapters.originals.writing import write_json
from harness.boxes import xywh_to_xyxy
from harness.data.box_forms import check_form
from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes
from harness.types import Expression, ImageInfo

if TYPE_CHECKING:
    from mmengine.structures import InstanceData

Kind = Literal['mattnet', 'ref-nms']
#: By how much the width of a box exceeds x2 − x1.
LAST_PIXEL: dict[Kind, int] = {'mattnet': 1, 'ref-nms': 0}


@dataclass(frozen=True, eq=False)
class Detections:
    """N detections in file order, as columns.

    Attributes:
        kind: ``'mattnet'`` (by image, ``w = x2 - x1 + 1``) or ``'ref-nms'`` (by sentence, ``w = x2 - x1``).
        det_ids, h5_ids, image_ids, category_ids: ``(N,)`` int64; ``h5_ids`` are the rows of the feature file.
        names: N category names.
        xywh: ``(N, 4)`` float64, the file's own digits.
        scores: ``(N,)`` float64 confidences, ``None`` where the file has none.
        sent_ids, ref_ids, splits: only in files of Ref-NMS.
    """

    kind: Kind
    det_ids: NDArray[np.int64]
    h5_ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    category_ids: NDArray[np.int64]
    names: tuple[str, ...]
    xywh: NDArray[np.float64]
    scores: NDArray[np.float64] | None = None
    sent_ids: NDArray[np.int64] | None = None
    ref_ids: NDArray[np.int64] | None = None
    splits: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.det_ids)

    @property
    def scored(self) -> bool:
        return self.scores is not None

    @property
    def classes(self) -> tuple[str, ...]:
        """The category names that occur, in order."""
        return tuple(sorted(set(self.names)))

    @property
    def detector_xyxy(self) -> NDArray[np.float64]:
        """``(N, 4)`` corners as the detector gave them, by the file's convention of a width."""
        return self._xyxy - np.array([0, 0, 1, 1]) * LAST_PIXEL[self.kind]

    @cached_property
    def _xyxy(self) -> NDArray[np.float64]:
        """``(N, 4)`` corners x, y, x + w, y + h."""
        return xywh_to_xyxy(self.xywh)

    @cached_property
    def _grouped(self) -> dict[int, NDArray[np.int64]]:
        """The rows of each image or sentence."""
        keys = self.image_ids if self.sent_ids is None else self.sent_ids
        order = np.argsort(keys, kind='stable')
        distinct, first = np.unique(keys[order], return_index=True)
        return dict(zip(distinct.tolist(), np.split(order, first[1:]), strict=True)) if len(keys) else {}

    def rows(self, expression: Expression) -> NDArray[np.int64] | None:
        """The rows of an expression's detections, best first, in file order among equals; ``None`` if it has none."""
        found = self._grouped.get(expression.image_id if self.sent_ids is None else expression.sent_id)
        if found is None or self.scores is None:
            return found
        return found[np.argsort(-self.scores[found], kind='stable')]

    def for_expression(self, expression: Expression) -> InstanceData | None:
        """The proposals for an expression (those of its image or its own), best first; ``None`` if the file has none.

        Returns:
            ``bboxes`` (n, 4) float64 xyxy; ``scores`` and ``det_scores`` (n,) float64, all 1 where the file has none;
            ``names`` n category names; ``det_ids`` and ``h5_ids`` (n,) int64. The corners are x, y, x + w, y + h of the
            file's digits whatever its convention is: with the last pixel counted they are the far edge of that pixel,
            and the originals' grounders and accuracy take a width as it stands (``lib/loaders/dets_loader.py``,
            ``lib/loaders/ref_loader.py``). The detector's own corners are :attr:`detector_xyxy`.
        """
        import torch
        from mmengine.structures import InstanceData

        rows = self.rows(expression)
        if rows is None:
            return None
        scores = torch.ones(len(rows), dtype=torch.float64)
        if self.scores is not None:
            scores = torch.from_numpy(self.scores[rows])
        return InstanceData(
            bboxes=torch.from_numpy(self._xyxy[rows]), scores=scores, det_scores=scores.clone(),
            names=[self.names[i] for i in rows], det_ids=torch.from_numpy(self.det_ids[rows]),
            h5_ids=torch.from_numpy(self.h5_ids[rows]))

    def count_outside(self, images: Mapping[Any, ImageInfo]) -> int:
        """How many boxes reach outside their image, of the images whose size is known.

        Raises:
            InputError: the boxes do not look like ``xywh`` pixels.
        """
        size = {image_id: (info.width, info.height) for image_id, info in images.items() if info.width}
        check_form(self.xywh, [size.get(image_id, (0, 0)) for image_id in self.image_ids.tolist()], '--detections')
        unknown = (np.inf, np.inf)
        limits = np.array([size.get(image_id, unknown) for image_id in self.image_ids.tolist()]).reshape(-1, 2)
        outside = (self.xywh[:, :2] < 0) | (self.detector_xyxy[:, 2:] > limits)
        return int((outside.any(axis=1) & np.isfinite(limits[:, 0])).sum())


def kind_of(rows: Sequence[Any], where: str) -> Kind:
    """The program that wrote a file: records of Ref-NMS have a ``sent_id``, those of MAttNet have none.

    Raises:
        InputError: some have one and some have none, or there are no records.
    """
    if not rows:
        raise InputError(f'{where}: holds no detections; give a file that has some')
    with_sentence = sum(isinstance(row, dict) and 'sent_id' in row for row in rows)
    if with_sentence not in (0, len(rows)):
        raise InputError(f"{where}: some detections have a 'sent_id' and some have none; "
                         'MAttNet never writes it, Ref-NMS always does')
    return 'ref-nms' if with_sentence else 'mattnet'


def read_detections(path: str | Path) -> Detections:
    """Read ``*_dets.json`` or ``matt_dets_*.json``, also packed by gzip.

    Raises:
        InputError: with file, record and field, where the file is not as described, a ``det_id`` occurs twice or a
            number is not finite.
    """
    rows = parse_json(read_bytes(path), str(path))
    if not isinstance(rows, list):
        raise InputError(f'{path}: must be a list of detections, not {fields.kind(rows)}')
    kind = kind_of(rows, str(path))
    det_ids = _integers(rows, 'det_id', path)
    fields.unique(det_ids.tolist(), 'det_id', str(path))
    by_sentence = kind == 'ref-nms'
    return Detections(
        kind, det_ids,
        h5_ids=_integers(rows, 'h5_id', path) if 'h5_id' in rows[0] else det_ids,
        image_ids=_integers(rows, 'image_id', path),
        category_ids=_integers(rows, 'category_id', path),
        names=_names(rows, 'category_name', path),
        xywh=_boxes(rows, path),
        scores=_scores(rows, path),
        sent_ids=_integers(rows, 'sent_id', path) if by_sentence else None,
        ref_ids=_integers(rows, 'ref_id', path) if by_sentence else None,
        splits=_names(rows, 'split', path) if by_sentence else None,
    )


def write_detections(path: str | Path, detections: Detections) -> None:
    """Write the same layout, so that :func:`read_detections` returns the same detections.

    Raises:
        InputError: the file cannot be written.
    """
    d = detections
    columns: dict[str, Sequence[Any]] = {'det_id': d.det_ids.tolist(), 'h5_id': d.h5_ids.tolist()}
    if d.kind == 'ref-nms':
        assert d.ref_ids is not None and d.sent_ids is not None and d.splits is not None
        columns |= {'ref_id': d.ref_ids.tolist(), 'sent_id': d.sent_ids.tolist()}
    columns |= {'image_id': d.image_ids.tolist(), 'box': d.xywh.tolist(), 'category_id': d.category_ids.tolist(),
                'category_name': d.names}
    if d.splits is not None:
        columns['split'] = d.splits
    if d.scores is not None:
        columns['score'] = d.scores.tolist()
    write_json(Path(path), [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])


# Columns: all of a field at once; one by one only to name the record that is wrong.

def _integers(rows: Sequence[Any], key: str, path: str | Path) -> NDArray[np.int64]:
    values = _values(rows, key)
    if set(map(type, values)) != {int} or max(map(abs, values)) >= 1 << 63:
        values = [fields.integer(row, key, f'{path}: detection {i}') for i, row in enumerate(rows)]
    return np.array(values, np.int64)


def _names(rows: Sequence[Any], key: str, path: str | Path) -> tuple[str, ...]:
    values = _values(rows, key)
    if set(map(type, values)) != {str} or not all(_is_name(word) for word in set(values)):
        values = [fields.name(row, key, f'{path}: detection {i}') for i, row in enumerate(rows)]
    return tuple(values)


def _is_name(word: str) -> bool:
    return bool(word.strip()) and word.isascii() and word.isprintable() and len(word) <= fields.MAX_NAME


def _boxes(rows: Sequence[Any], path: str | Path) -> NDArray[np.float64]:
    values = _values(rows, 'box')
    if set(map(type, values)) == {list} and set(map(len, values)) == {4}:
        numbers = list(chain.from_iterable(values))
        if set(map(type, numbers)) <= {int, float} and max(map(abs, numbers)) <= fields.MAX_COORDINATE:
            boxes = np.array(values, np.float64)
            if (boxes[:, 2:] >= 0).all():
                return boxes
    return np.array([fields.box(row, 'box', f'{path}: detection {i}', may_be_empty=True) for i, row in enumerate(rows)])


def _scores(rows: Sequence[Any], path: str | Path) -> NDArray[np.float64] | None:
    scores = _values(rows, 'score')
    if all(score is None for score in scores):
        return None
    if not set(map(type, scores)) <= {int, float} or max(map(abs, scores)) > 1e9:
        raise InputError(f"{path}: 'score' must be a finite number in every detection, or in none")
    return np.array(scores, np.float64)


def _values(rows: Sequence[Any], key: str) -> list[Any]:
    return [row.get(key) if isinstance(row, dict) else None for row in rows]
