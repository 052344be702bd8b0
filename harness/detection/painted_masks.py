"""Masks as the originals put them into the image: stretched to full contrast, resized to the box's whole pixels.

Source: ``lib/utils/mask_utils.py: recover_masks`` and ``lib/model/test.py: test_net`` of lichengunc/mask-faster-rcnn;
``lib/mrcn/inference_no_imdb.py: boxes_to_masks`` of lichengunc/MAttNet does the same.
"""
from __future__ import annotations

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

FOREGROUND_OVER = 122  # of 255


def paint_masks(probabilities: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Which pixels of the image belong to each mask.

    The original resizes by ``scipy.misc.imresize``, and with it come its conventions: a mask's lowest probability
    becomes 0 and its highest 255, whatever they are (a flat one is all 0, so empty); values are rounded to bytes;
    Pillow's bilinear filter, which averages where it shrinks (here torch's, one in 10,000 pixels of noise differs).
    Pixels over 122 are foreground.

    Args:
        probabilities: ``(n, m, m)`` in [0, 1].
        boxes: ``(n, 4)`` xyxy image pixels, the last ones included; clipped to the image, fractions cut off.
        height, width: of the image.

    Returns:
        ``(n, height, width)`` bool.
    """
    masks = torch.zeros((len(boxes), height, width), dtype=torch.bool)
    if len(boxes) == 0:
        return masks
    low = probabilities.amin((1, 2), keepdim=True)
    contrast = probabilities.amax((1, 2), keepdim=True) - low
    stretched = (probabilities - low) * (255 / torch.where(contrast > 0, contrast, 1))
    stretched = (stretched.clamp(0, 255) + 0.5).to(torch.uint8)
    clipped = torch.minimum(boxes.clamp(min=0), boxes.new_tensor((width - 1, height - 1) * 2))
    sizes = (clipped[:, 2:] - clipped[:, :2] + 1).int().tolist()
    for mask, small, (x, y), (w, h) in zip(masks, stretched, clipped[:, :2].int().tolist(), sizes, strict=True):
        if w > 0 and h > 0:
            painted = F.interpolate(small[None, None], (h, w), mode='bilinear', antialias=True)[0, 0]
            mask[y:y + h, x:x + w] = painted > FOREGROUND_OVER
    return masks


@MODELS.register_module()
class PaintedMaskHead(FCNMaskHead):
    """mmdet's mask head with :func:`paint_masks` in the place of its pasting."""

    def _predict_by_feat_single(self, mask_preds: Tensor, bboxes: Tensor, labels: Tensor, img_meta: dict,
                                rcnn_test_cfg: dict, rescale: bool = False, activate_map: bool = False) -> Tensor:
        """``(n, K, m, m)`` logits, ``(n, 4)`` boxes, ``(n,)`` labels to ``(n, H, W)`` bool at the image's own size."""
        scale = bboxes.new_tensor(img_meta['scale_factor']).repeat(2) if rescale else 1
        chosen = mask_preds[torch.arange(len(labels)), labels]
        return paint_masks(chosen if activate_map else chosen.sigmoid(), bboxes / scale, *img_meta['ori_shape'][:2])
