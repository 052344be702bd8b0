"""Ref-NMS without its relatedness: what its candidates, its NMS and its threshold bring by themselves."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.structures import InstanceData

from harness.options import Count, Number, Share, checked
from harness.proposals.candidates import find_candidates
from harness.proposals.greedy import confidences
from harness.proposals.nms import class_wise_nms
from harness.proposals.ranking import RankedRule, ordered
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures


@PROPOSAL_RULES.register_module(name='confidence')
class Confidence(RankedRule):
    """Ranks by confidence alone, with the candidates, the NMS and the threshold of Ref-NMS.

    It differs from ``greedy`` in that plain areas count instead of inclusive pixels, an IoU of exactly 0.3 does not
    suppress, and an image without confident boxes keeps its best one instead of having the threshold lowered.

    Args:
        threshold: confidence that all but the best must exceed.
        top: most proposals.
        delta: confidence that a candidate must exceed.
        nms_iou: IoU over which a box is suppressed by a better one of its class.
    """

    @checked
    def __init__(self, threshold: Number | None = None, top: Count | None = None, delta: Share = 0.05,
                 nms_iou: Share = 0.3) -> None:
        super().__init__(threshold, top)
        self.delta, self.nms_iou = float(delta), float(nms_iou)

    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """The same ranking for each expression."""
        return [self.ranking(image)] * len(expressions)

    def ranking(self, image: ImageFeatures) -> InstanceData:
        """The image's candidates after NMS, best first."""
        return image.once(self._ranking)

    def _ranking(self, image: ImageFeatures) -> InstanceData:
        return self.suppress(find_candidates(image.class_boxes, confidences(image), self.delta))

    def suppress(self, found: InstanceData) -> InstanceData:
        """The ranking of candidates, which come in any order."""
        kept = class_wise_nms(found.bboxes, found.labels, found.det_scores, self.nms_iou)
        return ordered(found, found.det_scores, kept)
