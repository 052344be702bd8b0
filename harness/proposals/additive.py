"""Ref-NMS with a weighted sum instead of the product."""
from __future__ import annotations

from torch import Tensor

from harness.files.weights import Weights
from harness.options import Count, Number, Share, checked
from harness.proposals.ref_nms import RefNMSRule
from harness.registry import PROPOSAL_RULES


@PROPOSAL_RULES.register_module(name='additive')
class Additive(RefNMSRule):
    """Ranks by a weighted mean of relatedness and confidence.

    Args:
        weights: of Ref-NMS.
        threshold: mean that all but the best must exceed.
        top: most proposals.
        share: weight of relatedness, from 0 (confidence alone) to 1 (relatedness alone).
        delta: confidence that a candidate must exceed; ``None`` as trained.
        nms_iou: IoU over which a box is suppressed; ``None`` as trained.
    """

    @checked
    def __init__(self, weights: Weights, threshold: Number | None = None, top: Count | None = None, share: Share = 0.5,
                 delta: Share | None = None, nms_iou: Share | None = None) -> None:
        super().__init__(weights, delta, nms_iou, threshold, top)
        self.share = float(share)

    def fused(self, relatedness: Tensor, confidence: Tensor) -> Tensor:
        return self.share * relatedness + (1 - self.share) * confidence
