"""Ref-NMS with a sum in the place of the product."""
from __future__ import annotations

from torch import Tensor

from harness.proposals.ref_nms import RefNMSRule
from harness.registry import PROPOSAL_RULES
from harness.weights import Weights


@PROPOSAL_RULES.register_module(name='additive')
class Additive(RefNMSRule):
    """A weighted mean of relatedness and confidence.

    Args:
        weights: of Ref-NMS.
        threshold: mean that all but the best exceed.
        top: most proposals.
        share: weight of relatedness, from 0 (confidence alone) to 1 (relatedness alone).
        delta: confidence that a candidate exceeds; ``None`` as trained.
        nms_iou: IoU over which a box is suppressed; ``None`` as trained.
    """

    def __init__(self, weights: Weights, threshold: float | None = None, top: int | None = None, share: float = 0.5,
                 delta: float | None = None, nms_iou: float | None = None) -> None:
        super().__init__(weights, delta, nms_iou, threshold, top)
        self.share = self.number('share', share, 0, 1)

    def fused(self, relatedness: Tensor, confidence: Tensor) -> Tensor:
        return self.share * relatedness + (1 - self.share) * confidence
