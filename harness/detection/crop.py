"""Crop-and-resize pooling as the originals': an affine grid and bilinear sampling on the C4 map.

Source: ``lib/nets/network.py: _crop_pool_layer`` of lichengunc/mask-faster-rcnn and ``utils/misc.py:
mrcn_crop_pool_layer`` of ChopinSharp/ref-nms. It is not RoIAlign: the outermost samples lie *on* the box's edges.
"""
from __future__ import annotations

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

#: Cells along each side of the crops that Ref-NMS and the grounders take.
CELLS = 7


def crop_and_resize(feature_map: Tensor, boxes: Tensor, stride: int = 16, size: int = CELLS) -> Tensor:
    """Sample ``size × size`` points of every box, edges included, zeros outside the map.

    Args:
        feature_map: ``(1, C, h, w)``.
        boxes: ``(n, 4)`` xyxy in network-input pixels.
        stride: network-input pixels per cell of the map.
        size: points along each side.

    Returns:
        ``(n, C, size, size)`` crops.
    """
    n = len(boxes)
    channels, height, width = feature_map.shape[1:]
    if n == 0:
        return feature_map.new_zeros((0, channels, size, size))
    corners = boxes.to(feature_map.dtype) / stride
    steps = torch.linspace(0, 1, size, dtype=feature_map.dtype, device=feature_map.device)
    x = corners[:, 0:1] + steps * (corners[:, 2:3] - corners[:, 0:1])
    y = corners[:, 1:2] + steps * (corners[:, 3:4] - corners[:, 1:2])
    # align_corners=True: -1 is the centre of the first cell and 1 the centre of the last.
    x = 2 * x / max(width - 1, 1) - 1
    y = 2 * y / max(height - 1, 1) - 1
    grid = torch.stack((x[:, None, :].expand(n, size, size), y[:, :, None].expand(n, size, size)), dim=-1)
    # All boxes as one tall grid: the map is read in place instead of being repeated n times.
    crops = F.grid_sample(feature_map, grid.reshape(1, n * size, size, 2), align_corners=True)
    return crops.reshape(channels, n, size, size).transpose(0, 1)


def to_cells(crops: Tensor) -> Tensor:
    """``(n, C, s, s)`` crops or features as ``(n, C, 7, 7)``; those of more cells (mmdet's C4 networks cut 14 × 14) are
    averaged down."""
    return crops if crops.shape[-1] == CELLS else F.adaptive_avg_pool2d(crops, CELLS)


def whole_map(feature_map: Tensor, stride: int = 16) -> Tensor:
    """``(1, 4)`` xyxy in network-input pixels: from the centre of the map's first cell to that of its last.

    Source: ``lib/mrcn/inference_no_imdb.py: img_to_spatial_fc7`` of ChopinSharp/CM-Erase-REG.
    """
    height, width = feature_map.shape[-2:]
    return feature_map.new_tensor([[0, 0, stride * (width - 1), stride * (height - 1)]])


@MODELS.register_module()
class CropRoIExtractor(BaseModule):
    """:func:`crop_and_resize` in the place of mmdet's RoI extractors, for one feature level.

    Args:
        out_channels: channels of the map.
        stride: network-input pixels per cell.
        size: points along each side of a crop.
    """

    def __init__(self, out_channels: int, stride: int = 16, size: int = CELLS) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.featmap_strides = [stride]
        self.stride = stride
        self.size = size

    @property
    def num_inputs(self) -> int:
        return 1

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """``rois`` is mmdet's ``(n, 5)``: image index in the batch, then xyxy in network-input pixels."""
        feature_map = feats[0]
        crops = feature_map.new_zeros((len(rois), feature_map.shape[1], self.size, self.size))
        for index in range(len(feature_map)):
            mine = rois[:, 0] == index
            crops[mine] = crop_and_resize(feature_map[index:index + 1], rois[mine, 1:], self.stride, self.size)
        return crops
