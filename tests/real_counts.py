"""A data root with the published counts of RefCOCO, RefCOCO+ and RefCOCOg, to see what their trainings would take::

    python -m tests.real_counts DIR

Images, boxes and sentences are stand-ins: four generated pictures of 640 × 480 pixels under all names, ten boxes an
image (COCO annotates 9.8 in RefCOCO's), sentences of the embedded benchmark. ``DIR/detector.safetensors`` is mmdet's
``mask-rcnn_r50_fpn_1x_coco`` with random weights, whose confidences are spread so that an image has about 500
candidates. ``train NAME --data-root DIR --dataset refcoco --weights detector=DIR/detector.safetensors --dry-run`` then
estimates at RefCOCO's true size. Nothing else of RefCOCO is in it, and nothing can be learned from it.
"""
from __future__ import annotations

import json
import os
import pickle
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from harness.data.coco_categories import COCO_CLASSES, COCO_IDS
from harness.data.counts import PUBLISHED, SPLIT_BY, Counts
from harness.embedded.known import load_embedded
from harness.embedded.world import make_scene
from harness.files.weights import provenance, save_weights
from tests.mmdet_families import family

WIDTH, HEIGHT = 640, 480
BOXES_AN_IMAGE = 10
_PICTURES = 4  # a file cannot have as many names as there are images


def write(root: Path) -> None:
    """Write the data root; nothing must be there."""
    folder = root / 'images/train2014'
    folder.mkdir(parents=True)
    for number in range(_PICTURES):
        picture = cv2.resize(make_scene(number, 'mixed').image, (WIDTH, HEIGHT))
        cv2.imwrite(str(root / f'picture-{number}.jpg'), picture)
    for image_id in range(1, 1 + max(_images(splits) for splits in PUBLISHED.values())):
        os.link(root / f'picture-{image_id % _PICTURES}.jpg', folder / _name(image_id))
    for name, splits in PUBLISHED.items():
        write_dataset(root / name, name, splits)
    write_detector(root / 'detector.safetensors')


def write_detector(path: Path) -> None:
    """A detector of the size of mmdet's public one, which finds about 500 candidates wherever it looks."""
    weights = family('mask-r50-fpn', narrow=False).weights
    tensors = {name: value.clone() for name, value in weights.tensors.items()}
    torch.manual_seed(1)
    nn.init.normal_(tensors['roi_head.bbox_head.fc_cls.weight'], 0, 0.8)
    tensors['roi_head.bbox_head.fc_cls.bias'].zero_()[-1] = 8  # the background
    save_weights(path, tensors, {**weights.meta, 'classes': list(COCO_CLASSES), **provenance('', 1, '')})


def _images(splits: dict[str, Counts]) -> int:
    return sum(counts.images for counts in splits.values())


def _name(image_id: int) -> str:
    return f'COCO_train2014_{image_id:012d}.jpg'


def write_dataset(folder: Path, name: str, splits: dict[str, Counts]) -> None:
    """Write one dataset with as many images, referents and expressions in each split as are published."""
    folder.mkdir()
    sentences = cycle(e.tokens for e in load_embedded(f'mini-{name}').expressions)
    refs: list[dict[str, Any]] = []
    first, sent_id = 1, 0
    for split, counts in splits.items():
        for number in range(counts.referents):
            image_id = first + number % counts.images
            ann_id = image_id * 100 + number // counts.images + 1
            many = counts.expressions // counts.referents + (number < counts.expressions % counts.referents)
            said = []
            for tokens in (next(sentences) for _ in range(many)):
                said.append({'sent_id': sent_id, 'sent': ' '.join(tokens), 'raw': ' '.join(tokens),
                             'tokens': list(tokens)})
                sent_id += 1
            refs.append({'ref_id': len(refs), 'ann_id': ann_id, 'image_id': image_id, 'split': split,
                         'category_id': _category(ann_id), 'file_name': _name(image_id), 'sentences': said,
                         'sent_ids': [one['sent_id'] for one in said]})
        first += counts.images
    (folder / f'refs({SPLIT_BY[name]}).p').write_bytes(pickle.dumps(refs, protocol=2))
    instances = {
        'images': [{'id': i, 'file_name': _name(i), 'height': HEIGHT, 'width': WIDTH} for i in range(1, first)],
        'annotations': [_annotation(i, i * 100 + number + 1) for i in range(1, first)
                        for number in range(BOXES_AN_IMAGE)],
        'categories': [{'id': number, 'name': category} for category, number in COCO_IDS.items()]}
    (folder / 'instances.json').write_text(json.dumps(instances))


def _category(ann_id: int) -> int:
    ids = list(COCO_IDS.values())
    return ids[ann_id % len(ids)]


def _annotation(image_id: int, ann_id: int) -> dict[str, Any]:
    random = np.random.default_rng(ann_id)
    x, y = random.uniform(0, (WIDTH - 200, HEIGHT - 200)).tolist()
    width, height = random.uniform(30, 200, 2).tolist()
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {'id': ann_id, 'image_id': image_id, 'category_id': _category(ann_id), 'bbox': [x, y, width, height],
            'area': width * height, 'iscrowd': 0, 'segmentation': [corners]}


if __name__ == '__main__':
    write(Path(sys.argv[1]))
