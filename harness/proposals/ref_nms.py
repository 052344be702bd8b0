"""Ref-NMS as proposal rules: proposals that know the expression."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from harness.detection.folding import fold
from harness.errors import InputError
from harness.files.metadata import read_metadata
from harness.files.weights import Weights, moved_to, shared
from harness.options import Count, Number, Share, checked
from harness.proposals.candidates import find_candidates
from harness.proposals.ranking import RankedRule
from harness.proposals.ref_nms_metadata import RefNMSMetadata
from harness.proposals.ref_nms_network import RefNMS, Related, load_ref_nms, rank_by
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures
from harness.words.vectors import WordEmbedding


class Scores:
    """Scores ``(E, n)`` as a key: equal where shape, type and numbers are."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self._numbers = values.shape, values.dtype, values.cpu().numpy().tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scores) and self._numbers == other._numbers

    def __hash__(self) -> int:
        return hash(self._numbers)


class RefNMSRule(RankedRule):
    """The base of rules with this network. Relatedness of the candidates of an image is computed once for all rules
    with the same weights, and a ranking once for all rules with the same fused scores.

    Args:
        weights: the trained network.
        delta: confidence that a candidate must exceed; ``None`` as trained.
        nms_iou: IoU over which a box is suppressed; ``None`` as trained.
        threshold: as in :class:`RankedRule`.
        top: as in :class:`RankedRule`.
    """

    weights = 'ref-nms-b'

    @checked
    def __init__(self, weights: Weights, delta: Share | None = None, nms_iou: Share | None = None,
                 threshold: Number | None = None, top: Count | None = None) -> None:
        super().__init__(threshold, top)
        self.network, self.vocabulary = shared(weights, _load)
        self.delta = self.network.delta if delta is None else delta
        self.nms_iou = self.network.nms_iou if nms_iou is None else nms_iou

    def fused(self, relatedness: Tensor, confidence: Tensor) -> Tensor:
        """``(E, n)`` relatedness and ``(n,)`` confidence to the ``(E, n)`` score of the ranking."""
        return relatedness * confidence

    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """As :meth:`RefNMS.rank`; empty for an image without regions."""
        if not expressions:
            return []
        related = self.related(image, expressions)
        scores = self.fused(related.relatedness, related.candidates.det_scores)
        return image.once(_ranked, Scores(scores), related, self.nms_iou)

    def related(self, image: ImageFeatures, expressions: Sequence[Expression]) -> Related:
        """The image's candidates and their relatedness."""
        return image.once(self.relate, self.network, self.vocabulary, self.delta, tuple(expressions))

    @staticmethod
    @torch.no_grad()
    def relate(image: ImageFeatures, network: RefNMS, vocabulary: WordEmbedding, delta: float,
               expressions: Sequence[Expression]) -> Related:
        """The computation that :meth:`related` caches; it depends on its arguments alone."""
        network = moved_to(network, image.feature_map.device)
        if image.class_scores.isnan().any() or image.feature_map.isnan().any():
            raise InputError(f'image {image.info.image_id}: the detector gave features or confidences that are not '
                             'numbers; check its weights (--weights detector=FILE)')
        found = find_candidates(image.class_boxes, image.class_scores, delta, network.delta_step)
        sentences = [vocabulary(e.tokens).to(image.feature_map) for e in expressions]
        pooled = image.pool(found.bboxes)
        if pooled.shape[1] != network.in_channels:
            raise InputError(f'image {image.info.image_id}: Ref-NMS takes crops of {network.in_channels} channels, the '
                             f'detector gives {pooled.shape[1]}; name the detector that it was trained with by '
                             '--weights detector=FILE, or a Ref-NMS trained on this one')
        return network.relate(pooled, found, sentences)


def _load(weights: Weights) -> tuple[RefNMS, WordEmbedding]:
    network, vocabulary = load_ref_nms(weights)
    fold(network.head)
    return network, vocabulary


def _ranked(_: ImageFeatures, scores: Scores, related: Related, nms_iou: float) -> list[InstanceData]:
    return rank_by(scores.values, related, nms_iou)


@PROPOSAL_RULES.register_module(name='ref-nms-b')
class RefNMSB(RefNMSRule):
    """Ref-NMS trained with binary XE: it proposes the best box, and those with a fused score above the threshold.

    Args:
        weights: the trained network.
        threshold: fused score that a proposal must exceed; ``None`` takes the one stored with the weights.
        delta: confidence that a candidate must exceed; ``None`` as trained.
        nms_iou: IoU over which a box is suppressed; ``None`` as trained.
    """

    weights = 'ref-nms-b'  # again: it is read from here without an import

    @checked
    def __init__(self, weights: Weights, threshold: Number | None = None, delta: Share | None = None,
                 nms_iou: Share | None = None) -> None:
        threshold = read_metadata(weights, RefNMSMetadata).threshold if threshold is None else threshold
        if threshold is None:
            raise InputError(f'{weights.path}: holds no threshold; give --set {self.weights}.threshold=VALUE')
        super().__init__(weights, delta, nms_iou, threshold)


@PROPOSAL_RULES.register_module(name='ref-nms-b-100')
class RefNMSB100(RefNMSRule):
    """Ref-NMS trained with binary XE: the 100 boxes of the best fused score.

    Args:
        weights: the trained network.
        top: number of proposals.
        delta: as in :class:`RefNMSB`.
        nms_iou: as in :class:`RefNMSB`.
    """

    weights = 'ref-nms-b'  # again, as above
    recall_only = True

    @checked
    def __init__(self, weights: Weights, top: Count = 100, delta: Share | None = None,
                 nms_iou: Share | None = None) -> None:
        super().__init__(weights, delta, nms_iou, top=top)
