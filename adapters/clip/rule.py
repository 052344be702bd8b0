"""Ref-NMS with CLIP in the place of its network: relatedness without any training."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.structures import InstanceData

from adapters.clip.grounder import ClipGrounder
from adapters.clip.options import Isolate, Prompt, Sentences
from adapters.clip.scoring import Scorer
from harness.files.weights import Weights
from harness.options import Count, Number, Share, checked
from harness.proposals.candidates import find_candidates
from harness.proposals.nms import class_wise_nms
from harness.proposals.ranking import RankedRule, ordered
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures


@PROPOSAL_RULES.register_module(name='clip-nms')
class ClipNMS(RankedRule):
    """Ref-NMS whose relatedness is CLIP's: its softmax over the image's candidates. Weights are not shipped.

    Candidates, the product with confidence and suppression are those of Ref-NMS (:mod:`harness.proposals.ref_nms`).

    Args:
        weights: the folder of transformers' files.
        threshold: fused score that all but the best must exceed.
        top: most proposals.
        delta: confidence that a candidate must exceed.
        nms_iou: IoU over which a box is suppressed by a better one of its class.
        isolate: as in :class:`adapters.clip.grounder.ClipGrounder`, and so are the others.
    """

    weights = 'clip'
    in_folder = True
    packages = ClipGrounder.packages
    not_shipped = ClipGrounder.not_shipped

    @checked
    def __init__(self, weights: Weights, threshold: Number | None = None, top: Count | None = None,
                 delta: Share = 0.05, nms_iou: Share = 0.3, isolate: Isolate = 'crop+blur',
                 prompt: Prompt = 'a photo of {}', neutral: Sentences = '', square: bool = True,
                 batch: Count = 64) -> None:
        super().__init__(threshold, top)
        self.delta, self.nms_iou = float(delta), float(nms_iou)
        self.score = Scorer(weights, isolate, prompt, neutral, square, batch)

    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """What NMS on relatedness × confidence keeps for each expression, with the ``relatedness`` of each box."""
        found = find_candidates(image.class_boxes, image.class_scores, self.delta)
        if not expressions or not len(found):
            return [ordered(found, found.det_scores, found.det_scores > 0) for _ in expressions]
        relatedness = self.score(image, [e.sent for e in expressions], found.bboxes).softmax(1)
        fused = relatedness * found.det_scores
        kept = class_wise_nms(found.bboxes, found.labels, fused, self.nms_iou)
        ranked = [ordered(found, *own) for own in zip(fused, kept, strict=True)]
        for boxes, mine in zip(ranked, relatedness, strict=True):
            boxes.relatedness = mine[boxes.index]
        return ranked
