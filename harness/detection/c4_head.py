"""The last residual stage of a C4 detector as mmdet's shared head, in any width.

mmdet's own ``ResLayer`` head has ResNet's fixed 512 × 4 channels; this one takes its widths from the config, so that
the embedded benchmark's small detector and the originals' R101 (``lib/nets/resnet_v1.py: _head_to_tail`` of
lichengunc/mask-faster-rcnn, stride 1) are the same part.
"""
from __future__ import annotations

from mmdet.models.backbones.resnet import Bottleneck
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor


def residual_stage(in_channels: int, planes: int, blocks: int, style: str = 'pytorch') -> ResLayer:
    """A ResNet stage of stride 1: ``(n, in_channels, 7, 7)`` to ``(n, 4 · planes, 7, 7)``.

    Parameters are named as torchvision's (``0.conv1.weight``, ``0.downsample.0.weight``, …).
    """
    return ResLayer(Bottleneck, inplanes=in_channels, planes=planes, num_blocks=blocks, stride=1, style=style)


@MODELS.register_module()
class C4Head(BaseModule):
    """``layer4`` on pooled regions: ``(n, in_channels, 7, 7)`` to ``(n, 4 · planes, 7, 7)``."""

    def __init__(self, in_channels: int, planes: int, blocks: int, style: str = 'pytorch', init_cfg=None) -> None:
        super().__init__(init_cfg or [dict(type='Kaiming', layer='Conv2d'),
                                      dict(type='Constant', val=1, layer='BatchNorm2d')])
        self.layer4 = residual_stage(in_channels, planes, blocks, style)

    def forward(self, crops: Tensor) -> Tensor:
        return self.layer4(crops)
