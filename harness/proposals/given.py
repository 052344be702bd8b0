"""Proposals that another program found (``--candidates FILE`` or ``--detections FILE``)."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from mmengine.structures import InstanceData

from harness.errors import InputError
from harness.plugins import Rule
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures, ImageInfo


class OutsideBoxes(Protocol):
    """The interface of a reader of outside boxes (:class:`harness.data.candidates.Candidates` is one).

    ``classes`` are the names of the boxes' categories, none where the file has none.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...

    def for_expression(self, expression: Expression) -> InstanceData | None:
        """An expression's boxes, ``None`` where the file lacks its image."""

    def count_outside(self, images: Mapping[Any, ImageInfo]) -> int:
        """How many boxes reach outside their image, of the images whose size is known.

        Raises:
            InputError: the boxes do not look like ``xywh`` pixels.
        """


@PROPOSAL_RULES.register_module(name='given')
class Given(Rule):
    """Outside boxes as they are, best first; recall of them needs no detector.

    Args:
        candidates: the file that was read: ``for_expression(expression)`` gives ``bboxes``, ``scores`` and, where the
            file has them, category ``names`` and ``det_ids``.
    """

    recall_only = True
    needs_candidates = True

    def __init__(self, candidates: OutsideBoxes) -> None:
        self.candidates = candidates

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """One ``InstanceData`` per expression: ``bboxes`` float64 and never clipped, ``labels`` -1 where unknown.

        Raises:
            InputError: the file lacks the image of an expression; leave such expressions out beforehand.
        """
        index = {name: i for i, name in enumerate(image.classes)}
        return [self._of(expression, index) for expression in expressions]

    def _of(self, expression: Expression, index: Mapping[str, int]) -> InstanceData:
        found = self.candidates.for_expression(expression)
        if found is None:
            raise InputError(f'outside boxes: none for image {expression.image_id}; leave its expressions out')
        names = found.get('names', [None] * len(found.scores))
        kept = {'det_ids': found.det_ids} if 'det_ids' in found else {}
        return InstanceData(bboxes=found.bboxes, scores=found.scores, det_scores=found.scores,
                            labels=torch.tensor([index.get(name, -1) for name in names], dtype=torch.int64), **kept)
