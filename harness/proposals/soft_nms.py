"""Soft-NMS: overlapped boxes lose confidence instead of being removed.

Source: Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code" (ICCV 2017), Eqs. 2 (linear) and 3
(Gaussian), σ = 0.5, N_t = 0.3; inclusive pixels, 0.001 as the least score and single precision, as
bharatsingh430/soft-nms ``lib/nms/cpu_nms.pyx`` has them.

Among equal scores, as they are when the next box is taken, the earlier box comes first, as in
:func:`harness.proposals.nms.class_wise_nms`. The original and mmcv give the same numbers otherwise, but choose among
equal scores by the order to which their swapping has brought the boxes.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from mmengine.structures import InstanceData
from torch import Tensor

from harness.boxes import iou
from harness.options import Count, Number, Share, checked
from harness.proposals.confidence import Confidence
from harness.proposals.ranking import ordered
from harness.registry import PROPOSAL_RULES

LEAST_SCORE = 1e-3
#: Bounded, because the square of an IoU is divided by it in single precision.
Sigma = Annotated[float, Ge(1e-9), Le(1e9)]


@PROPOSAL_RULES.register_module(name='soft-nms')
class SoftNMS(Confidence):
    """Class-wise Soft-NMS on confidence; ``scores`` are the reduced confidences.

    Args:
        threshold: score that all but the best must exceed.
        top: most proposals.
        delta: confidence that a candidate must exceed.
        nms_iou: linear: IoU from which a box loses confidence, by a factor of 1 - IoU.
        method: ``'linear'`` or ``'gaussian'``.
        sigma: Gaussian: a box loses confidence by a factor of exp(-IoU² / sigma).
    """

    @checked
    def __init__(self, threshold: Number | None = None, top: Count | None = None, delta: Share = 0.05,
                 nms_iou: Share = 0.3, method: Literal['linear', 'gaussian'] = 'linear', sigma: Sigma = 0.5) -> None:
        super().__init__(threshold, top, delta, nms_iou)
        self.method, self.sigma = method, float(sigma)

    def suppress(self, found: InstanceData) -> InstanceData:
        scores, kept = found.det_scores.clone(), torch.zeros_like(found.labels, dtype=torch.bool)
        for label in found.labels.unique().tolist():
            members = (found.labels == label).nonzero()[:, 0]
            left, chosen = soften(found.bboxes[members], found.det_scores[members], self._factor)
            scores[members], kept[members] = left.to(scores), chosen.to(kept)
        return ordered(found, scores, kept)

    def _factor(self, iou: np.ndarray) -> np.ndarray:
        """The factor on the scores of boxes that overlap a better one by this IoU."""
        if self.method == 'linear':
            return np.where(iou >= self.nms_iou, 1 - iou, np.float32(1))
        return np.exp(-(iou * iou / np.float32(self.sigma)).astype(np.float64)).astype(np.float32)


def soften(boxes: Tensor, scores: Tensor, factor: Callable[[np.ndarray], np.ndarray]) -> tuple[Tensor, Tensor]:
    """Soft-NMS of one class: the best box is taken, those that overlap it lose confidence, and so on.

    Args:
        boxes: ``(n, 4)`` xyxy, inclusive pixels.
        scores: ``(n,)``.
        factor: of the scores of boxes by their IoU with the one that is taken.

    Returns:
        ``(n,)`` reduced scores, and ``(n,)`` bool, which boxes are kept.
    """
    corners = boxes.cpu().numpy()
    left, kept, waiting = scores.cpu().numpy().copy(), np.zeros(len(scores), bool), np.ones(len(scores), bool)
    while waiting.any():
        best = int(np.where(waiting, left, -np.inf).argmax())  # the first among equals
        kept[best], waiting[best] = True, False
        left[waiting] *= factor(iou(corners[best], corners, offset=1))[waiting]
        waiting &= left >= LEAST_SCORE
    return torch.from_numpy(left), torch.from_numpy(kept)
