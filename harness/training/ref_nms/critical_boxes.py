"""The boxes that label Ref-NMS's regions: those of the referent and of contextual objects."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.boxes import xywh_to_xyxy
from harness.types import XYWH, Dataset
from harness.words.critical_objects import CriticalObjects
from harness.words.vectors import WordVectors


def critical_boxes(dataset: Dataset, split: str, vectors: WordVectors) -> dict[int, Tensor]:
    """Boxes by ``sent_id``: the referent first, then contextual objects, ``(t, 4)`` xyxy image pixels."""
    expressions = dataset.split(split)
    context = CriticalObjects(vectors).context(expressions, dataset.annotations or {})
    return {e.sent_id: _xyxy([e.gt_xywh, *(a.xywh for a in objects)])
            for e, objects in zip(expressions, context, strict=True)}


def _xyxy(boxes: Sequence[XYWH]) -> Tensor:
    return xywh_to_xyxy(torch.tensor(boxes, dtype=torch.float64))
