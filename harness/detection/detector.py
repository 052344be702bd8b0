"""The detector, seen as the harness needs it: once an image, everything *before* NMS.

Any two-stage mmdet detector with one stride-16 map and class-wise boxes fits. What it gives is what
``tools/run_detect.py`` of lichengunc/MAttNet and ``rpn_boxes.pkl`` / ``rpn_box_scores.pkl`` of ChopinSharp/ref-nms
hold: for every region one box and one confidence a class.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask
from torch import Tensor, nn

from harness import plugins
from harness.data.masks import as_text
from harness.detection.crop import crop_and_resize
from harness.detection.folding import fold
from harness.detection.pictures import read_image as read_image
from harness.errors import InputError, shown
from harness.files.fingerprint import code_of
from harness.files.metadata import DetectorMetadata, read_metadata
from harness.files.weights import Weights, fill
from harness.registry import DETECTORS
from harness.types import Annotation, ImageFeatures, ImageInfo

with redirect_stdout(StringIO()):  # registers transforms, and prints that an optional package is not there
    import mmdet.datasets  # noqa: F401

#: Packages whose versions results follow from.
COMPUTING = ('torch', 'onedl-mmcv', 'onedl-mmdetection', 'opencv-python-headless')
CONFIGS = Path(__file__).parent / 'configs'
CONFIGS_PACKAGE = 'harness.detection.configs'
_CROPS_AT_ONCE = 256  # bounds the memory of the last stage


def detector_config(name: str) -> Config:
    """The mmdet config of that name among ours (a config is code: no other path is ever opened)."""
    known = sorted(p.stem for p in CONFIGS.glob('*.py') if p.stem != '__init__')
    if name not in known:
        raise InputError(f'detector config {shown(name)!r} is unknown; known are {", ".join(known)}')
    return Config.fromfile(CONFIGS / f'{name}.py')


def build_network(config: Config) -> nn.Module:
    """The mmdet model of a config."""
    DefaultScope.get_instance(f'detector-{id(config)}', scope_name='mmdet')
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(config.model)


def input_pipeline(config: Config) -> Compose:
    """From an image to what the network reads: the ``test_pipeline`` of a config."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        return Compose(config.test_pipeline)


def described_detector(weights: Weights) -> tuple[Config, tuple[str, ...]]:
    """The config and the classes that a detector's file names.

    Raises:
        InputError: the file holds no detector, or names no config of ours with its classes.
    """
    meta = read_metadata(weights, DetectorMetadata)
    try:
        config = detector_config(meta.config)
    except InputError as error:
        raise InputError(f'{weights.path}: {error}; use a file that "train" or "convert" wrote') from None
    if len(meta.classes) != config.num_classes:
        raise InputError(f'{weights.path}: must name the {config.num_classes} classes of its network; '
                         'use a file that "train" or "convert" wrote')
    return config, tuple(meta.classes)


def wholly_outside(boxes: Tensor, height: int, width: int) -> Tensor:
    """``(n,)`` bool: which of ``(n, 4)`` xyxy boxes touch no part of the image."""
    return (boxes[:, 2:] < 0).any(1) | (boxes[:, :2] > boxes.new_tensor((width, height))).any(1)


def identity_of(sha256: str, device: torch.device, *modules: str) -> str:
    """What a detector's results follow from: its weights, the code that computes with them, versions and device."""
    versions = ' '.join(version(name) for name in COMPUTING)
    return f'{sha256} {code_of(*modules)} {versions} {device.type}'


def in_float32(outputs: Any) -> Any:
    """Tensors, nested in tuples and lists, as float32."""
    if isinstance(outputs, tuple | list):
        return type(outputs)(map(in_float32, outputs))
    return outputs.float()


class BackboneOutput(NamedTuple):
    """An image as the network has seen it: its C4 map ``(1, C, h, w)``, network-input pixels per image pixel, and both
    sizes (height, width)."""

    feature_map: Tensor
    scale: float
    input_size: tuple[int, int]
    image_size: tuple[int, int]


