"""The candidates of Ref-NMS: boxes before NMS whose confidence exceeds δ."""
from __future__ import annotations

from mmengine.structures import InstanceData
from torch import Tensor

from harness.detection.outside import NO_CANDIDATE
from harness.options import check_options
from harness.proposals.ref_nms_network import RefNMS


def find_candidates(class_boxes: Tensor, class_scores: Tensor, delta: float = 0.05, step: float = 0.005,
                    at_least: int = 1) -> InstanceData:
    """The candidates of Ref-NMS, category by category, in the order of the regions in each.

    Source: ref-nms ``lib/vanilla_utils.py`` (``DetEvalLoader``: at least 1; ``DetBoxDataset``: at least 32).

    Args:
        class_boxes: ``(R, K, 4)`` xyxy before NMS.
        class_scores: ``(R, K)`` confidences in [0, 1], no background.
        delta: confidence that a candidate must exceed.
        step: how far ``delta`` is lowered at a time until there are ``at_least`` candidates, or all boxes are.

    Returns:
        ``bboxes`` (n, 4), ``labels`` (n,), ``det_scores`` (n,).

    Raises:
        InputError: the step is so small that lowering would hardly end.
    """
    check_options(RefNMS, {'delta_step': step}, 'Ref-NMS', ': ')  # else it might be lowered for ever
    delta = min(delta, 1.)  # no confidence exceeds 1
    at_least = min(at_least, int((class_scores > NO_CANDIDATE).sum()))
    while (count := int((class_scores > delta).sum())) < at_least and delta >= 0:
        delta -= step
    if count < at_least:  # confidences of exactly zero and below
        delta = NO_CANDIDATE
    labels, regions = (class_scores > delta).T.nonzero(as_tuple=True)
    return InstanceData(bboxes=class_boxes[regions, labels], labels=labels, det_scores=class_scores[regions, labels])
