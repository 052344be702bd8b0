"""Ref-NMS without the detector's confidence."""
from __future__ import annotations

from torch import Tensor

from harness.files.weights import Weights
from harness.options import Count, Number, Share, checked
from harness.proposals.ref_nms import RefNMSRule
from harness.registry import PROPOSAL_RULES


@PROPOSAL_RULES.register_module(name='relatedness')
class Relatedness(RefNMSRule):
    """Ref-NMS's relatedness alone; confidence only says which boxes are candidates.

    Args:
        weights: of Ref-NMS.
        threshold: relatedness that all but the best must exceed.
        top: most proposals.
        delta: confidence that a candidate must exceed; ``None`` as trained.
        nms_iou: IoU over which a box is suppressed; ``None`` as trained.
    """

    @checked
    def __init__(self, weights: Weights, threshold: Number | None = None, top: Count | None = None,
                 delta: Share | None = None, nms_iou: Share | None = None) -> None:
        super().__init__(weights, delta, nms_iou, threshold, top)

    def fused(self, relatedness: Tensor, confidence: Tensor) -> Tensor:
        return relatedness
