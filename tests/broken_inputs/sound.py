"""Sound inputs: three expressions of two small images, and what belongs to them in every layout that is read."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import cv2
import numpy as np

from tests.broken_inputs.damage import Content, broken, damaged, dumped, written
from tests.broken_inputs.trials import Trial

HEIGHT, WIDTH = 96, 128
NAME = 'COCO_train2014_{:012d}.jpg'

#: Plain expressions, by the name of a dataset whose weights are shipped.
EXPRESSION = {'dataset': 'refcoco', 'split': 'val', 'image_id': 7, 'height': HEIGHT, 'width': WIDTH,
              'bbox': [10, 20, 30, 40], 'sent': 'red dog', 'sent_id': 31, 'ref_id': 3, 'ann_id': 70,
              'tokens': ['red', 'dog']}
OTHERS = [{**EXPRESSION, 'sent_id': 32, 'sent': 'dog', 'tokens': ['dog']},
          {**EXPRESSION, 'image_id': 8, 'sent_id': 33, 'sent': 'left cup', 'tokens': ['left', 'cup'], 'ann_id': 80,
           'ref_id': 4, 'bbox': [50, 10, 40, 40]}]
CANDIDATES = {'7': [[10, 20, 30, 40, 0.9], [0, 0, 20, 20, 0.5]], '8': [[50, 10, 40, 40, 0.75]]}
EXCERPT = [{'sent': 'red dog', 'gt_box': [10, 20, 30, 40], 'pred_boxes': [[10, 20, 30, 40], [0, 0, 20, 20]],
            'pred_boxes_img_id': ['COCO_train2014_000000000007', 'COCO_train2014_000000000007']}]
MATTNET = [
    {'det_id': i, 'h5_id': i, 'box': box, 'image_id': image, 'category_id': 18, 'category_name': 'dog', 'score': 0.5}
    for i, (image, box) in enumerate([(7, [10.0, 20.0, 30.0, 40.0]), (7, [0.0, 0.0, 20.0, 20.0]),
                                      (8, [50.0, 10.0, 40.0, 40.0])])]
REF_NMS = [
    {'det_id': i, 'h5_id': i, 'ref_id': 3, 'sent_id': sent, 'image_id': image, 'box': [10.0, 20.0, 29.0, 39.0],
     'category_id': 18, 'category_name': 'dog', 'split': 'val'}
    for i, (sent, image) in enumerate([(31, 7), (32, 7), (33, 8)])]
RLE = {'size': [HEIGHT, WIDTH], 'counts': [20 * HEIGHT, 30 * HEIGHT, HEIGHT * (WIDTH - 50)]}
MASKS = [{**row, 'rle': RLE} for row in MATTNET]
POLYGON = [[10, 20, 40, 20, 40, 60, 10, 60]]

#: Answers, in every layout.
COCO_RESULTS = [{'sent_id': sent, 'bbox': [10, 20, 30, 40], 'score': 0.9, 'segmentation': RLE, 'dataset': 'refcoco'}
                for sent in (31, 32, 33)]
EVAL_DETS = {'predictions': [
    {'image_id': 7, 'sent_id': sent, 'sent': 'red dog', 'gd_box': [10, 20, 30, 40], 'pred_det_id': 1,
     'pred_box': [10.0, 20.0, 30.0, 40.0], 'pred_score': 0.5, 'rle': RLE} for sent in (31, 32, 33)], 'acc': 0.5}
TREE_DETS = {str(sent): {'sent_id': sent, 'pred_det_id': 1, 'boxes': [10.0, 20.0, 30.0, 40.0]} for sent in (31, 32, 33)}

#: REFER's layout.
REFS = [{'ref_id': 3, 'ann_id': 70, 'image_id': 7, 'category_id': 18, 'split': 'val', 'sent_ids': [31, 32],
         'file_name': 'COCO_train2014_000000000007_70.jpg', 'sentences': [
             {'sent_id': 31, 'sent': 'red dog', 'raw': 'Red dog', 'tokens': ['red', 'dog'], 'context_ann_ids': [71]},
             {'sent_id': 32, 'sent': 'dog', 'raw': 'dog', 'tokens': ['dog']}]},
        {'ref_id': 4, 'ann_id': 80, 'image_id': 8, 'category_id': 47, 'split': 'val', 'sent_ids': [33],
         'file_name': 'COCO_train2014_000000000008_80.jpg', 'sentences': [
             {'sent_id': 33, 'sent': 'left cup', 'raw': 'left cup', 'tokens': ['left', 'cup']}]}]
INSTANCES = {
    'images': [{'id': i, 'height': HEIGHT, 'width': WIDTH, 'file_name': NAME.format(i)} for i in (7, 8)],
    'annotations': [
        {'id': 70, 'image_id': 7, 'category_id': 18, 'bbox': [10, 20, 30, 40], 'segmentation': POLYGON, 'iscrowd': 0},
        {'id': 71, 'image_id': 7, 'category_id': 47, 'bbox': [0, 0, 20, 20], 'segmentation': RLE, 'iscrowd': 1},
        {'id': 80, 'image_id': 8, 'category_id': 47, 'bbox': [50, 10, 40, 40],
         'segmentation': [[50, 10, 90, 10, 90, 50]]}],
    'categories': [{'id': 18, 'name': 'dog'}, {'id': 47, 'name': 'cup'}]}

#: MAttNet's, NMTree's and Ref-NMS's prepared data.
DATA = {
    'refs': [{'ref_id': 3, 'split': 'val', 'category_id': 18, 'ann_id': 70, 'sent_ids': [31, 32], 'att_wds': ['red'],
              'box': [10, 20, 30, 40], 'image_id': 7},
             {'ref_id': 4, 'split': 'val', 'category_id': 47, 'ann_id': 80, 'sent_ids': [33], 'att_wds': [],
              'box': [50, 10, 40, 40], 'image_id': 8}],
    'images': [{'image_id': i, 'height': HEIGHT, 'width': WIDTH, 'file_name': NAME.format(i), 'h5_id': i - 7}
               for i in (7, 8)],
    'anns': [{'ann_id': 70, 'category_id': 18, 'box': [10, 20, 30, 40], 'image_id': 7, 'h5_id': 0},
             {'ann_id': 80, 'category_id': 47, 'box': [50, 10, 40, 40], 'image_id': 8, 'h5_id': 1}],
    'sentences': [{'sent_id': 31, 'tokens': ['red', 'dog'], 'h5_id': 0}, {'sent_id': 32, 'tokens': ['dog'], 'h5_id': 1},
                  {'sent_id': 33, 'tokens': ['<UNK>'], 'h5_id': 2}],
    'word_to_ix': {'<PAD>': 0, '<UNK>': 1, 'dog': 2, 'red': 3}, 'att_to_ix': {'red': 0}, 'att_to_cnt': {'red': 9},
    'cat_to_ix': {'dog': 18, 'cup': 47}, 'label_length': 3}
DATA_DEP = {**DATA, 'word_to_ix': {'PAD': 0, 'red': 1, 'dog': 2, 'UNK': 3}, 'tag_to_ix': {'PAD': 0, 'JJ': 1, 'UNK': 2},
            'dep_to_ix': {'PAD': 0, 'ROOT': 1, 'UNK': 2}}
REFDB = {'dataset_splitby': 'refcoco_unc', 'val': [
    {'exp_id': 31, 'ref_id': 3, 'image_id': 7, 'bbox': [10, 20, 40, 60], 'tokens': [2, 1]},
    {'exp_id': 33, 'ref_id': 4, 'image_id': 8, 'bbox': [50, 10, 90, 50], 'tokens': []}]}
CTXDB = {'val': {'31': {'gt': {'box': [10, 20, 40, 60], 'cat_id': 18}, 'ctx': [{'box': [0, 0, 20, 20], 'cat_id': 47}]}}}


def lines(*rows: Any) -> bytes:
    """JSON, a row a line."""
    return b'\n'.join(map(dumped, rows)) + b'\n'


@cache
def jpeg() -> bytes:
    """A picture of two things."""
    pixels = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    cv2.circle(pixels, (25, 40), 18, (30, 30, 200), -1)
    cv2.rectangle(pixels, (50, 10), (90, 50), (200, 60, 30), -1)
    return cv2.imencode('.jpg', pixels)[1].tobytes()


@cache
def _plain() -> bytes:
    return lines(EXPRESSION, *OTHERS)


def plain() -> dict[str, Content]:
    """Plain expressions with their images."""
    return {'e.jsonl': _plain(), **{f'images/{NAME.format(i)}': jpeg() for i in (7, 8)}}


def refer() -> dict[str, Content]:
    """A data root."""
    return {'refcoco/refs(unc).json': dumped(REFS), 'refcoco/instances.json': dumped(INSTANCES),
            **{f'images/train2014/{NAME.format(i)}': jpeg() for i in (7, 8)}}


def trials_of(name: str, record: Any, argv: Sequence[str], files: Mapping[str, Content] | None = None, *,
              write: Callable[[Any], bytes] = dumped,
              program: Literal['run', 'reports', 'read'] = 'run') -> Iterator[Trial]:
    """One file of a record: sound, with one thing wrong in it, and damaged.

    Args:
        name: of the file.
        record: what is in it.
        argv: reads it.
        files: beside it.
        write: makes the file's bytes of a record.
        program: as :class:`Trial` has it.
    """
    files = dict(files or {})
    yield Trial('sound', argv, {**files, name: write(record)}, program, sound=True)
    for what, make in broken(record):
        yield Trial(what, argv, {**files, name: written(lambda make=make: write(make()))}, program)
    yield from damage_of(name, write(record), argv, files, program=program)


def damage_of(name: str, data: bytes, argv: Sequence[str], files: Mapping[str, Content] | None = None, *,
              program: Literal['run', 'reports', 'read'] = 'run') -> Iterator[Trial]:
    """The same of a file that is no record; without the sound one."""
    for what, content in damaged(data):
        yield Trial(what, argv, {**(files or {}), name: content}, program)
