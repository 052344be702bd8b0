"""The result files of the originals: one chosen box per expression, and its mask.

Sources: ``lib/models/eval_dets_utils.py`` and ``tools/eval_dets.py`` of lichengunc/MAttNet and
``lib/models/eval_ref_utils.py`` and ``tools/eval_ref.py`` of ChopinSharp/CM-Erase-REG save ``{predictions: [{image_id,
sent_id, sent, gd_box, pred_det_id, pred_box, pred_score, …}], acc}``; ``tools/eval_masks.py`` and ``eval_ref_masks.py``
add ``rle`` to each and ``iou``; ``utils/eval_utils.py`` of daqingliu/NMTree saves ``{sent_id: {sent_id, pred_det_id,
boxes}}`` (``eval_det_split``) or ``{sent_id: {sent_id, ann_id, candidates, box}}`` (``eval_gt_split``).

A chosen box is the detection's own xywh: ``w = x2 - x1 + 1`` where MAttNet's ``dets.json`` was evaluated,
``w = x2 - x1`` where Ref-NMS's ``matt_dets`` was; an annotation's own xywh in NMTree's ``eval_gt_split``. The
originals' accuracy takes these digits as they are, and so does the harness's.
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.originals.ref_nms_data import whole
from adapters.originals.writing import write_json
from harness.data.answers import OUTSIDE, Answer, Answers, name_of
from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes
from harness.types import XYWH

_FIRST_NAME = re.compile(rb'\s*\{\s*"(predictions|acc|iou|overall|-?[0-9]+)"\s*:')


@dataclass(frozen=True)
class Prediction:
    """One record of ``predictions``; boxes are xywh with the evaluated file's width, ``rle`` has its counts as text.

    The attention and attribute fields that the originals also save are not kept: none of their programs reads them.
    """

    image_id: int
    sent_id: int
    sent: str
    gd_box: XYWH
    pred_det_id: int
    pred_box: XYWH
    pred_score: float
    rle: Mapping[str, Any] | None = field(default=None, compare=True, hash=False)


def is_results(data: bytes) -> bool:
    """Whether the content of a file is a result file of the originals, judged by its first key."""
    return _FIRST_NAME.match(data) is not None


def read_results(path: str | Path) -> Answers:
    """The answers in a result file of MAttNet, CM-A-E, Ref-NMS's forks of them, or NMTree.

    Returns:
        Keys ``(None, sent_id)``: the file does not name its dataset. An expression that occurs twice has two answers.

    Raises:
        InputError: the file is not as described; or it is MAttNet's ``eval_easy``, which names annotations, not boxes.
    """
    path = Path(path)
    # Pairs, because a sentence may be a key twice.
    pairs = parse_json(read_bytes(path), str(path), pairs=_Pairs)
    if not isinstance(pairs, _Pairs):
        raise InputError(f"{path}: must be a record with 'predictions', or answers by sent_id")
    answers = Answers(OUTSIDE, name_of(path))
    if 'predictions' in dict(pairs):
        rows = dict(pairs)['predictions']
        if type(rows) is not list:
            raise InputError(f"{path}: 'predictions' must be a list of answers")
        for i, row in enumerate(rows):
            sent_id, answer = _answer(row, f'{path}: predictions[{i}]')
            answers.given[None, sent_id].append(answer)
        return answers
    for key, row in pairs:
        where = f'{path}: sent_id {key[:20]!r}'
        sent_id, answer = _tree_answer(row, where)
        if whole(key, str(path)) != sent_id:
            raise InputError(f'{where}: is the key of a record with sent_id {sent_id}; they must agree')
        answers.given[None, sent_id].append(answer)
    return answers


class _Pairs(list):
    """A JSON record as pairs of key and value, in order."""


def _answer(row: Any, where: str) -> tuple[int, Answer]:
    row = _as_record(row, where)
    if 'pred_box' not in row and 'pred_ann_id' in row:
        raise InputError(f'{where}: names an annotation, not a box, as eval_easy does; give the file of eval_dets')
    return fields.integer(row, 'sent_id', where), Answer(
        fields.box(row, 'pred_box', where, may_be_empty=True), fields.number(row, 'pred_score', where), None,
        _segmentation(row, where))


def _tree_answer(row: Any, where: str) -> tuple[int, Answer]:
    row = _as_record(row, where)
    name = 'boxes' if 'boxes' in row else 'box'
    return fields.integer(row, 'sent_id', where), Answer(fields.box(row, name, where, may_be_empty=True))


def _as_record(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, _Pairs):
        raise InputError(f'{where}: must be a record, not {fields.kind(row)}')
    return dict(row)


def _segmentation(row: dict[str, Any], where: str) -> dict[str, Any] | None:
    return None if row.get('rle') is None else _as_record(row['rle'], f"{where}: 'rle'")


def read_original_predictions(path: str | Path) -> list[Prediction]:
    """The records of an ``eval_dets`` or ``eval_masks`` file.

    Raises:
        InputError: the file is not as described.
    """
    rows = fields.items(parse_json(read_bytes(path), str(path)), 'predictions', str(path))
    return [_prediction(row, f'{path}: predictions[{i}]') for i, row in enumerate(rows)]


def write_original_predictions(path: str | Path, predictions: Sequence[Prediction], accuracy: float,
                      overall_iou: float | None = None) -> None:
    """Write as ``eval_dets`` saves, with ``overall_iou`` as ``eval_masks`` does; both are shares, not percent.

    Raises:
        InputError: the file cannot be written.
    """
    record: dict[str, Any] = {'predictions': [_record(p) for p in predictions], 'acc': accuracy}
    if overall_iou is not None:
        record['iou'] = overall_iou
    write_json(Path(path), record)


def _record(p: Prediction) -> dict[str, Any]:
    record = {'image_id': p.image_id, 'sent_id': p.sent_id, 'sent': p.sent, 'gd_box': list(p.gd_box),
              'pred_det_id': p.pred_det_id, 'pred_box': list(p.pred_box), 'pred_score': p.pred_score}
    return record if p.rle is None else {**record, 'rle': dict(p.rle)}


def _prediction(row: Any, where: str) -> Prediction:
    rle = row.get('rle') if isinstance(row, dict) else None
    if rle is not None and not isinstance(rle, dict):
        raise InputError(f"{where}: 'rle' must be run lengths with size and counts, not {fields.kind(rle)}")
    return Prediction(
        fields.integer(row, 'image_id', where), fields.integer(row, 'sent_id', where), fields.text(row, 'sent', where),
        fields.box(row, 'gd_box', where), fields.integer(row, 'pred_det_id', where),
        fields.box(row, 'pred_box', where, may_be_empty=True), fields.number(row, 'pred_score', where), rle)
