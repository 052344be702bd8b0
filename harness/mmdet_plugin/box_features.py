"""The features that Ref-NMS takes from a box in any two-stage mmdet detector.

The original pools the one C4 map at the candidates and runs a residual stage of its own on the crops. A detector with
a feature pyramid has no such stage, so there are two ways, by name in :data:`BOX_FEATURES`.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from harness.detection import two_stage_parts as parts


def head_features(roi_head: Any, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
    """The features from which the head of the detector classifies boxes, averaged over cells: ``(n, F, 1, 1)``,
    arguments as of :func:`two_stage_parts.crops`."""
    return parts.head_features(roi_head, parts.crops(roi_head, maps, rois)).mean(dim=(2, 3), keepdim=True)


#: The crops are for the residual stage of Ref-NMS.
BOX_FEATURES = {'crops': parts.crops, 'head': head_features}


def channels(roi_head: Any, name: str) -> int:
    """C of :func:`two_stage_parts.crops` or F of :func:`head_features`."""
    return parts.crop_channels(roi_head) if name == 'crops' else parts.head_channels(roi_head)
