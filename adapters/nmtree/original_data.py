"""NMTree's prepared data: the trees in ``data_dep.pth``, and the visual features that it was trained on.

Sources, all of daqingliu/NMTree: ``misc/parser.py`` (``prepare_data``, ``main``) writes with ``torch.save`` the trees
by ``sent_id``: ``{tree, tokens, tags, deps}``, a tree nested as ``{(position, word, class, tag, label): [below]}``;
``utils/gt_loader.py`` and ``utils/det_loader.py`` read ``matt_res_gt_feats.pth`` and ``matt_res_det_feats.pth`` as one
array (boxes, 3072) for each ``sent_id``, boxes in the order of the image's ``ann_ids`` or of its detections.
"""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters.nmtree.trees import Parse, from_nested
from harness.errors import InputError
from harness.files import fields, torch_file


def read_trees(path: str | Path) -> dict[int, Parse]:
    """The trees of ``data_dep.pth`` by ``sent_id``.

    Raises:
        InputError: the file is not as described, or a tree is not one of its tokens.
    """
    return {sent_id: _tree(row, f'{path}: sent_id {sent_id}') for sent_id, row in _by_sentence(path).items()}


def _tree(row: Any, where: str) -> Parse:
    parse = from_nested(fields.required(row, 'tree', where), where)
    said = tuple(tuple(fields.words(row, key, where)) for key in ('tokens', 'tags', 'deps'))
    if said != parse[:3]:
        raise InputError(f"{where}: its 'tokens', 'tags' and 'deps' are not those of its 'tree'")
    return parse


def read_visual_features(path: str | Path) -> dict[int, Tensor]:
    """``(boxes, F)`` float32 by ``sent_id`` of ``matt_res_gt_feats.pth`` or ``matt_res_det_feats.pth``.

    Raises:
        InputError: the file is not as described, or a number is not finite.
    """
    features = {sent_id: _features(row, f'{path}: sent_id {sent_id}') for sent_id, row in _by_sentence(path).items()}
    if len({rows.shape[1] for rows in features.values()}) > 1:
        raise InputError(f'{path}: some sentences have longer features than others')
    return features


def _features(row: Any, where: str) -> Tensor:
    if not isinstance(row, np.ndarray | Tensor) or row.ndim != 2:
        raise InputError(f'{where}: must be an array of boxes by features, not {fields.kind(row)}')
    rows = torch.as_tensor(row).to(torch.float32)
    if not bool(torch.isfinite(rows).all()):
        raise InputError(f'{where}: holds numbers that are not finite; extract it again')
    return rows


def _by_sentence(path: str | Path) -> Mapping[int, Any]:
    record = torch_file.load(path)
    if not isinstance(record, Mapping) or not record or not all(type(sent_id) is int for sent_id in record):
        raise InputError(f'{path}: must hold one record per sent_id')
    return record
