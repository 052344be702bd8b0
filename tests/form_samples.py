"""The same three sentences in every form of the data, written by hand, and what a reader of each finds in them.

Two sentences are of a cup, one is of a dog. What a form lacks is ``None``; where it can, its file has a fourth sentence
that REC is not defined for.
"""
from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from harness.types import FormRow

CUP, DOG = 'COCO_train2014_000000000007.jpg', 'COCO_train2014_000000000042.jpg'
CUP_SIZE, DOG_SIZE = (240, 320), (100, 200)
SENTS = ('left cup', 'the red cup', 'dog')
CUP_XYWH, DOG_XYWH = (1.5, 2, 30, 40.25), (10, 20, 30.5, 40)
CUP_XYXY, DOG_XYXY = [1.5, 2, 31.5, 42.25], [10, 20, 40.5, 60]
IMAGES = (CUP, CUP, DOG)
XYWH, XYXY = (CUP_XYWH, CUP_XYWH, DOG_XYWH), (CUP_XYXY, CUP_XYXY, DOG_XYXY)
SIZES = (CUP_SIZE, CUP_SIZE, DOG_SIZE)
#: VLM-R1's question.
QUESTION = 'Please provide the bounding box coordinate of the region this sentence describes: {}.'

INSTANCES = {
    'images': [{'id': 7, 'file_name': CUP, 'height': 240, 'width': 320},
               {'id': 42, 'file_name': DOG, 'height': 100, 'width': 200}],
    'annotations': [
        {'id': 6, 'image_id': 7, 'category_id': 47, 'bbox': list(CUP_XYWH),
         'segmentation': [[1.5, 2, 31.5, 2, 31.5, 42.25, 1.5, 42.25]]},
        {'id': 5, 'image_id': 42, 'category_id': 18, 'bbox': list(DOG_XYWH), 'segmentation': None},
        {'id': 4, 'image_id': 42, 'category_id': 18, 'bbox': [100, 20, 30, 40], 'segmentation': None}],
    'categories': [{'id': 18, 'name': 'dog'}, {'id': 47, 'name': 'cup'}],
}


