"""Ref-NMS blind to text: what training on critical objects brings without the sentence."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmengine.structures import InstanceData

from harness.files.metadata import read_metadata
from harness.files.weights import Weights
from harness.options import Count, Number, Share, checked
from harness.proposals.ref_nms import RefNMSRule
from harness.proposals.ref_nms_metadata import RefNMSMetadata
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures


def all_saying(constant: tuple[str, ...], expressions: Sequence[Expression]) -> list[Expression]:
    """The expressions with the same constant words instead of their own."""
    return [replace(e, sent=' '.join(constant), tokens=constant) for e in expressions]


@PROPOSAL_RULES.register_module(name='ref-nms-blind')
class RefNMSBlind(RefNMSRule):
    """Ref-NMS trained and run with one constant instead of every sentence.

    Args:
        weights: of a network trained in this way; ``meta['sentence']`` is the constant, empty if it is missing.
        threshold: fused score that all but the best must exceed; ``None`` takes the one stored with the weights.
        top: most proposals.
        delta: confidence that a candidate must exceed; ``None`` as trained.
        nms_iou: IoU over which a box is suppressed; ``None`` as trained.
    """

    weights = 'ref-nms-blind'

    @checked
    def __init__(self, weights: Weights, threshold: Number | None = None, top: Count | None = None,
                 delta: Share | None = None, nms_iou: Share | None = None) -> None:
        meta = read_metadata(weights, RefNMSMetadata)
        if threshold is None and top is None:
            threshold = meta.threshold
        super().__init__(weights, delta, nms_iou, threshold, top)
        self.constant = tuple(meta.sentence.split())

    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """The same ranking for each expression."""
        return super().ranked(image, all_saying(self.constant, expressions[:1])) * len(expressions)
