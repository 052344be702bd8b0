"""Small files of answers in every form, about the same three sentences, written by hand.

Two photographs: 7 is 200 by 100 pixels and has a cup at x 20, y 10, 60 by 40 (ann 71) and a bowl at x 100, y 50, 80 by
40 (ann 72); 8 is 100 by 100 and has a dog at x 0, y 0, 50 by 50 (ann 81). The sentences are "left cup" (1), "the bowl"
(2), said of the bowl, and "dog" (3). The first answer is right, the second is the cup, the third is right.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl

NAMES = {7: 'COCO_train2014_000000000007', 8: 'COCO_train2014_000000000008'}
SENTENCES = ('left cup', 'the bowl', 'dog')
IMAGES = (7, 7, 8)
SIZES = ((200, 100), (200, 100), (100, 100))
ANN_IDS = (71, 72, 81)
TRUTHS = ((20, 10, 60, 40), (100, 50, 80, 40), (0, 0, 50, 50))
#: What is answered, x1, y1, x2, y2 in pixels.
ANSWERS = ((20, 10, 80, 50), (20, 10, 80, 50), (0, 0, 50, 50))


def corners(box: tuple) -> list[float]:
    x, y, w, h = box
    return [x, y, x + w, y + h]


def in_units(box: tuple, size: tuple, whole: float) -> list[float]:
    return [side / size[i % 2] * whole for i, side in enumerate(box)]


def data_rows(split: str = 'val') -> list[dict]:
    return [{'dataset': 'refcoco', 'split': split, 'image_id': image, 'width': size[0], 'height': size[1],
             'bbox': truth, 'sent': sent, 'ann_id': ann_id, 'sent_id': i} for i, (image, size, truth, sent, ann_id)
            in enumerate(zip(IMAGES, SIZES, TRUTHS, SENTENCES, ANN_IDS, strict=True), start=1)]


def data_lines() -> bytes:
    return ''.join(json.dumps(row) + '\n' for row in data_rows()).encode()


def data(folder: Path, split: str = 'val') -> Path:
    """The sentences as plain expressions."""
    return write(folder / f'{split}.jsonl', data_rows(split))


def vlm_r1(words: tuple = ANSWERS) -> Any:
    return {'accuracy': 50., 'results': [{
        'image': f'train2014/{NAMES[image]}.jpg', 'question': f'Give the box this sentence describes: {sent}.',
        'ground_truth': corners(truth), 'model_output': f'<think>…</think>[{{"bbox_2d": {list(said)}}}]',
        'extracted_answer': list(said) if sent != 'dog' else [0, 0, 0, 0], 'correct': 1}
        for image, sent, truth, said in zip(IMAGES, SENTENCES, TRUTHS, words, strict=True)]}


def lmms_eval() -> list[dict]:
    return [{'doc_id': i, 'target': '[]', 'filtered_resps': f'{in_units(said, size, 1)}',
             'refcoco_IoU': {'answer': sent, 'ann_id': str(ann_id), 'bbox': in_units(corners(truth), size, 1)},
             'doc': {'image_width': size[0], 'image_height': size[1], 'file_name': f'{NAMES[image]}_{i}.jpg'}}
            for i, (image, sent, ann_id, truth, size, said) in enumerate(zip(
                IMAGES, SENTENCES, ANN_IDS, TRUTHS, SIZES, ANSWERS, strict=True))]


def lmms_eval_by_referent() -> list[dict]:
    return [{'doc_id': i, 'filtered_resps': [f'{list(said)}'], 'resps': [[f'<think>Hm.</think>{list(said)}']],
             'refcoco_grounding_IoU': {'answer': [sent, 'that'], 'pred_boxes': [], 'pred': [], 'ann_id': str(ann_id),
                                       'bbox': corners(truth)}}
            for i, (sent, ann_id, truth, said) in enumerate(zip(SENTENCES, ANN_IDS, TRUTHS, ANSWERS, strict=True))]


def vlmevalkit() -> list[list]:
    """The rows of a sheet, the names of its columns first."""
    head = ['index', 'split', 'question', 'width', 'height', 'bbox_x1', 'bbox_y1', 'bbox_x2', 'bbox_y2', 'prediction']
    return [head, *[[i, 'RefCOCO_val', f'Where is <ref>{sent}</ref>?', *size, *corners(truth), f'{list(said)}']
                    for i, (sent, size, truth, said) in enumerate(zip(SENTENCES, SIZES, TRUTHS, ANSWERS, strict=True))]]


def qwen_vl(whole: float = 999, text: str = '({:g},{:g}),({:g},{:g})') -> list[dict]:
    return [{'answer': text.format(*in_units(said, size, whole)), 'gt_bbox': corners(truth), 'hw': size[::-1]}
            for size, truth, said in zip(SIZES, TRUTHS, ANSWERS, strict=True)]


def internvl() -> list[dict]:
    return qwen_vl(1000, '[[{:g}, {:g}, {:g}, {:g}]]')


def minigpt() -> dict[str, list[str]]:
    keys = [f'{NAMES[image]}_{n}' for image, n in zip(IMAGES, (0, 4, 2), strict=True)]
    return {key: ['{{<{:.0f}><{:.0f}><{:.0f}><{:.0f}>}}'.format(*in_units(said, size, 100))]
            for key, size, said in zip(keys, SIZES, ANSWERS, strict=True)}


def lbyl() -> dict[str, dict]:
    return {str(i): {'iou': float('nan'), 'image_name': f'{NAMES[image]}.jpg', 'pred_bbox': list(said),
                     'gt_bbox': corners(truth)}
            for i, (image, truth, said) in enumerate(zip(IMAGES, TRUTHS, ANSWERS, strict=True))}


def google() -> list[dict]:
    return [{'refexp_id': 900 + i, 'annotation_id': ann_id, 'predicted_bounding_boxes': [
        [x1, y1, x2 - x1, y2 - y1], [1, 1, 5, 5]]} for i, (ann_id, (x1, y1, x2, y2)) in enumerate(zip(
            ANN_IDS, ANSWERS, strict=True))]


def jsonl() -> list[dict]:
    return [{'text': f'It is at {list(said)}.', 'image': image, 'sent': sent.upper() + '!', 'bbox': truth,
             'width': size[0], 'height': size[1]}
            for image, sent, truth, size, said in zip(IMAGES, SENTENCES, TRUTHS, SIZES, ANSWERS, strict=True)]


def write(path: Path, value: Any) -> Path:
    """A JSON value, or JSON lines where the name says so."""
    lines = path.suffix == '.jsonl'
    path.write_text(''.join(json.dumps(row) + '\n' for row in value) if lines else json.dumps(value))
    return path


def write_sheet(path: Path, rows: list[list]) -> Path:
    if path.suffix == '.tsv':
        path.write_text(''.join('\t'.join(f'"{cell}"' for cell in row) + '\n' for row in rows))
    else:
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(path)
    return path


def write_all(folder: Path) -> dict[str, Path]:
    """A file of each form, by the form's name."""
    return {'vlm-r1': write(folder / 'r1_refcoco_val.json', vlm_r1()),
            'vlm-r1-filed': write(folder / 'filed_refcoco_val.json', vlm_r1()),
            'lmms-eval': write(folder / '1_samples_refcoco_bbox_rec_val.jsonl', lmms_eval()),
            'vlmevalkit': write_sheet(folder / 'Model_RefCOCO.xlsx', vlmevalkit()),
            'qwen-vl': write(folder / 'qwen_refcoco_val.json', qwen_vl()),
            'internvl': write(folder / 'refcoco_val_240101.json', internvl()),
            'minigpt': write(folder / 'refcoco_val.json', minigpt()),
            'lbyl': write(folder / 'results.json', lbyl()),
            'google': write(folder / 'google.json', google()),
            'jsonl': write(folder / 'mine.jsonl', jsonl())}
