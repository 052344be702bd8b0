"""Train the embedded benchmark's detector: mmdet's own losses and pipelines on the generated training images."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed

from harness.detection.detector import build_network, detector_config
from harness.files.fingerprint import Record, code_of, sha256_of
from harness.files.weights import provenance, save_weights
from harness.training.runner import fit

CONFIG = 'embedded'


def train_set(annotation_file: Path, images: Path, categories: Sequence[str], scale: float) -> CocoDataset:
    """All images of a COCO file as mmdet reads them, flipped at random, resized by ``scale``."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='Resize', scale_factor=scale, keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDetInputs'),
    ]
    with DefaultScope.overwrite_default_scope('mmdet'):
        return CocoDataset(ann_file=str(annotation_file), data_prefix=dict(img=str(images)), pipeline=pipeline,
                           metainfo=dict(classes=tuple(categories)), filter_cfg=dict(filter_empty_gt=True, min_size=1))


def detector_record(annotation_file: Path, seed: int) -> Record:
    """What shapes a training, beside its epochs and its batches."""
    return {'config': CONFIG, 'seed': seed, 'sha256 of annotations': sha256_of(annotation_file),
            'code of training': code_of(__name__, f'harness.detection.configs.{CONFIG}')}


def train_detector(annotation_file: Path, images: Path, out: Path, work_dir: Path, *, command: str, seed: int,
                   epochs: int = 8, batch_size: int = 4) -> Path:
    """Train from scratch and write ``out``.

    Args:
        annotation_file: a COCO ``instances.json``; its categories, by id, are the classes.
        images: their folder.
        out: the safetensors file.
        work_dir: checkpoints, for resuming.
        command: what to put down as this file's origin.
    """
    content = annotation_file.read_bytes()
    categories = [c['name'] for c in sorted(json.loads(content)['categories'], key=lambda c: c['id'])]
    config = detector_config(CONFIG)
    set_random_seed(seed)
    network: Any = build_network(config)
    network.init_weights()
    pictures = train_set(annotation_file, images, categories, float(config.input_scale))
    steps = epochs * (len(pictures) // batch_size)
    fit('detector', network, pictures, collate=pseudo_collate, batch_size=batch_size, epochs=epochs,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.02),
                           clip_grad=dict(max_norm=10.0)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=min(200, steps)),
            dict(type='CosineAnnealingLR', by_epoch=False, T_max=steps, begin=0, end=steps, eta_min=1e-5)],
        work_dir=work_dir, seed=seed, workers=1, shaped_by=detector_record(annotation_file, seed))
    meta = {'kind': 'detector', 'config': CONFIG, 'classes': categories, 'epochs': epochs,
            **provenance(command, seed, hashlib.sha256(content).hexdigest())}
    save_weights(out, network.state_dict(), meta)
    return out
