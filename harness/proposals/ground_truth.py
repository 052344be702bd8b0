"""The annotated boxes as proposals: the ceiling that every paper of the field prints."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData

from harness.errors import InputError
from harness.plugins import Rule
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageFeatures


@PROPOSAL_RULES.register_module(name='ground-truth')
class GroundTruth(Rule):
    """All annotated boxes of the image, in file order, each with score 1."""

    needs_annotations = True
    with_controls = True

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """The same ``InstanceData`` for each expression; label -1 for a category that the detector does not know.

        Raises:
            InputError: the dataset has no annotated boxes.
        """
        return [image.once(_annotated)] * len(expressions)


def _annotated(image: ImageFeatures) -> InstanceData:
    if image.annotations is None:
        raise InputError('--proposals ground-truth: this dataset has no annotated boxes; '
                         'give one with instances.json or leave the rule out')
    index = {name: i for i, name in enumerate(image.classes)}
    device = image.class_boxes.device if torch.is_tensor(image.class_boxes) else None
    boxes = torch.tensor([a.xywh for a in image.annotations], dtype=torch.float64, device=device).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = torch.tensor([index.get(a.category, -1) for a in image.annotations], dtype=torch.int64, device=device)
    ones = torch.ones(len(labels), device=device)
    return InstanceData(bboxes=boxes.float(), scores=ones, labels=labels, det_scores=ones)
