"""What Ref-NMS and grounders need of any two-stage network of mmdet, in functions of its parts.

The harness (:mod:`harness.detection.two_stage`) and the plug-in for mmdet (:mod:`harness.mmdet_plugin`) both call them,
so that one config, checkpoint and Ref-NMS give the same proposals in both. C4 networks have one map and pyramids
several; a cascade's last stage stands for it; class-agnostic boxes are repeated for every class.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn


def regions(network: Any, maps: Sequence[Tensor], samples: Sequence[DetDataSample]) -> list[InstanceData]:
    """The regions of each image, ``bboxes`` in network-input pixels: those that a sample brings, else of the region
    proposal network."""
    if samples and 'proposals' in samples[0]:
        return [sample.proposals for sample in samples]
    return network.rpn_head.predict(maps, samples, rescale=False)


def class_boxes(network: Any, maps: Sequence[Tensor], samples: Sequence[DetDataSample],
                rescale: bool) -> list[tuple[Tensor, Tensor]]:
    """All boxes of each image before NMS: ``(R, K, 4)`` xyxy, and their confidences ``(R, K)`` without background.

    Args:
        network: with ``rpn_head`` and ``roi_head``.
        maps: the levels of the pyramid, or the one C4 map, of the batch.
        samples: of the batch, with the metadata of mmdet's pipelines.
        rescale: boxes in pixels of the image as it was read, not of the network's input.
    """
    metas = [sample.metainfo for sample in samples]
    found = network.roi_head.predict_bbox(maps, metas, regions(network, maps, samples), rcnn_test_cfg=None,
                                          rescale=rescale)
    return [_by_class(one) for one in found]


def _by_class(found: InstanceData) -> tuple[Tensor, Tensor]:
    """``bboxes`` (R, 4) or (R, 4 · K) and ``scores`` (R, K + 1), the background last."""
    scores = found.scores[:, :-1]
    boxes = found.bboxes.reshape(len(scores), found.bboxes.shape[-1] // 4, 4)
    return boxes.expand(-1, scores.shape[1], -1), scores


def crops(roi_head: Any, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
    """Crops ``(n, C, s, s)`` as the box head takes them; s is 7, and 14 in mmdet's C4 networks.

    Args:
        roi_head: of the network.
        maps: as of :func:`class_boxes`.
        rois: ``(n, 5)`` image index in the batch, then xyxy in network-input pixels.
    """
    extractor = last_stage(roi_head.bbox_roi_extractor)
    return extractor(tuple(maps[:extractor.num_inputs]), rois)


def head_features(roi_head: Any, cut: Tensor) -> Tensor:
    """What the box head knows of crops ``(n, C, s, s)`` before it classifies them.

    With a shared residual stage (C4) that is the stage's output, ``(n, F, 7, 7)``; else the last layer before the
    classes, which has no space left: ``(n, F, 1, 1)``.
    """
    if roi_head.with_shared_head:
        return roi_head.shared_head(cut)
    box_head = last_stage(roi_head.bbox_head)
    seen: list[Tensor] = []
    watch = box_head.fc_cls.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        box_head(cut)
    finally:
        watch.remove()
    return torch.flatten(seen[0], 1)[..., None, None]


def crop_channels(roi_head: Any) -> int:
    """C of :func:`crops`."""
    return int(last_stage(roi_head.bbox_roi_extractor).out_channels)


def head_channels(roi_head: Any) -> int:
    """F of :func:`head_features`."""
    return int(last_stage(roi_head.bbox_head).fc_cls.in_features)


def masks(roi_head: Any, maps: Sequence[Tensor], meta: Mapping[str, Any], boxes: Tensor, labels: Tensor) -> Tensor:
    """``(n, H, W)`` bool, at the size of the image as it was read.

    Args:
        roi_head: with a mask head.
        maps: of the one image.
        meta: its metadata.
        boxes: ``(n, 4)`` xyxy in network-input pixels.
        labels: ``(n,)`` class indices.
    """
    found = [InstanceData(bboxes=boxes, labels=labels)]
    return roi_head.predict_mask(maps, [meta], found, rescale=True)[0].masks


def last_stage(part: Any) -> Any:
    """The part itself, or the last stage of a cascade."""
    return part[-1] if isinstance(part, nn.ModuleList | list) else part
