"""Proposals that another program found (``--candidates FILE``)."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData

from harness.data.candidates import Candidates
from harness.errors import InputError
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures


@PROPOSAL_RULES.register_module(name='given')
class Given:
    """Outside candidates as they are, best first: needs no detector, for recall only.

    Args:
        candidates: the file that was read.
    """

    recall_only = True
    needs_candidates = True

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates

    def __call__(self, image: ImageFeatures | None, expressions: Sequence[Expression]) -> list[InstanceData]:
        """One ``InstanceData`` an expression: ``bboxes`` float64 and never clipped, ``labels`` all -1 (unknown).

        Raises:
            InputError: the file lacks the image of an expression; such expressions are to be left out beforehand.
        """
        return [self._of(expression) for expression in expressions]

    def _of(self, expression: Expression) -> InstanceData:
        found = self.candidates.for_expression(expression)
        if found is None:
            raise InputError(f'--candidates: nothing for image {expression.image_id}; leave its expressions out')
        return InstanceData(bboxes=found.bboxes, scores=found.scores, det_scores=found.scores,
                            labels=torch.full((len(found.scores),), -1, dtype=torch.int64))
