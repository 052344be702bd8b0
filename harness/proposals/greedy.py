"""Proposals by the detector's confidence alone, the same for every expression of an image."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.structures import InstanceData
from torch import Tensor

from harness.detection.outside import NO_CANDIDATE
from harness.errors import InputError
from harness.options import Count, Share, Step, checked
from harness.plugins import Rule
from harness.proposals.nms import class_wise_nms
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures


@PROPOSAL_RULES.register_module(name='greedy')
class Greedy(Rule):
    """Class-wise NMS at 0.3, confidence of at least 0.65: the "Real" baseline of the two-stage papers.

    Source: MAttNet ``tools/run_detect.py``. Its NMS runs on the CPU and therefore counts inclusive pixels and
    suppresses at an IoU of exactly 0.3 too. Where no box of an image is confident enough, the threshold is lowered by
    0.1 until some are.

    Args:
        threshold: least confidence of a proposal.
        nms_iou: IoU from which a box is suppressed by a better one of its class.
        step: how far the threshold is lowered at a time.
        inclusive: the two conventions of MAttNet's detector. False: plain areas, and suppression over the IoU alone, as
            mmdet and torchvision have it.
    """

    @checked
    def __init__(self, threshold: Share = 0.65, nms_iou: Share = 0.3, step: Step = 0.1, inclusive: bool = True) -> None:
        self.threshold, self.nms_iou, self.step, self.inclusive = threshold, nms_iou, step, inclusive

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """The same ``InstanceData`` (best first; empty without regions) for each expression."""
        return [self.propose(image)] * len(expressions)

    def propose(self, image: ImageFeatures) -> InstanceData:
        """The image's proposals, best first."""
        # A box is only ever suppressed by a more confident one, so those under the threshold need not compete.
        return image.once(_suppressed, self._least(confidences(image)), self.nms_iou, self.inclusive)

    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """The hundred best boxes after NMS, of which any threshold proposes the first ones."""
        return Greedy100(nms_iou=self.nms_iou, inclusive=self.inclusive)(image, expressions)

    def kept(self, scores: Tensor) -> int:
        """How many of a ranking's boxes are proposed, given their ``scores`` ``(n,)``, best first."""
        return int((scores >= self._least(scores)).sum())

    def _least(self, scores: Tensor) -> float:
        """The threshold, lowered until some of the scores reach it."""
        threshold = self.threshold
        while bool((scores > NO_CANDIDATE).any()) and not (scores >= threshold).any():
            threshold -= self.step
        return threshold


@PROPOSAL_RULES.register_module(name='greedy-100')
class Greedy100(Rule):
    """The 100 most confident boxes after class-wise NMS: how far recall goes without a threshold.

    Args:
        top: number of proposals.
        nms_iou: as in :class:`Greedy`.
        inclusive: as in :class:`Greedy`.
    """

    recall_only = True

    @checked
    def __init__(self, top: Count = 100, nms_iou: Share = 0.3, inclusive: bool = True) -> None:
        self.top, self.nms_iou, self.inclusive = top, nms_iou, inclusive

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """The same ``InstanceData`` (best first; empty without regions) for each expression."""
        return [self.propose(image)] * len(expressions)

    def propose(self, image: ImageFeatures) -> InstanceData:
        """The image's proposals, best first."""
        return image.once(_best, self.top, self.nms_iou, self.inclusive)


def confidences(image: ImageFeatures) -> Tensor:
    """The ``class_scores`` ``(R, K)`` of the detector, checked for NaN.

    Raises:
        InputError: some are NaN.
    """
    if image.class_scores.isnan().any():
        raise InputError(f'image {image.info.image_id}: the detector gave confidences that are not numbers; '
                         'check its weights (--weights detector=FILE)')
    return image.class_scores


def _best(image: ImageFeatures, top: int, nms_iou: float, inclusive: bool) -> InstanceData:
    """The first ``top`` of the boxes that NMS leaves."""
    # Less confident boxes can't change what NMS does to more confident ones: take as many as it needs.
    scores = confidences(image)
    ranked = scores[scores > NO_CANDIDATE].sort(descending=True).values
    competitors = 4 * top
    while True:
        least = ranked[min(competitors, len(ranked)) - 1] if len(ranked) else 0.
        proposals = _suppressed(image, least, nms_iou, inclusive)
        if len(proposals) >= top or competitors >= len(ranked):
            return proposals[:top]
        competitors *= 2


def _suppressed(image: ImageFeatures, least: float | Tensor, nms_iou: float, inclusive: bool) -> InstanceData:
    """NMS over the boxes of at least this confidence, category by category as the original; best first."""
    there = (image.class_scores >= least) & (image.class_scores > NO_CANDIDATE)
    labels, regions = there.T.nonzero(as_tuple=True)
    boxes, scores = image.class_boxes[regions, labels], image.class_scores[regions, labels]
    kept = class_wise_nms(boxes, labels, scores, nms_iou, offset=int(inclusive),
                          suppress_equal=inclusive).nonzero()[:, 0]
    kept = kept[scores[kept].argsort(descending=True, stable=True)]
    return InstanceData(bboxes=boxes[kept], scores=scores[kept], labels=labels[kept], det_scores=scores[kept])
