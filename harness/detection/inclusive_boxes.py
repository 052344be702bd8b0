"""Anchors and box deltas as the originals count pixels: a box from x1 to x2 is x2 - x1 + 1 pixels wide.

mmdet's own (and its ``Legacy…`` ones) round differently and take the 1 off again, so that neither gives these numbers.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.task_modules.coders import BaseBBoxCoder
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import TASK_UTILS
from torch import Tensor


@TASK_UTILS.register_module()
class InclusiveAnchorGenerator(AnchorGenerator):
    """Anchors around the pixels 0 … base_size - 1; sides are rounded for every ratio, half to even, then scaled.

    Source: ``lib/layer_utils/generate_anchors.py`` of lichengunc/mask-faster-rcnn.
    """

    def gen_single_level_base_anchors(self, base_size: float, scales: Tensor, ratios: Tensor,
                                      center: tuple[float, float] | None = None) -> Tensor:
        """``(ratios · scales, 4)`` xyxy of inclusive pixels, all scales of the first ratio first.

        ``ratios`` are height ÷ width. ``center`` is the base's own, (base_size - 1) / 2, unless given.
        """
        width = (base_size ** 2 / ratios).sqrt().round()
        height = (width * ratios).round()
        reach = (torch.stack((width, height), 1)[:, None] * scales[:, None] - 1).reshape(-1, 2) / 2
        middle = reach.new_tensor(((base_size - 1) / 2, ) * 2 if center is None else center)
        return torch.cat((middle - reach, middle + reach), 1)


@TASK_UTILS.register_module()
class InclusiveBoxCoder(BaseBBoxCoder):
    """Deltas of centre and log size, with inclusive widths.

    ``decode`` is not the inverse of ``encode``: as in the original it ends a box at x1 + width, one pixel after its
    last. Source: ``lib/model/bbox_transform.py`` of lichengunc/mask-faster-rcnn.

    Args:
        target_stds: what deltas are multiplied with.
        one_sided_clip: x1, y1 are cut at 0 alone and x2, y2 at the last pixel alone, so that a box wholly outside the
            image has its corners in the wrong order (``lib/model/test.py: _clip_boxes``); else all four are cut at both
            (``lib/model/bbox_transform.py: clip_boxes``).
    """

    def __init__(self, target_stds: Sequence[float] = (1., 1., 1., 1.), one_sided_clip: bool = False) -> None:
        super().__init__()
        self.stds = tuple(target_stds)
        self.one_sided_clip = one_sided_clip

    def encode(self, bboxes: Tensor, gt_bboxes: Tensor) -> Tensor:
        """``(n, 4)`` boxes and where they should be, ``(n, 4)``, to ``(n, 4)`` deltas."""
        centre, size = _centre_and_size(bboxes)
        gt_centre, gt_size = _centre_and_size(gt_bboxes)
        deltas = torch.cat(((gt_centre - centre) / size, (gt_size / size).log()), -1)
        return deltas / deltas.new_tensor(self.stds)

    def decode(self, bboxes: Tensor, pred_bboxes: Tensor, max_shape: tuple[int, int] | None = None) -> Tensor:
        """``(n, 4)`` boxes moved by ``(n, 4 · K)`` deltas to ``(n, 4 · K)``, cut to ``max_shape`` (h, w) if given."""
        deltas = pred_bboxes.reshape(len(bboxes), -1, 4) * pred_bboxes.new_tensor(self.stds)
        centre, size = (part[:, None] for part in _centre_and_size(bboxes))
        centre = deltas[..., :2] * size + centre
        reach = deltas[..., 2:].exp() * size / 2
        low, high = centre - reach, centre + reach
        if max_shape is not None:
            last = low.new_tensor((max_shape[1] - 1, max_shape[0] - 1))
            low, high = low.clamp(min=0), torch.minimum(high, last)
            if not self.one_sided_clip:
                low, high = torch.minimum(low, last), high.clamp(min=0)
        return torch.cat((low, high), -1).reshape(pred_bboxes.shape)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """``(n, 4)`` xyxy to ``(n, 2)`` centres and sizes; the centre lies half an inclusive size from x1, y1."""
    size = boxes[:, 2:] - boxes[:, :2] + 1
    return boxes[:, :2] + 0.5 * size, size
