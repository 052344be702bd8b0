"""Any two-stage detector of mmdet as the first stage: Faster, Mask and Cascade R-CNN, with one C4 map or a pyramid.

Its file holds the description of the network (:mod:`harness.detection.model_config`) beside the weights;
``convert --as detector`` writes it from a checkpoint and its config. Everything computed is what mmdet's own
``inference_detector`` computes; suppression is left to the rules.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.structures import DetDataSample
from pycocotools import mask as coco_mask
from torch import Tensor

from harness import plugins
from harness.data.masks import as_text
from harness.detection import two_stage_parts as parts
from harness.detection.detector import build_network, identity_of, in_float32, input_pipeline, wholly_outside
from harness.detection.model_config import check_description, config_of
from harness.errors import InputError
from harness.files.metadata import TwoStageMetadata, read_metadata
from harness.files.weights import Weights, built
from harness.registry import DETECTORS
from harness.types import Annotation, ImageFeatures, ImageInfo

#: Of the map that stands for the image, in network-input pixels per cell.
STRIDE = 16
_CROPS_AT_ONCE = 256  # bounds the memory of the head


class Seen(NamedTuple):
    """An image as the network has seen it: the levels of its pyramid, or its C4 map, each ``(1, C, h, w)``, and mmdet's
    metadata: ``img_shape``, ``ori_shape``, ``scale_factor`` (width, height)."""

    maps: tuple[Tensor, ...]
    sample: DetDataSample

    @property
    def factor(self) -> Tensor:
        """``(4,)``: network-input pixels per image pixel, for xyxy."""
        return self.maps[0].new_tensor(self.sample.metainfo['scale_factor']).repeat(2)


@DETECTORS.register_module(name='mmdet')
class TwoStageDetector(plugins.Detector):
    """Any two-stage detector of mmdet, from a file that "convert --as detector" wrote.

    Args:
        weights: with the description of the network and its classes.
        device: where it runs.

    Raises:
        InputError: the file describes no such network, or holds the weights of another one.
    """

    precisions = ('fp32', 'bf16')

    def __init__(self, weights: Weights, device: str = 'cpu') -> None:
        meta = read_metadata(weights, TwoStageMetadata)
        description = {'model': meta.model, 'pipeline': meta.pipeline}
        check_description(description, str(weights.path))
        config = config_of(description)
        self.classes, self.trained_on = tuple(meta.classes), meta.trained_on
        self.device = torch.device(device)
        self.prepare = input_pipeline(config)
        network: Any = built(lambda: build_network(config), weights.tensors, weights.path)
        self.network = network.to(self.device)
        box_head = parts.last_stage(self.network.roi_head.bbox_head)
        if box_head.num_classes != len(self.classes):
            raise InputError(f'{weights.path}: names {len(self.classes)} classes, its network has '
                             f'{box_head.num_classes}; convert the checkpoint again')
        strides = parts.last_stage(self.network.roi_head.bbox_roi_extractor).featmap_strides
        self._level = min(range(len(strides)), key=lambda level: abs(strides[level] - STRIDE))
        self.makes_masks = bool(self.network.roi_head.with_mask)
        self._sha256 = weights.sha256

    def identity(self) -> str | None:
        """See :func:`harness.detection.detector.identity_of`; the file describes the network."""
        return identity_of(self._sha256, self.device, __name__)

    def features(self, image: np.ndarray, info: ImageInfo,
                 annotations: list[Annotation] | None = None) -> ImageFeatures:
        """``(H, W, 3)`` uint8 BGR to everything that its expressions share."""
        seen = self.see(image)
        boxes, scores = self.class_boxes(seen)
        return self._features(seen, boxes, scores, info, annotations)

    def maps_of(self, image: np.ndarray, info: ImageInfo) -> ImageFeatures:
        """See :class:`harness.plugins.Detector`."""
        seen = self.see(image)
        none = seen.maps[0].new_zeros(0, len(self.classes), 4)
        return self._features(seen, none, none[..., 0], info)

    def _features(self, seen: Seen, boxes: Tensor, scores: Tensor, info: ImageInfo,
                  annotations: list[Annotation] | None = None) -> ImageFeatures:
        scale = sum(seen.sample.metainfo['scale_factor']) / 2
        return ImageFeatures(info=info, scale=scale, feature_map=seen.maps[self._level], class_boxes=boxes,
                             class_scores=scores, classes=self.classes, detector=self, annotations=annotations,
                             seen=seen)

    @torch.inference_mode()
    def see(self, image: np.ndarray) -> Seen:
        """``(H, W, 3)`` uint8 BGR, prepared as the config says, through backbone and neck."""
        ready = self.prepare({'img': image, 'img_id': 0})
        data = self.network.data_preprocessor({'inputs': [ready['inputs']], 'data_samples': [ready['data_samples']]},
                                              False)
        return Seen(tuple(self._computed(data['inputs'])), data['data_samples'][0])

    def _computed(self, inputs: Tensor) -> Any:
        """The maps, computed in :attr:`precision` and given in float32; all that follows computes in float32."""
        if self.precision == 'fp32':
            return self.network.extract_feat(inputs)
        with torch.autocast(self.device.type, torch.bfloat16):
            return in_float32(self.network.extract_feat(inputs))

    @torch.inference_mode()
    def class_boxes(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """``(R, K, 4)`` xyxy image pixels and ``(R, K)`` confidences, before any NMS over classes."""
        return parts.class_boxes(self.network, seen.maps, [seen.sample], rescale=True)[0]

    @torch.inference_mode()
    def pool(self, image: ImageFeatures, boxes: Tensor) -> Tensor:
        """``(n, 4)`` xyxy image pixels to crops ``(n, C, s, s)``, as the box head takes them: s is 7, or 14 in mmdet's
        C4 networks."""
        rois = torch.nn.functional.pad(boxes.to(self.device).float() * image.seen.factor, (1, 0))
        return torch.cat([parts.crops(self.network.roi_head, image.seen.maps, some)
                          for some in rois.split(_CROPS_AT_ONCE)] or
                         [image.feature_map.new_zeros(0, parts.crop_channels(self.network.roi_head), 7, 7)])

    @torch.inference_mode()
    def head(self, crops: Tensor) -> Tensor:
        """``(n, C, s, s)`` crops to ``(n, F, 7, 7)`` of a shared residual stage, or ``(n, F, 1, 1)`` of fully connected
        layers."""
        return torch.cat([parts.head_features(self.network.roi_head, some) for some in crops.split(_CROPS_AT_ONCE)])

    @torch.inference_mode()
    def masks(self, image: ImageFeatures, boxes: Tensor, labels: Tensor) -> list[dict]:
        """Run lengths of pycocotools for ``(n, 4)`` xyxy boxes of classes ``labels`` ``(n,)``; a box that is wholly
        outside the image has an empty mask."""
        if not self.makes_masks:
            return super().masks(image, boxes, labels)
        inside = ~wholly_outside(boxes, image.info.height, image.info.width)
        found = np.zeros((len(boxes), image.info.height, image.info.width), np.uint8)
        if inside.any():
            found[inside.cpu().numpy()] = parts.masks(
                self.network.roi_head, image.seen.maps, image.seen.sample.metainfo,
                boxes[inside].to(self.device).float() * image.seen.factor, labels[inside].to(self.device)).cpu().numpy()
        return [as_text(rle) for rle in coco_mask.encode(np.asfortranarray(found.transpose(1, 2, 0)))]

    def to_store(self, image: ImageFeatures, maps: bool) -> dict[str, Tensor]:
        """See :class:`harness.plugins.Detector`."""
        kept = {'class_boxes': image.class_boxes.contiguous(), 'class_scores': image.class_scores.contiguous()}
        return kept | ({f'map {i}': level for i, level in enumerate(image.seen.maps)} if maps else {})

    def from_store(self, kept: Mapping[str, Tensor], image: np.ndarray, info: ImageInfo) -> ImageFeatures:
        """Without kept maps the backbone runs again; regions are not looked for and not classified."""
        if 'map 0' in kept:
            sample = self.prepare({'img': image, 'img_id': 0})['data_samples']
            levels = (kept[f'map {i}'].to(self.device) for i in range(sum(name.startswith('map ') for name in kept)))
            seen = Seen(tuple(levels), sample)
        else:
            seen = self.see(image)
        return self._features(seen, kept['class_boxes'].to(self.device), kept['class_scores'].to(self.device), info)
