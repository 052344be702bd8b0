"""The embedded world laid out as RefCOCO is on disk, so that the whole way from data to tables can be tried without it.

::

    DIR/refcoco/refs(unc).p, refs(google).p, instances.json       pickles of protocol 2, as REFER's
    DIR/refcoco+/refs(unc).p, instances.json
    DIR/refcocog/refs(umd).p, refs(google).p, instances.json
    DIR/images/train2014/COCO_train2014_%012d.jpg
    DIR/annotations/instances_train2014.json                      the images that a detector learns from
    DIR/annotations/instances_val2014.json                        all others
    DIR/annotations/train_images.txt                              the ids of the former, for ``convert --trained-on``
    DIR/mask-rcnn_r18_fpn.py                                      a config of mmdet for them

Fields are REFER's and COCO's alone: what a generated scene knows beyond them is left out. Masks are polygons,
categories COCO's 80, and the splits are those of UNC, UMD and Google. ``harness.data.rehearsal_mark`` marks every
``instances.json``.
"""
from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from harness.data.coco_categories import COCO_IDS
from harness.data.rehearsal_mark import INFO
from harness.embedded.build import IMAGES, PARTS, Split, make_pictures
from harness.embedded.outlines import polygons
from harness.errors import InputError
from harness.names import OneLineParser, at_least

DETECTOR_CONFIG = Path(__file__).with_name('mask-rcnn_r18_fpn.py')
_UNC = {'refcoco': 'mini-refcoco', 'refcoco+': 'mini-refcoco+', 'refcocog': 'mini-refcocog'}

Record = dict[str, Any]


def _as_drawn(ref: Record) -> str:
    return ref['split']


def _google_by_image(ref: Record) -> str:
    """Google's RefCOCO: train, val and one test."""
    return 'test' if ref['split'].startswith('test') else ref['split']


def _google_by_referent(ref: Record) -> str:
    """Google's RefCOCOg: divided by referents, so that an image can be in both splits."""
    return 'val' if ref['ref_id'] % 10 == 0 else 'train'


#: The refs files of each dataset, by who divided them.
SPLITS: dict[str, dict[str, Callable[[Record], str]]] = {
    'refcoco': {'unc': _as_drawn, 'google': _google_by_image},
    'refcoco+': {'unc': _as_drawn},
    'refcocog': {'umd': _as_drawn, 'google': _google_by_referent},
}


def write_rehearsal(folder: Path, train_images: int | None = None, split_images: int | None = None,
                    processes: int | None = None) -> None:
    """Draw the scenes and write the layout; ``folder`` appears once it is complete.

    Args:
        folder: must not exist, or be empty.
        train_images: how many images to learn from, by default all of the embedded benchmark's 2,600.
        split_images: how many images each evaluation split has, by default as the embedded benchmark's.
        processes: workers, by default one per core.

    Raises:
        InputError: the folder has files in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f'{folder}: is there already; choose a new folder, or delete it')
    beside = folder.with_name(f'.{folder.name}.part-{os.getpid()}')
    try:
        (beside / IMAGES).mkdir(parents=True)
        splits = [_resized(split, train_images if part == 'train' else split_images)
                  for part in ('train', 'eval') for split in PARTS[part]]
        jobs = [(beside / IMAGES, split, number) for split in splits for number in range(split.images)]
        pictures = make_pictures(jobs, processes or os.cpu_count() or 1)
        for picture in pictures:
            picture['annotations'] = [_coco_annotation(row) for row in picture['annotations']]
        for name in SPLITS:
            _write_dataset(beside / name, name, [p for p in pictures if _UNC[name] in p['refs']])
        _write_detection(beside, pictures)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _resized(split: Split, images: int | None) -> Split:
    return replace(split, picture='jpg', images=split.images if images is None else min(images, split.images))


def _coco_annotation(row: Record) -> Record:
    """COCO's fields, with polygons in the place of run lengths."""
    return {'id': row['id'], 'image_id': row['image_id'], 'category_id': row['category_id'], 'bbox': row['bbox'],
            'area': row['area'], 'iscrowd': 0, 'segmentation': polygons(coco_mask.decode(row['segmentation']))}