def json_file(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def lines(path: Path, rows: list[Any]) -> None:
    path.write_text(''.join(f'{json.dumps(row)}\n' for row in rows))


def refs(more: list[Any]) -> list[Any]:
    cup = {'ref_id': 8, 'ann_id': 6, 'image_id': 7, 'split': 'val', 'category_id': 47,
           'file_name': 'COCO_train2014_000000000007_3.jpg',
           'sentences': [{'sent_id': 11, 'sent': 'left cup', 'raw': 'Left cup', 'tokens': ['left', 'cup']},
                         {'sent_id': 12, 'sent': 'the red cup', 'raw': 'the red cup', 'tokens': ['the', 'red', 'cup']}]}
    dog = {**cup, 'ref_id': 9, 'ann_id': 5, 'image_id': 42, 'split': 'testA', 'category_id': 18,
           'sentences': [{'sent_id': 13, 'sent': 'dog', 'raw': 'dog', 'tokens': ['dog']}]}
    return [cup, dog, *more]


def write_refer(path: Path) -> None:
    path.write_bytes(pickle.dumps(refs([]), 2))


def write_grefcoco(path: Path) -> None:
    cup, dog = refs([])
    both = {**dog, 'ref_id': 10, 'ann_id': [5, 4], 'sentences': [{'sent_id': 14, 'sent': 'dogs', 'tokens': ['dogs']}]}
    none = {**dog, 'ref_id': 11, 'ann_id': [-1], 'sentences': [{'sent_id': 15, 'sent': 'cat', 'tokens': ['cat']}]}
    json_file(path, [{**cup, 'ann_id': [6]}, {**dog, 'ann_id': [5]}, both, none])


def mdetr(rows: list[tuple[str, str, tuple[int, int], int]], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        'images': [{'file_name': name, 'height': size[0], 'width': size[1], 'id': number, 'original_id': image_id,
                    'caption': sent, 'dataset_name': 'refcoco', 'tokens_negative': []}
                   for number, (sent, name, size, image_id) in enumerate(rows)],
        'annotations': annotations, 'categories': INSTANCES['categories']}


def write_mdetr(path: Path) -> None:
    rows = list(zip(SENTS, IMAGES, SIZES, (7, 7, 42), strict=True))
    json_file(path, mdetr([*rows, ('dogs', DOG, DOG_SIZE, 42), ('cat', DOG, DOG_SIZE, 42)], [
        {'id': 0, 'image_id': 0, 'bbox': CUP_XYWH, 'original_id': 6, 'category_id': 47},
        {'id': 1, 'image_id': 1, 'bbox': CUP_XYWH, 'original_id': 6, 'category_id': 47},
        {'id': 2, 'image_id': 2, 'bbox': DOG_XYWH, 'original_id': 5, 'category_id': 18, 'empty': False},
        {'id': 3, 'image_id': 3, 'bbox': DOG_XYWH, 'original_id': 5, 'category_id': 18},
        {'id': 4, 'image_id': 3, 'bbox': [100, 20, 30, 40], 'original_id': 4, 'category_id': 18},
        {'id': 5, 'image_id': 4, 'bbox': [0, 0, 0, 0], 'original_id': -1, 'category_id': -1, 'empty': True}]))


def write_odvg(path: Path) -> None:
    def grounding(sent: str, *boxes: list[float]) -> dict[str, Any]:
        return {'caption': sent, 'regions': [{'bbox': box, 'phrase': sent, 'tokens_positive': []} for box in boxes]}
    lines(path, [
        {'filename': CUP, 'height': 240, 'width': 320, 'grounding': grounding('left cup', CUP_XYXY)},
        {'filename': CUP, 'height': 240, 'width': 320, 'referring': [{'bbox': CUP_XYXY, 'phrase': ['the red cup']}]},
        {'filename': DOG, 'height': 100, 'width': 200, 'grounding': grounding('dog', DOG_XYXY)},
        {'filename': DOG, 'height': 100, 'width': 200, 'grounding': grounding('two dogs', DOG_XYXY, DOG_XYXY)}])


def write_minigpt(path: Path) -> None:
    json_file(path, [{'img_id': f'{image[:-4]}_3', 'sents': sent, 'bbox': box, 'height': size[0], 'width': size[1]}
                     for sent, image, box, size in zip(SENTS, IMAGES, XYWH, SIZES, strict=True)])


def write_qwen(path: Path) -> None:
    lines(path, [{'image': f'data/train2014/{image}', 'sent': sent, 'bbox': box, 'height': size[0], 'width': size[1]}
                 for sent, image, box, size in zip(SENTS, IMAGES, XYXY, SIZES, strict=True)])


def write_shikra(path: Path) -> None:
    lines(path, [{'img_path': image, 'expression': sent, 'bbox': box, 'dataset_name': 'REC_refcoco_unc',
                  'height': size[0], 'width': size[1]}
                 for sent, image, box, size in zip(SENTS, IMAGES, XYXY, SIZES, strict=True)])


def write_vlm_r1(path: Path) -> None:
    rows = [{'dataset': 'refcoco_val', 'text_type': 'caption', 'height': size[0], 'width': size[1],
             'normal_caption': sent, 'image': f'train2014/{image}', 'problem': QUESTION.format(sent), 'solution': box,
             'normalized_solution': [0, 0, 1, 1]}
            for sent, image, box, size in zip(SENTS, IMAGES, XYXY, SIZES, strict=True)]
    del rows[1]['normal_caption']
    json_file(path, [*rows, {**rows[2], 'normal_caption': 'cat', 'solution': None},
                     {**rows[2], 'normal_caption': 'dogs', 'solution': [DOG_XYXY, DOG_XYXY]}])


def write_conversations(path: Path) -> None:
    answers = (CUP_XYXY, '<answer>[1.5, 2, 31.5, 42.25]</answer>', str(DOG_XYXY))
    lines(path, [{'id': 1, 'image': image, 'conversations': [
        {'from': 'human', 'value': f'<image>{QUESTION.format(sent)}'}, {'from': 'gpt', 'value': answer}]}
        for sent, image, answer in zip(SENTS, IMAGES, answers, strict=True)])


def write_seqtr(path: Path) -> None:
    cup = {'image_id': 7, 'height': 240, 'width': 320, 'bbox': CUP_XYWH, 'expressions': list(SENTS[:2]),
           'mask': INSTANCES['annotations'][0]['segmentation']}
    dog = {'image_id': 42, 'height': 100, 'width': 200, 'bbox': DOG_XYWH, 'expressions': ['dog'],
           'mask': {'size': [100, 200], 'counts': [20000]}}
    json_file(path, {'val': [cup], 'testA': [dog]})


def write_cris(path: Path) -> None:
    json_file(path, [
        {'bbox': [1, 2, 31, 42], 'cat': 41, 'segment_id': 8, 'img_name': CUP, 'sentences_num': 2,
         'sentences': [{'idx': 0, 'sent_id': 11, 'sent': 'left cup'},
                       {'idx': 1, 'sent_id': 12, 'sent': 'the red cup'}]},
        {'bbox': [10, 20, 40, 60], 'cat': 16, 'segment_id': 9, 'img_name': DOG, 'sentences_num': 1,
         'sentences': [{'idx': 0, 'sent_id': 13, 'sent': 'dog'}]}])


def write_reclip(path: Path) -> None:
    dogs = [{'id': 5, 'bbox': DOG_XYWH}, {'id': 4, 'bbox': [100, 20, 30, 40]}]
    lines(path, [
        {'image_id': 7, 'file_name': 'COCO_train2014_000000000007_3.jpg', 'ann_id': 6, 'ref_id': 8,
         'anns': [{'id': 6, 'bbox': CUP_XYWH}],
         'sentences': [{'raw': 'LEFT cup'}, {'raw': 'x', 'sent': 'the red cup'}]},
        {'image_id': '42', 'file_name': DOG, 'ann_id': ['5'], 'anns': [{'id': '5', 'bbox': DOG_XYWH}],
         'sentences': [{'raw': 'Dog'}]},
        {'image_id': 42, 'file_name': DOG, 'ann_id': [5, 4], 'anns': dogs, 'sentences': [{'raw': 'dogs'}]}])


def picture(size: tuple[int, int]) -> bytes:
    packed = io.BytesIO()
    Image.new('RGB', size[::-1]).save(packed, 'PNG')
    return packed.getvalue()


def write_ofa(path: Path) -> None:
    def columns(uniq_id: str, image_id: int, sent: str, box: list[float], size: tuple[int, int]) -> list[str]:
        return [uniq_id, str(image_id), sent, ','.join(map(str, box)),
                base64.urlsafe_b64encode(picture(size)).decode()]
    cup, red, dog = (columns(*row) for row in zip(('8_0', '8_1', '9_0'), (7, 7, 42), SENTS, XYXY, SIZES, strict=True))
    polyformer = [*dog[:4], '10,20 40.5,20 40.5,60', dog[4], 'bWFzaw==', '10,20 40.5,20 40.5,60']
    path.write_text(''.join('\t'.join(row) + '\n' for row in (cup, red, polyformer)))


def write_transvg(path: Path) -> None:
    boxes = ([1, 2, 30, 40], [1, 2, 30, 40], [10, 20, 30, 40])
    torch.save([(image, f'{i}.pth', box, sent, [('r1', ['none'])])
                for i, (image, box, sent) in enumerate(zip(IMAGES, boxes, SENTS, strict=True))], path)


def write_jsonl(path: Path) -> None:
    cup = {'dataset': 'mine', 'split': 'val', 'image_id': 7, 'height': 240, 'width': 320, 'bbox': CUP_XYWH}
    lines(path, [{**cup, 'sent': 'left cup', 'sent_id': 11, 'ref_id': 8, 'ann_id': 6, 'file_name': 'a.jpg'},
                 {**cup, 'sent': 'the red cup', 'tokens': ['the', 'red', 'cup'], 'file_name': 'a.jpg'},
                 {**cup, 'image_id': 42, 'height': 100, 'width': 200, 'bbox': DOG_XYWH, 'sent': 'dog',
                  'split': 'test'}])


#: The file of each form: its usual name, and who writes it.
SAMPLES: dict[str, tuple[str, Callable[[Path], None]]] = {
    'refer': ('refs(unc).p', write_refer), 'grefcoco': ('grefs(unc).json', write_grefcoco),
    'mdetr': ('finetune_refcoco_val.json', write_mdetr), 'odvg': ('refcoco_val_vg.json', write_odvg),
    'minigpt': ('refcoco_val.json', write_minigpt), 'qwen-vl': ('refcoco_val.jsonl', write_qwen),
    'shikra': ('REC_refcoco_unc_val.jsonl', write_shikra), 'vlm-r1': ('refcoco_val.json', write_vlm_r1),
    'vlm-r1-conversations': ('refcoco_val.jsonl', write_conversations), 'seqtr': ('instances.json', write_seqtr),
    'cris': ('val.json', write_cris), 'reclip': ('refcoco_val.jsonl', write_reclip),
    'ofa': ('refcoco_val.tsv', write_ofa), 'transvg': ('unc_val.pth', write_transvg),
    'jsonl': ('mine.jsonl', write_jsonl),
}


def _rows(boxes: Any, images: Any = IMAGES, sizes: Any = SIZES, **fields: Any) -> list[FormRow]:
    """The three rows; a field is a value for each, or one for all."""
    return [FormRow('', sent, boxes[i], images[i], sizes and sizes[i], **{
        name: value[i] if isinstance(value, tuple) else value for name, value in fields.items()})
        for i, sent in enumerate(SENTS)]


_IDS: dict[str, Any] = {'sent_id': (11, 12, 13), 'ref_id': (8, 8, 9), 'split': ('val', 'val', 'testA')}
_TOKENS = (('left', 'cup'), ('the', 'red', 'cup'), ('dog',))
_PATHS = tuple(f'train2014/{image}' for image in IMAGES)
_SUFFIXED = ('COCO_train2014_000000000007_3.jpg',) * 2 + (DOG,)
_CATEGORIES = ('cup', 'cup', 'dog')
_NONE = (None,) * 3
#: What the readers find, boxes as the file writes them.
ROWS: dict[str, list[FormRow]] = {
    'refer': _rows(_NONE, (7, 7, 42), None, ann_id=(6, 6, 5), tokens=_TOKENS, **_IDS),
    'grefcoco': _rows(_NONE, (7, 7, 42), None, ann_id=(6, 6, 5), tokens=_TOKENS, **_IDS) + [
        FormRow('', 'dogs', None, 42, split='testA', sent_id=14, ref_id=10, tokens=('dogs',),
                undefined='several targets'),
        FormRow('', 'cat', None, 42, split='testA', sent_id=15, ref_id=11, tokens=('cat',), undefined='no target')],
    'mdetr': _rows([list(box) for box in XYWH], dataset='refcoco', ann_id=(6, 6, 5), category=_CATEGORIES,
                   image_id=(7, 7, 42)) + [
        FormRow('', 'dogs', list(DOG_XYWH), DOG, DOG_SIZE, 'refcoco', ann_id=5, category='dog', image_id=42,
                undefined='several targets'),
        FormRow('', 'cat', [0, 0, 0, 0], DOG, DOG_SIZE, 'refcoco', ann_id=-1, image_id=42, undefined='no target')],
    'odvg': [*_rows(XYXY), FormRow('', 'two dogs', DOG_XYXY, DOG, DOG_SIZE, undefined='several targets')],
    'minigpt': _rows([list(box) for box in XYWH], [f'{image[:-4]}_3.jpg' for image in IMAGES]),
    'qwen-vl': _rows(XYXY, [f'data/train2014/{image}' for image in IMAGES]),
    'shikra': _rows([tuple(map(float, box)) for box in XYXY], dataset='refcoco'),
    'vlm-r1': _rows(XYXY, _PATHS, dataset='refcoco', split='val') + [
        FormRow('', 'cat', None, _PATHS[2], DOG_SIZE, 'refcoco', 'val', undefined='no target'),
        FormRow('', 'dogs', DOG_XYXY, _PATHS[2], DOG_SIZE, 'refcoco', 'val', undefined='several targets')],
    'vlm-r1-conversations': _rows(XYXY, sizes=None),
    'seqtr': _rows([list(box) for box in XYWH], (7, 7, 42), split=('val', 'val', 'testA'), segmentation=(
        *[INSTANCES['annotations'][0]['segmentation']] * 2, {'size': [100, 200], 'counts': [20000]})),
    'cris': _rows(([1, 2, 31, 42], [1, 2, 31, 42], [10, 20, 40, 60]), sizes=None, sent_id=(11, 12, 13),
                  ref_id=(8, 8, 9), category=_CATEGORIES),
    'reclip': _rows([list(box) for box in XYWH], _SUFFIXED, None, ref_id=(8, 8, None), ann_id=(6, 6, 5),
                    image_id=(7, 7, 42)) + [
        FormRow('', 'dogs', list(DOG_XYWH), DOG, image_id=42, undefined='several targets')],
    'ofa': _rows(XYXY, ('7.jpg', '7.jpg', '42.jpg'), None, ref_id=(8, 8, 9)),
    'transvg': _rows(((1., 2., 30., 40.), (1., 2., 30., 40.), (10., 20., 30., 40.)), sizes=None),
    'jsonl': _rows([list(box) for box in XYWH], ('a.jpg', 'a.jpg', 42), dataset='mine', split=('val', 'val', 'test'),
                   sent_id=(11, 2, 3), ref_id=(8, None, None), ann_id=(6, None, None), image_id=(7, 7, 42),
                   tokens=(None, ('the', 'red', 'cup'), None)),
}
#: Forms that write boxes cut to whole pixels.
CUT = ('cris', 'transvg')
