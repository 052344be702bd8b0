"""Greedy NMS over all classes together: of several boxes on one object, only one is left."""
from __future__ import annotations

from mmengine.structures import InstanceData

from harness.proposals.confidence import Confidence
from harness.proposals.nms import class_wise_nms
from harness.proposals.ranking import ordered
from harness.registry import PROPOSAL_RULES


@PROPOSAL_RULES.register_module(name='class-agnostic')
class ClassAgnostic(Confidence):
    """Ranks by confidence after NMS over all classes together, in the convention of ``greedy``.

    Args:
        threshold: confidence that all but the best must exceed.
        top: most proposals.
        delta: confidence that a candidate must exceed.
        nms_iou: IoU from which a box is suppressed by a better one of any class.
    """

    def suppress(self, found: InstanceData) -> InstanceData:
        one_class = found.labels.new_zeros(len(found.labels))
        kept = class_wise_nms(found.bboxes, one_class, found.det_scores, self.nms_iou, offset=1, suppress_equal=True)
        return ordered(found, found.det_scores, kept)
