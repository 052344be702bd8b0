"""Two-stage detectors of mmdet, held against mmdet's own inference: ``python -m tests.mmdet_families PHOTO…``.

Each family's config is the installed mmdet's. The tests take it narrow, so that a few images take seconds; this command
takes it as it is, on photographs of one's own (a minute an image for C4 on a CPU). Weights are random: what is compared
is the way of computing. Confidences are spread and the threshold lowered, so that there is something to suppress.
"""
from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmdet
import numpy as np
import torch
from mmdet.apis import inference_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from pycocotools import mask as coco_mask
from torch import nn

from harness.detection.model_config import LEFT_OUT, described
from harness.detection.pictures import read_image
from harness.detection.two_stage import TwoStageDetector
from harness.files.weights import Weights
from harness.proposals.greedy import Greedy
from harness.types import ImageInfo

CONFIGS = {
    'faster-r50-fpn': 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'mask-r50-fpn': 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'mask-r101-caffe-c4': 'mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py',
    'mask-x101-fpn': 'mask_rcnn/mask-rcnn_x101-32x4d_fpn_1x_coco.py',
    'cascade-mask-r50-fpn': 'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py',
    'mask-swin-t-fpn': 'swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
}
#: Lowered from mmdet's 0.05, as 80 classes of random weights hardly reach that.
THRESHOLD = 0.0126
#: How the logits of classes are spread: by the last layer's weights.
_SPREAD = {'mask-r101-caffe-c4': 0.05}


@dataclass
class Family:
    """A network with random weights: mmdet's own, its config, and the file that we read."""

    config: Config
    model: Any
    weights: Weights


def family(name: str, narrow: bool, classes: int = 80) -> Family:
    """One of :data:`CONFIGS`."""
    config = Config.fromfile(Path(mmdet.__file__).parent / '.mim' / 'configs' / CONFIGS[name])
    model = config.model
    without(model, LEFT_OUT - {'train_cfg'})
    if 'r101' in name:
        model.backbone.depth = 101
    if narrow:
        _narrow(config)
    for head in _list(model.roi_head.bbox_head):
        head.num_classes = classes
    if 'mask_head' in model.roi_head:
        for head in _list(model.roi_head.mask_head):
            head.num_classes = classes
    model.test_cfg.rcnn.score_thr = THRESHOLD if classes == 80 else 1.05 / (classes + 1)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        network: Any = MODELS.build(model).eval()
    for head in network.roi_head.bbox_head if isinstance(network.roi_head.bbox_head, nn.ModuleList) else [
            network.roi_head.bbox_head]:
        nn.init.normal_(head.fc_cls.weight, 0, _SPREAD.get(name, 0.2) * (4 if narrow else 1))
        nn.init.normal_(head.fc_reg.weight, 0, 0.02)
    network.cfg, network.dataset_meta = config, {'classes': tuple(f'class {i}' for i in range(classes))}
    meta = {'kind': 'detector', 'classes': list(network.dataset_meta['classes']), **described(config)}
    return Family(config, network, Weights(Path(f'{name}.safetensors'), dict(network.state_dict()), meta, name))


def without(part: Any, names: Sequence[str] | frozenset[str]) -> None:
    """Take some names out of a config, inner ones too."""
    if isinstance(part, dict):
        for name in names:
            part.pop(name, None)
        for inner in part.values():
            without(inner, names)
    elif isinstance(part, list | tuple):
        for inner in part:
            without(inner, names)


def _narrow(config: Config) -> None:
    """An eighth of the channels, and small images."""
    model = config.model
    if 'neck' not in model:
        raise ValueError("mmdet's C4 heads have the widths of a whole ResNet")
    if model.backbone.type == 'SwinTransformer':
        model.backbone.update(embed_dims=24, depths=[1, 1, 2, 1])
        widths = [24, 48, 96, 192]
    else:
        model.backbone.update(base_channels=8, depth=50)
        widths = [32, 64, 128, 256]
    if model.backbone.type == 'ResNeXt':
        model.backbone.update(groups=4, base_width=32)
    channels, heads = 16, model.roi_head
    model.neck.update(in_channels=widths, out_channels=channels)
    model.rpn_head.update(in_channels=channels, feat_channels=channels)
    for extractor in (*_list(heads.bbox_roi_extractor), *_list(heads.get('mask_roi_extractor', []))):
        extractor.out_channels = channels
    for head in _list(heads.bbox_head):
        head.update(in_channels=channels, fc_out_channels=32)
    for head in _list(heads.get('mask_head', [])):
        head.update(in_channels=channels, conv_out_channels=channels)
    model.test_cfg.rpn.update(nms_pre=100, max_per_img=50)
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (160, 100)


def _list(part: Any) -> list[Any]:
    return list(part) if isinstance(part, list | tuple) else [part]


def ours(detector: TwoStageDetector, config: Config, image: np.ndarray) -> dict[str, Any]:
    """What candidates, ``greedy`` and masks give at mmdet's own thresholds."""
    features = detector.features(image, ImageInfo(1, *image.shape[:2]))
    test = config.model.test_cfg.rcnn
    rule = Greedy(threshold=test.score_thr, nms_iou=test.nms.iou_threshold, inclusive=False)
    found = rule.propose(features)[:test.max_per_img]
    found = found[found.scores > test.score_thr]  # the rule lowers a threshold that no box reaches
    masks = detector.masks(features, found.bboxes, found.labels) if detector.makes_masks else None
    return {'bboxes': found.bboxes, 'scores': found.scores, 'labels': found.labels, 'masks': masks}


def differences(name: str, members: Family, image: np.ndarray) -> dict[str, float]:
    """The largest difference of each result from mmdet's own; of masks, the share of other pixels."""
    DefaultScope.get_instance(f'families-{name}', scope_name='mmdet')
    with DefaultScope.overwrite_default_scope('mmdet'):
        theirs = inference_detector(members.model, image).pred_instances
    found = ours(TwoStageDetector(members.weights), members.config, image)
    assert len(theirs) == len(found['scores']) > 0, f'{name}: {len(theirs)} boxes, ours are {len(found["scores"])}'
    most: Mapping[str, float] = {
        key: float((getattr(theirs, key) - found[key]).abs().max()) for key in ('bboxes', 'scores', 'labels')}
    if found['masks'] is None:
        return dict(most)
    masks = coco_mask.decode(found['masks']).transpose(2, 0, 1).astype(bool)
    return {**most, 'masks': float((masks != theirs.masks.numpy()).mean())}


def main(photos: list[str]) -> int:
    torch.set_num_threads(1)
    for name in CONFIGS:
        members = family(name, narrow=False)
        for photo in photos:
            found = differences(name, members, read_image(Path(photo)))
            print(f'{name}, {Path(photo).name}: ' + ', '.join(f'{key} {most:.2g}' for key, most in found.items()),
                  flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