@DETECTORS.register_module(name='mmdet-c4')
class Detector(plugins.Detector):
    """A two-stage detector of mmdet with one stride-16 map and class-wise boxes, from a weight file.

    Args:
        weights: a detector's weight file; ``meta`` names its config and classes.
        device: where it runs.

    Raises:
        InputError: the file holds no detector, or one of another network.
    """

    precisions = ('fp32', 'bf16')

    def __init__(self, weights: Weights, device: str = 'cpu') -> None:
        config, self.classes = described_detector(weights)
        self.stride = 16
        self.decodes_in_image_pixels = config.boxes_decoded_in == 'image'
        self.device = torch.device(device)
        self.prepare = input_pipeline(config)
        self.network: Any = build_network(config)  # mmdet's modules are looked up by name
        fill(self.network, weights.tensors, weights.path)
        self.network.to(self.device).eval()
        self.trained_on = weights.meta.get('trained_on')
        self._sha256 = weights.sha256
        self._modules = (f'{CONFIGS_PACKAGE}.{Path(config.filename).stem}', *config.custom_imports['imports'])

    def prepare_to_run(self) -> None:
        """Fold batch norms into convolutions: see :func:`harness.detection.folding.fold`."""
        fold(self.network)

    def features(self, image: np.ndarray, info: ImageInfo,
                 annotations: list[Annotation] | None = None) -> ImageFeatures:
        """Everything that an image's expressions share.

        Args:
            image: ``(H, W, 3)`` uint8 BGR.
            info: its record; sizes are the image's own.
            annotations: its annotated objects, where available.
        """
        return self._describe(self.see(image), info, annotations)

    def maps_of(self, image: np.ndarray, info: ImageInfo) -> ImageFeatures:
        """See :class:`harness.plugins.Detector`."""
        return self._describe(self.see(image), info, None, with_boxes=False)

    def _computed(self, part: Callable[[Any], Any], inputs: Any) -> Any:
        """The output of a part of the network, computed in :attr:`precision` and given in float32: boxes are decoded,
        confidences compared and maps sampled in that."""
        if self.precision == 'fp32':
            return part(inputs)
        with torch.autocast(self.device.type, torch.bfloat16):
            return in_float32(part(inputs))

    def identity(self) -> str | None:
        """See :func:`identity_of`; the weights name the config."""
        if type(self).__module__ != __name__:  # a class of somebody's own, whose code this does not see
            return None
        return identity_of(self._sha256, self.device, __name__, *self._modules)

    def to_store(self, image: ImageFeatures, maps: bool) -> dict[str, Tensor]:
        """See :class:`harness.plugins.Detector`."""
        kept = {'class_boxes': image.class_boxes, 'class_scores': image.class_scores}
        if maps:
            kept |= {'feature_map': image.feature_map, 'scale': torch.tensor(float(image.scale), dtype=torch.float64)}
        return kept

    def from_store(self, kept: Mapping[str, Tensor], image: np.ndarray, info: ImageInfo) -> ImageFeatures:
        """Without a kept map the backbone runs again; regions are not looked for and not classified."""
        if 'feature_map' in kept:
            # Laid out as the backbone gives it, which decides the last bits of what follows.
            feature_map = kept['feature_map'].to(self.device).contiguous(memory_format=torch.channels_last)
            scale = float(kept['scale'])
        else:
            feature_map, scale = self.see(image)[:2]
        return ImageFeatures(info=info, scale=scale, feature_map=feature_map,
                             class_boxes=kept['class_boxes'].to(self.device),
                             class_scores=kept['class_scores'].to(self.device), classes=self.classes, detector=self)

    def check_map(self, feature_map: Tensor, where: str) -> None:
        """Refuse a stored C4 map of another detector; ``where`` is its file."""
        channels, own = feature_map.shape[1], self.network.rpn_head.in_channels
        if channels != own:
            raise InputError(f"{where}: its map has {channels} channels, the detector's has {own}; give the detector "
                             'that made it by --weights detector=FILE')

    def from_map(self, feature_map: Tensor, scale: float, info: ImageInfo, annotations: list[Annotation] | None = None,
                 input_size: tuple[int, int] | None = None) -> ImageFeatures:
        """The same from a stored C4 map.

        Args:
            feature_map: ``(1, C, h, w)``, for instance ``head`` of MAttNet's ``head_feats/*.h5``.
            scale: network-input pixels per image pixel, there ``im_info[0, 2]``.
            info: the image's record.
            annotations: its annotated objects, where available.
            input_size: height and width of the network's input, there ``im_info[0, :2]``; without it there are no class
                boxes, which pooling, head and masks do not need.
        """
        size = (info.height, info.width)
        seen = BackboneOutput(feature_map.to(self.device, torch.float32), float(scale), input_size or size, size)
        return self._describe(seen, info, annotations, with_boxes=input_size is not None)

    def _describe(self, seen: BackboneOutput, info: ImageInfo, annotations: list[Annotation] | None,
                  with_boxes: bool = True) -> ImageFeatures:
        none = seen.feature_map.new_zeros((0, len(self.classes), 4))
        boxes, scores = self.classify(seen, self.regions(seen)) if with_boxes else (none, none[..., 0])
        return ImageFeatures(info=info, scale=seen.scale, feature_map=seen.feature_map, class_boxes=boxes,
                             class_scores=scores, classes=self.classes, detector=self, annotations=annotations)

    @torch.inference_mode()
    def see(self, image: np.ndarray) -> BackboneOutput:
        """``(H, W, 3)`` uint8 BGR, prepared as the config says, through the backbone."""
        ready = self.prepare(dict(img=image))
        pixels = torch.from_numpy(np.ascontiguousarray(ready['img'].transpose(2, 0, 1)))
        data = self.network.data_preprocessor(dict(inputs=[pixels], data_samples=[DetDataSample()]))
        feature_map, = self._computed(self.network.extract_feat, data['inputs'])
        return BackboneOutput(feature_map, ready['scale_factor'][0], ready['img_shape'], image.shape[:2])

    @torch.inference_mode()
    def regions(self, seen: BackboneOutput) -> Tensor:
        """``(R, 4)`` xyxy of the region proposal network, network-input pixels, best first."""
        sample = DetDataSample(metainfo=dict(img_shape=seen.input_size))
        logits_and_deltas = self._computed(self.network.rpn_head, (seen.feature_map,))
        return self.network.rpn_head.predict_by_feat(*logits_and_deltas, batch_img_metas=[sample.metainfo],
                                                     rescale=False)[0].bboxes

    @torch.inference_mode()
    def classify(self, seen: BackboneOutput, regions: Tensor) -> tuple[Tensor, Tensor]:
        """``(R, 4)`` regions in network-input pixels to ``(R, K, 4)`` class boxes, image pixels, and ``(R, K)``
        confidences."""
        head = self.network.roi_head.bbox_head
        logits, deltas = self._computed(head, self.head(crop_and_resize(seen.feature_map, regions, self.stride)))
        scale, size = (seen.scale, seen.image_size) if self.decodes_in_image_pixels else (1., seen.input_size)
        rois = (regions / scale).repeat_interleave(head.num_classes, dim=0)
        boxes = head.bbox_coder.decode(rois, deltas.reshape(-1, 4), max_shape=size) / (seen.scale / scale)
        return boxes.reshape(len(regions), head.num_classes, 4), logits.softmax(-1)[:, :-1]

    @torch.inference_mode()
    def pool(self, image: ImageFeatures, boxes: Tensor) -> Tensor:
        """``(n, 4)`` xyxy image pixels to ``(n, C, 7, 7)`` crops of the C4 map."""
        return crop_and_resize(image.feature_map, boxes.to(self.device) * image.scale, self.stride)

    @torch.inference_mode()
    def head(self, crops: Tensor) -> Tensor:
        """``(n, C, 7, 7)`` crops to ``(n, F, 7, 7)`` features of the last stage."""
        parts = crops.contiguous(memory_format=torch.channels_last).chunk(max(1, -(-len(crops) // _CROPS_AT_ONCE)))
        return torch.cat([self._computed(self.network.roi_head.shared_head, part) for part in parts])

    @torch.inference_mode()
    def masks(self, image: ImageFeatures, boxes: Tensor, labels: Tensor) -> list[dict]:
        """Masks of chosen boxes, pasted at image size by the conventions of the config's mask head: mmdet's, or
        :func:`harness.detection.painted_masks.paint_masks`. A box that is wholly outside the image has an empty one.

        Args:
            boxes: ``(n, 4)`` xyxy image pixels.
            labels: ``(n,)`` class indices.

        Returns:
            n run-length encodings of pycocotools (``counts`` as str).
        """
        size = (image.info.height, image.info.width)
        outside = wholly_outside(boxes, *size)
        if outside.any():
            empty = as_text(coco_mask.encode(np.zeros(size, np.uint8, order='F')))
            inside = iter(self.masks(image, boxes[~outside], labels[~outside]))
            return [empty if out else next(inside) for out in outside.tolist()]
        if len(boxes) == 0:
            return []
        mask_head = self.network.roi_head.mask_head
        logits = self._computed(mask_head, self.head(self.pool(image, boxes))).cpu()
        results = [InstanceData(bboxes=boxes.cpu().clone(), labels=labels.cpu())]
        meta = dict(ori_shape=size, img_shape=size, scale_factor=(1.0, 1.0))
        mask_head.predict_by_feat((logits,), results, [meta], self.network.roi_head.test_cfg, rescale=True)
        masks = results[0].masks.numpy().astype(np.uint8)
        encoded = coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0)))
        return [as_text(rle) for rle in encoded]
