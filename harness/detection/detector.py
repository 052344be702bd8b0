"""The detector, seen as the harness needs it: once an image, everything *before* NMS.

Any two-stage mmdet detector with one stride-16 map and class-wise boxes fits. What it gives is what
``tools/run_detect.py`` of lichengunc/MAttNet and ``rpn_boxes.pkl`` / ``rpn_box_scores.pkl`` of ChopinSharp/ref-nms
hold: for every region one box and one confidence a class.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask
from torch import Tensor, nn

from harness.detection.crop import crop_and_resize
from harness.errors import InputError
from harness.types import Annotation, ImageFeatures, ImageInfo
from harness.weights import Weights, fill

CONFIGS = Path(__file__).parent / 'configs'


def detector_config(name: str) -> Config:
    """The mmdet config of that name among ours (a config is code: no other path is ever opened)."""
    known = sorted(p.stem for p in CONFIGS.glob('*.py') if p.stem != '__init__')
    if name not in known:
        raise InputError(f'detector config {name!r} is unknown; known are {", ".join(known)}')
    return Config.fromfile(CONFIGS / f'{name}.py')


def build_network(config: Config) -> nn.Module:
    """The mmdet model of a config."""
    DefaultScope.get_instance(f'detector-{id(config)}', scope_name='mmdet')
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(config.model)


def read_image(path: Path) -> np.ndarray:
    """``(H, W, 3)`` uint8 BGR.

    Raises:
        InputError: the file is not there or cannot be decoded.
    """
    if not path.is_file():
        raise InputError(f'{path}: there is no such image')
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    if image is None:
        raise InputError(f'{path}: not a readable image; replace the file')
    return image


class Detector:
    """A trained detector.

    Args:
        weights: a detector's weight file; ``meta`` names its config and classes.
        device: where it runs.
    """

    def __init__(self, weights: Weights, device: str = 'cpu') -> None:
        if weights.meta.get('kind') != 'detector':
            raise InputError(f'{weights.path}: holds {weights.meta.get("kind")!r}, not a detector; '
                             'give a detector\'s file')
        config = detector_config(weights.meta['config'])
        self.classes: tuple[str, ...] = tuple(weights.meta['classes'])
        self.scale = float(config.input_scale)
        self.stride = 16
        self.device = torch.device(device)
        self.network: Any = build_network(config)  # mmdet's modules are looked up by name
        fill(self.network, weights.tensors, weights.path)
        self.network.to(self.device).eval()

    @torch.inference_mode()
    def features(self, image: np.ndarray, info: ImageInfo,
                 annotations: list[Annotation] | None = None) -> ImageFeatures:
        """Everything that an image's expressions share.

        Args:
            image: ``(H, W, 3)`` uint8 BGR.
            info: its record; sizes are the image's own.
            annotations: its annotated objects, where available.
        """
        resized = cv2.resize(image, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_LINEAR)
        sample = DetDataSample(metainfo=dict(
            img_shape=resized.shape[:2], ori_shape=image.shape[:2], pad_shape=resized.shape[:2],
            scale_factor=(self.scale, self.scale)))
        data = self.network.data_preprocessor(
            dict(inputs=[torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))], data_samples=[sample]))
        maps = self.network.extract_feat(data['inputs'])
        regions = self.network.rpn_head.predict(maps, data['data_samples'], rescale=False)[0].bboxes
        boxes, scores = self._classify(maps, regions, resized.shape[:2])
        return ImageFeatures(info=info, scale=self.scale, feature_map=maps[0], class_boxes=boxes / self.scale,
                             class_scores=scores, classes=self.classes, detector=self, annotations=annotations)

    def _classify(self, maps: tuple[Tensor, ...], regions: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """``(R, 4)`` regions to ``(R, K, 4)`` class boxes and ``(R, K)`` confidences, network-input pixels."""
        head = self.network.roi_head.bbox_head
        features = self.head(crop_and_resize(maps[0], regions, self.stride))
        logits, deltas = head(features)
        rois = bbox2roi([regions])[:, 1:].repeat_interleave(head.num_classes, dim=0)
        boxes = head.bbox_coder.decode(rois, deltas.reshape(-1, 4), max_shape=shape)
        return boxes.reshape(len(regions), head.num_classes, 4), logits.softmax(-1)[:, :-1]

    @torch.inference_mode()
    def pool(self, image: ImageFeatures, boxes: Tensor) -> Tensor:
        """``(n, 4)`` xyxy image pixels to ``(n, C, 7, 7)`` crops of the C4 map."""
        return crop_and_resize(image.feature_map, boxes.to(self.device) * image.scale, self.stride)

    @torch.inference_mode()
    def head(self, crops: Tensor) -> Tensor:
        """``(n, C, 7, 7)`` crops to ``(n, F, 7, 7)`` features of the last stage."""
        return self.network.roi_head.shared_head(crops)

    @torch.inference_mode()
    def masks(self, image: ImageFeatures, boxes: Tensor, labels: Tensor) -> list[dict]:
        """Masks of chosen boxes, pasted at image size.

        Args:
            boxes: ``(n, 4)`` xyxy image pixels.
            labels: ``(n,)`` class indices.

        Returns:
            n run-length encodings of pycocotools (``counts`` as str).
        """
        if len(boxes) == 0:
            return []
        mask_head = self.network.roi_head.mask_head
        logits = mask_head(self.head(self.pool(image, boxes))).cpu()
        results = [InstanceData(bboxes=boxes.cpu().clone(), labels=labels.cpu())]
        size = (image.info.height, image.info.width)
        meta = dict(ori_shape=size, img_shape=size, scale_factor=(1.0, 1.0))
        mask_head.predict_by_feat((logits,), results, [meta], self.network.roi_head.test_cfg, rescale=True)
        masks = results[0].masks.numpy().astype(np.uint8)
        encoded = coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0)))
        return [{'size': list(rle['size']), 'counts': rle['counts'].decode('ascii')} for rle in encoded]
