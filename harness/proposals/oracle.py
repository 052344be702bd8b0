"""The best candidate for the referent, told by its annotation: how far any rule could get with this detector."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from harness.boxes import pairwise_iou, xywh_to_xyxy
from harness.proposals.candidates import find_candidates
from harness.proposals.confidence import Confidence
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures

HIT_IOU = 0.5


@PROPOSAL_RULES.register_module(name='oracle')
class Oracle(Confidence):
    """The box with the best IoU with the referent, then what ``confidence`` proposes: an upper bound, not a competitor.

    No rule that chooses among the detector's boxes has a higher recall of referents. Where some box over ``delta``
    hits the referent, boxes under it, whose labels the detector itself does not believe, are ignored.

    Args:
        threshold: confidence that the others must exceed.
        top: most proposals.
        delta: confidence that a candidate must exceed.
        nms_iou: IoU over which one of the others is suppressed by a better one of its class.
    """

    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """One ranking per expression; the first box's score is 1 more than its confidence."""
        others = self.ranking(image)
        every = image.once(_every_box)
        if not len(every):
            return [others] * len(expressions)
        iou = pairwise_iou(every.bboxes, _referents(expressions).to(every.bboxes.device)).nan_to_num()
        believed = (iou > HIT_IOU) & (every.det_scores > self.delta)[:, None]
        return [self._first(every[int(best)], others) for best in (iou + believed).argmax(dim=0)]

    def _first(self, best: InstanceData, others: InstanceData) -> InstanceData:
        """The best one before the others that it does not suppress."""
        suppressed = (others.labels == best.labels) & (pairwise_iou(others.bboxes, best.bboxes)[:, 0] > self.nms_iou)
        left = others[~suppressed]
        return InstanceData(bboxes=torch.cat((best.bboxes, left.bboxes)), labels=torch.cat((best.labels, left.labels)),
                            scores=torch.cat((best.det_scores + 1, left.scores)),
                            det_scores=torch.cat((best.det_scores, left.det_scores)))


def _every_box(image: ImageFeatures) -> InstanceData:
    return find_candidates(image.class_boxes, image.class_scores, -1.)


def _referents(expressions: Sequence[Expression]) -> Tensor:
    """``(E, 4)`` float64 xyxy."""
    return xywh_to_xyxy(torch.tensor([e.gt_xywh for e in expressions], dtype=torch.float64).reshape(-1, 4))
