"""The features that Ref-NMS takes from a box in any two-stage mmdet detector.

The original pools the one C4 map at the candidates and runs a residual stage of its own on the crops. A detector with
a feature pyramid has no such stage, so there are two ways, by name in :data:`BOX_FEATURES`.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CROP = 7


def crops(roi_head: nn.Module, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
    """The crops of the detector, for the residual stage of Ref-NMS: ``(n, C, 7, 7)``.

    Larger crops are averaged down (mmdet's C4 detectors cut 14 × 14). A cascade crops as in its last stage.

    Args:
        roi_head: of the detector.
        maps: the levels of the feature pyramid, or the one C4 map, of the batch.
        rois: ``(n, 5)`` image index in the batch, then xyxy in network-input pixels.
    """
    extractor: Any = _last(roi_head.bbox_roi_extractor)
    cut = extractor(tuple(maps[:extractor.num_inputs]), rois)
    return cut if max(cut.shape[-2:]) <= CROP else F.adaptive_avg_pool2d(cut, CROP)


def head_features(roi_head: Any, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
    """The features from which the head of the detector classifies boxes: ``(n, F, 1, 1)``, arguments as of
    :func:`crops`.

    In mmdet's C4 detectors the average of the shared residual stage, in its others the last shared layer of the box
    head; a cascade's is that of the last stage.
    """
    extractor, box_head = _last(roi_head.bbox_roi_extractor), _last(roi_head.bbox_head)
    cut = extractor(tuple(maps[:extractor.num_inputs]), rois)
    seen: list[Tensor] = []
    watch = box_head.fc_cls.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        box_head(roi_head.shared_head(cut) if roi_head.with_shared_head else cut)
    finally:
        watch.remove()
    return torch.flatten(seen[0], 1)[..., None, None]


BOX_FEATURES = {'crops': crops, 'head': head_features}


def channels(roi_head: Any, name: str) -> int:
    """C of :func:`crops` or F of :func:`head_features`."""
    if name == 'crops':
        return int(_last(roi_head.bbox_roi_extractor).out_channels)
    return int(_last(roi_head.bbox_head).fc_cls.in_features)


def _last(part: Any) -> Any:
    """The part itself, or the last stage of a cascade."""
    return part[-1] if isinstance(part, nn.ModuleList | list) else part
