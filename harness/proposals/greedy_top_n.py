"""Proposals by the detector's confidence alone, the same number for every image."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Le
from mmengine.structures import InstanceData

from harness.options import Number, Share, checked
from harness.proposals.greedy import Greedy100
from harness.proposals.ranking import RankedRule
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures

MOST = 100


@PROPOSAL_RULES.register_module(name='greedy-top-n')
class GreedyTopN(RankedRule):
    """The N most confident boxes after greedy's class-wise NMS, whatever their confidence.

    Args:
        top: N, at most 100.
        threshold: confidence that all but the best must exceed.
        nms_iou: as in ``greedy``.
    """

    @checked
    def __init__(self, top: Annotated[int, Ge(1), Le(MOST)] | None = None, threshold: Number | None = None,
                 nms_iou: Share = 0.3) -> None:
        super().__init__(threshold, top)
        self.hundred = Greedy100(MOST, float(nms_iou))

    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """The same ranking for each expression."""
        return self.hundred(image, expressions)
