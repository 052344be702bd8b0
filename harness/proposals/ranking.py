"""The base of most rules: they rank the candidates of an image per expression and propose the best of them."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from mmengine.structures import InstanceData
from torch import Tensor

from harness.options import Count, Number, checked
from harness.plugins import Rule
from harness.types import Expression, ImageFeatures

#: How many boxes are proposed where neither a threshold nor a number is asked for: as many as in the paper's tables.
DEFAULT_TOP = 8


class RankedRule(Rule):
    """Always proposes the best box, and those others whose score exceeds the threshold, at most ``top`` in all.

    Studies call ``ranked`` and ``kept`` separately to try many thresholds on one ranking.

    Args:
        threshold: score that a proposal must exceed; ``None``: no threshold.
        top: most proposals; ``None``: no limit, or :data:`DEFAULT_TOP` without a threshold.

    Raises:
        InputError: an option is not such a number.
    """

    @checked
    def __init__(self, threshold: Number | None = None, top: Count | None = None) -> None:
        self.threshold = None if threshold is None else float(threshold)
        self.top = DEFAULT_TOP if threshold is None and top is None else top

    @abstractmethod
    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """Everything that could be proposed, best first, one ``InstanceData`` per expression."""

    def kept(self, scores: Tensor) -> int:
        """How many of a ranking's boxes are proposed, given their ``scores`` ``(n,)``, best first."""
        count = len(scores) if self.threshold is None else max(1, int((scores > self.threshold).sum()))
        return min(count, len(scores) if self.top is None else self.top, len(scores))

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """The best part of each ranking."""
        return [boxes[:self.kept(boxes.scores)] for boxes in self.ranked(image, expressions)]


def ordered(candidates: InstanceData, scores: Tensor, kept: Tensor) -> InstanceData:
    """The candidates that are kept, best first, equal scores in the order of the candidates.

    Args:
        candidates: n boxes with ``bboxes``, ``labels``, ``det_scores``.
        scores: ``(n,)``.
        kept: ``(n,)`` bool.

    Returns:
        ``bboxes``, ``scores``, ``labels``, ``det_scores``, and ``index`` into the candidates.
    """
    index = kept.nonzero()[:, 0]
    index = index[scores[index].argsort(descending=True, stable=True)]
    return InstanceData(bboxes=candidates.bboxes[index], scores=scores[index], labels=candidates.labels[index],
                        det_scores=candidates.det_scores[index], index=index)