def _write_dataset(folder: Path, name: str, pictures: Sequence[Record]) -> None:
    folder.mkdir()
    refs = _numbered([ref for picture in pictures for ref in picture['refs'][_UNC[name]]], name)
    for maker, split_of in SPLITS[name].items():
        divided = [{**ref, 'split': split_of(ref)} for ref in refs]
        (folder / f'refs({maker}).p').write_bytes(pickle.dumps(divided, protocol=2))
    _write_instances(folder / 'instances.json', pictures)


def _numbered(refs: Iterable[Record], name: str) -> list[Record]:
    """Refs with REFER's fields alone, their ids counted over the dataset from 0 on, as the published ones' are."""
    numbered, sent_id = [], 0
    for ref_id, ref in enumerate(refs):
        sentences = []
        for sentence in ref['sentences']:
            sentences.append({'tokens': list(sentence['tokens']), 'raw': sentence['raw'], 'sent_id': sent_id,
                              'sent': sentence['sent']})
            sent_id += 1
        # The published file names carry the annotation's id in RefCOCOg, another number in the other two.
        suffix = ref['ann_id'] if name == 'refcocog' else ref_id
        numbered.append({
            'sent_ids': [s['sent_id'] for s in sentences],
            'file_name': f'COCO_train2014_{ref["image_id"]:012d}_{suffix}.jpg', 'ann_id': ref['ann_id'],
            'ref_id': ref_id, 'image_id': ref['image_id'], 'split': ref['split'], 'sentences': sentences,
            'category_id': ref['category_id']})
    return numbered


def _write_detection(root: Path, pictures: Sequence[Record]) -> None:
    """What a detector learns from: no image that a split evaluates, as with the originals' detector."""
    folder = root / 'annotations'
    folder.mkdir()
    learned = [picture for picture in pictures if picture['split'] == 'train']
    _write_instances(folder / 'instances_train2014.json', learned)
    _write_instances(folder / 'instances_val2014.json', [p for p in pictures if p['split'] != 'train'])
    (folder / 'train_images.txt').write_text(''.join(f'{picture["image"]["id"]}\n' for picture in learned))
    shutil.copyfile(DETECTOR_CONFIG, root / DETECTOR_CONFIG.name)


def _write_instances(path: Path, pictures: Sequence[Record]) -> None:
    instances = {
        'info': INFO,
        'images': [picture['image'] for picture in pictures],
        'annotations': [row for picture in pictures for row in picture['annotations']],
        'categories': [{'id': number, 'name': name} for name, number in COCO_IDS.items()],
    }
    path.write_text(json.dumps(instances, separators=(',', ':')))


def main(arguments: Sequence[str]) -> None:
    """``python -m harness.embedded rehearsal``."""
    parser = OneLineParser(prog='python -m harness.embedded rehearsal',
                           description='Write the embedded world in the layout of RefCOCO, RefCOCO+ and RefCOCOg.')
    parser.add_argument('folder', type=Path, metavar='DIR', help='a new folder')
    parser.add_argument('--train-images', type=at_least(1), metavar='N', help='images to learn from (default: 2600)')
    parser.add_argument('--split-images', type=at_least(1), metavar='N',
                        help='images of each evaluation split (default: 160, RefCOCOg 280)')
    parser.add_argument('--processes', type=at_least(1), help='worker processes (default: one per core)')
    options = parser.parse_args(arguments)
    write_rehearsal(options.folder, options.train_images, options.split_images, options.processes)
    print(f'{options.folder}: a rehearsal of RefCOCO, RefCOCO+ and RefCOCOg', file=sys.stderr)
