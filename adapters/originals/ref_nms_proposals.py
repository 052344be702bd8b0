"""Ref-NMS's pickles of proposals: the boxes left after NMS.

Source: ``tools/save_ref_nms_proposals.py`` (``rank_proposals``, ``main``) of ChopinSharp/ref-nms writes
``cache/proposals_<m>_<dataset>_<tid>.pkl``: by split and sentence, a list of ``{score, box, cls_idx}`` with xyxy boxes,
class by class, and nothing thresholded.
"""
from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.originals.ref_nms_data import whole
from adapters.originals.writing import write_bytes, write_json
from harness.data.coco_categories import COCO_CLASSES
from harness.errors import InputError
from harness.files import fields, safe_pickle
from harness.files.reading import parse_json, read_bytes

CLASSES = len(COCO_CLASSES)
_NUMBERS = (float, np.integer, np.floating)


@dataclass(frozen=True, eq=False)
class Proposals:
    """One expression's n proposals: ``xyxy`` (n, 4) and ``scores`` (n,) float64, ``classes`` (n,) int64 from 1."""

    xyxy: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def over(self, confidence: float) -> Proposals:
        """The best proposal and those others whose score exceeds ``confidence``, best first.

        Source: ``threshold_with_confidence`` in ``tools/save_matt_dets.py`` of ChopinSharp/ref-nms.
        """
        order = np.argsort(-self.scores, kind='stable')
        kept = order[(self.scores[order] > confidence) | (np.arange(len(order)) == 0)]
        return Proposals(self.xyxy[kept], self.scores[kept], self.classes[kept])


#: Split, then ``sent_id``.
ProposalDB = Mapping[str, Mapping[int, Proposals]]


def read_proposals(path: str | Path) -> dict[str, dict[int, Proposals]]:
    """Read ``proposals_*.pkl``, or the same as JSON (by the ending ``.json``, also ``.json.gz``).

    Raises:
        InputError: the file is not as described, or asks for anything but plain data.
    """
    as_json = '.json' in Path(path).suffixes
    record = parse_json(read_bytes(path), str(path)) if as_json else safe_pickle.load(path)
    if not isinstance(record, dict) or not all(isinstance(s, str) and isinstance(r, dict) for s, r in record.items()):
        raise InputError(f'{path}: must hold, per split, the proposals by sent_id')
    return {split: {sent_id: _proposals(rows, f'{path}: {split} sent_id {sent_id}') for sent_id, rows in
                    _by_id(by_sentence, 'the sent_id of an expression', f'{path}: {split}').items()}
            for split, by_sentence in record.items()}


def write_proposals(path: str | Path, splits: ProposalDB) -> None:
    """Write the original's pickle, of protocol 2, or JSON by the ending; :func:`read_proposals` gives the same.

    Raises:
        InputError: the file cannot be written.
    """
    record = {split: {sent_id: _records(proposals) for sent_id, proposals in by_sentence.items()}
              for split, by_sentence in splits.items()}
    if Path(path).suffix == '.json':
        write_json(Path(path), record)
    else:
        write_bytes(Path(path), pickle.dumps(record, protocol=2))


def _records(proposals: Proposals) -> list[dict[str, Any]]:
    columns = proposals.scores.tolist(), proposals.xyxy.tolist(), proposals.classes.tolist()
    return [{'score': score, 'box': box, 'cls_idx': index} for score, box, index in zip(*columns, strict=True)]


def _by_id(record: Mapping[Any, Any], what: str, where: str) -> dict[int, Any]:
    """A record with its keys as whole numbers, which are text in JSON and numbers in a pickle."""
    ids = [key if type(key) is int else whole(key if isinstance(key, str) else '', where, what)
           for key in record]
    fields.unique(ids, what, where)
    return dict(zip(ids, record.values(), strict=True))


def _proposals(rows: Any, where: str) -> Proposals:
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {'score', 'box', 'cls_idx'} <= row.keys()
                                             for row in rows):
        raise InputError(f"{where}: must be a list of proposals with 'score', 'box' and 'cls_idx'")
    try:
        values = [(*row['box'], row['score'], row['cls_idx']) for row in rows]
        if not all(issubclass(kind, _NUMBERS) for kind in set(map(type, chain.from_iterable(values))) - {int}):
            raise TypeError
        numbers = np.array(values, np.float64).reshape(-1, 6)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: 'box' must be four numbers, 'score' and 'cls_idx' one") from None
    if not np.isfinite(numbers).all() or (np.abs(numbers[:, :4]) > fields.MAX_COORDINATE).any():
        raise InputError(f'{where}: a box holds a number that is not finite or beyond a million pixels')
    classes = numbers[:, 5]
    if not np.isin(classes, np.arange(1, CLASSES + 1)).all():
        raise InputError(f"{where}: 'cls_idx' must be a class from 1 to {CLASSES}")
    return Proposals(numbers[:, :4].copy(), numbers[:, 4].copy(), classes.astype(np.int64))
