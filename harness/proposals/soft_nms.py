"""Soft-NMS: overlapped boxes lose confidence instead of being removed.

Source: Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code" (ICCV 2017), Eqs. 2 (linear) and 3
(Gaussian), σ = 0.5, N_t = 0.3; inclusive pixels and 0.001 as the least score, as bharatsingh430/soft-nms
``lib/nms/cpu_nms.pyx`` has them.
"""
from __future__ import annotations

import torch
from mmcv.ops import soft_nms
from mmengine.structures import InstanceData

from harness.errors import InputError
from harness.proposals.confidence import Confidence
from harness.proposals.ranking import ordered
from harness.registry import PROPOSAL_RULES

METHODS = ('linear', 'gaussian')
LEAST_SCORE = 1e-3


@PROPOSAL_RULES.register_module(name='soft-nms')
class SoftNMS(Confidence):
    """Class-wise Soft-NMS on confidence: ``scores`` are what it leaves of them.

    Args:
        threshold: score that all but the best exceed.
        top: most proposals.
        delta: confidence that a candidate exceeds.
        nms_iou: linear: IoU from which a box loses confidence, by a factor of 1 - IoU.
        method: ``'linear'`` or ``'gaussian'``.
        sigma: Gaussian: a box loses confidence by a factor of exp(-IoU² / sigma).
    """

    def __init__(self, threshold: float | None = None, top: int | None = None, delta: float = 0.05,
                 nms_iou: float = 0.3, method: str = 'linear', sigma: float = 0.5) -> None:
        super().__init__(threshold, top, delta, nms_iou)
        if method not in METHODS:
            raise InputError(f'{self.name}.method={method}: must be one of {", ".join(METHODS)}')
        self.method, self.sigma = method, self.number('sigma', sigma)
        if self.sigma <= 0:
            raise InputError(f'{self.name}.sigma={sigma}: must be over 0')

    def suppress(self, found: InstanceData) -> InstanceData:
        scores, kept = found.det_scores.clone(), torch.zeros_like(found.labels, dtype=torch.bool)
        for label in found.labels.unique().tolist():
            members = (found.labels == label).nonzero()[:, 0]
            left, chosen = soft_nms(found.bboxes[members], found.det_scores[members], self.nms_iou, self.sigma,
                                    LEAST_SCORE, self.method, offset=1)
            scores[members[chosen]], kept[members[chosen]] = left[:, 4], True
        return ordered(found, scores, kept)
