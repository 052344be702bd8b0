"""Proposals of the classes that the sentence names: what the nouns of the text bring without training."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from harness.options import Cosine, Count, Number, Share, checked
from harness.proposals.confidence import Confidence
from harness.proposals.ranking import ordered
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures
from harness.words.critical_objects import CriticalObjects
from harness.words.vectors import WordVectors, load_vectors


@PROPOSAL_RULES.register_module(name='category-name')
class CategoryName(Confidence):
    """Ranks by confidence the boxes whose class a noun of the sentence names; all boxes if no class is named.

    Nouns, word vectors and γ are those of the pseudo ground truth (:mod:`harness.words.critical_objects`).

    Args:
        threshold: score that all but the best must exceed.
        top: most proposals.
        delta: confidence that a candidate must exceed.
        nms_iou: IoU over which a box is suppressed by a better one of its class.
        others: factor on the confidence of boxes of other classes; 0 leaves them out.
        gamma: cosine over which a noun names a class; ``None`` takes the one that belongs to the vectors.
        vectors: of words; ``None`` takes the shipped ones.
    """

    with_vectors = True

    @checked
    def __init__(self, threshold: Number | None = None, top: Count | None = None, delta: Share = 0.05,
                 nms_iou: Share = 0.3, others: Share = 0., gamma: Cosine | None = None,
                 vectors: WordVectors | None = None) -> None:
        super().__init__(threshold, top, delta, nms_iou)
        self.others = float(others)
        self.finder = CriticalObjects(load_vectors() if vectors is None else vectors, gamma)

    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """One ranking per expression."""
        # A class keeps its boxes' order whatever its factor, so that NMS is the same for all expressions.
        boxes = self.ranking(image)
        named = self.named(image, expressions)[:, boxes.labels]
        factor = torch.where(named | ~named.any(dim=1, keepdim=True), 1., self.others)
        return [ordered(boxes, own * boxes.scores, own > 0) for own in factor]

    def named(self, image: ImageFeatures, expressions: Sequence[Expression]) -> Tensor:
        """``(E, K)`` bool: which of the image's classes a noun of each sentence names."""
        similarity = self.finder.similarity([e.sent for e in expressions], image.classes)
        return torch.from_numpy(similarity > self.finder.gamma).to(image.class_scores.device)
