"""Small parquet files in the forms of Hugging Face: three rows of each, on images that are drawn here."""
from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

IMAGE = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
FLOATS = pa.list_(pa.float32())
SIZES = {309: (40, 60), 605: (50, 30)}  # height and width


def picture(height: int, width: int, colour: str = 'red') -> bytes:
    stream = io.BytesIO()
    Image.new('RGB', (width, height), colour).save(stream, 'PNG')
    return stream.getvalue()


def coco_name(image_id: int, number: str = '') -> str:
    return f'COCO_train2014_{image_id:012d}{number}.jpg'


def written(path: Path, rows: list[dict[str, Any]], types: dict[str, Any] | None = None, **how: Any) -> Path:
    """Rows as a file; ``types`` are those of columns that the rows do not tell."""
    table = pa.table({key: pa.array([row[key] for row in rows], (types or {}).get(key)) for key in rows[0]})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **how)
    return path


def lmms_lab(path: Path, **how: Any) -> Path:
    rows = [{'question_id': str(ann_id), 'image': {'bytes': picture(*SIZES[image_id]), 'path': None},
             'question': 'Describe it.', 'answer': sents, 'segmentation': [1.5, 2.25, 9.5, 2.25, 9.5, 8.1],
             'bbox': box, 'iscrowd': 0, 'file_name': coco_name(image_id, f'_{ann_id}')}
            for ann_id, image_id, box, sents in ((7, 309, [1.37, 2.26, 20.11, 30.04], ['left man', 'him']),
                                                 (8, 309, [25.5, 0.1, 12.33, 9.99], ['dog']),
                                                 (9, 605, [0.0, 3.0, 11.0, 12.0], ['a cup', 'blue cup']))]
    return written(path, rows, {'image': IMAGE, 'segmentation': FLOATS, 'bbox': FLOATS}, **how)


def jxu124_rows() -> list[dict[str, Any]]:
    rows = []
    for ann_id, image_id, box, sents in ((7, 309, [1.37, 2.26, 20.11, 30.04], ['left man', 'him']),
                                         (8, 309, [25.5, 0.1, 12.33, 9.99], ['dog']),
                                         (9, 605, [0.0, 3.0, 11.0, 12.0], ['a cup', 'blue cup'])):
        x, y, w, h = box
        height, width = SIZES[image_id]
        rows.append({
            'sentences': [{'raw': sent.upper(), 'sent': sent, 'sent_id': 10 * ann_id + i, 'tokens': sent.split()}
                          for i, sent in enumerate(sents)],
            'split': 'test', 'ann_id': ann_id, 'ref_id': 100 + ann_id, 'image_id': image_id, 'category_id': 18,
            'file_name': coco_name(image_id, '_3'), 'bbox': [x, y, x + w, y + h],
            'raw_anns': json.dumps({'bbox': box, 'segmentation': [[1, 2, 9, 2, 9, 8]], 'id': ann_id}),
            'raw_image_info': json.dumps({'file_name': coco_name(image_id), 'height': height, 'width': width}),
            'captions': sents})
    return rows


def jxu124(path: Path) -> Path:
    return written(path, jxu124_rows())


def kangheng(path: Path, *, xyxy: bool = True, names: bool = False, boxes: list[str] | None = None) -> Path:
    told = boxes or (['[21, 22, 40.5, 39]', '[21, 22, 40.5, 39]', '[16, 20, 29, 49.25]'] if xyxy else
                     ['[21, 22, 19.5, 17]', '[21, 22, 19.5, 17]', '[16, 20, 13, 29.25]'])
    rows = [{'question': sent, 'image': {'bytes': picture(*SIZES[image_id]),
                                         'path': coco_name(image_id) if names else None},
             'bbox': box, 'image_size': [SIZES[image_id][1], SIZES[image_id][0]]}
            for (sent, image_id), box in zip((('left man', 309), ('him', 309), ('a cup', 605)), told, strict=True)]
    return written(path, rows, {'image': IMAGE})


def refcoco_m(path: Path) -> Path:
    def sample(number: int, box: list[float], sents: list[str], size: tuple[int, int]) -> dict[str, Any]:
        height, width = size
        return {'id': number, 'category': 'dog', 'supercategory': 'animal', 'sentences': sents, 'bbox': box,
                'mask': {'counts': f'{chr(48)}', 'size': [height, width]}}
    rows = [{'image': {'bytes': picture(*SIZES[309]), 'path': None}, 'image_id': 309, 'file_name': coco_name(309),
             'samples': [sample(7, [1.37, 2.26, 20.11, 30.04], ['left man', 'him'], SIZES[309]),
                         sample(8, [25.5, 0.1, 12.33, 9.99], ['dog'], SIZES[309])]},
            {'image': {'bytes': picture(*SIZES[605]), 'path': None}, 'image_id': 605, 'file_name': coco_name(605),
             'samples': [sample(9, [0.0, 3.0, 11.0, 12.0], ['a cup'], SIZES[605])]}]
    return written(path, rows, {'image': IMAGE, 'samples': pa.list_(pa.struct([
        ('id', pa.int64()), ('category', pa.string()), ('supercategory', pa.string()),
        ('sentences', pa.list_(pa.string())), ('bbox', FLOATS),
        ('mask', pa.struct([('counts', pa.string()), ('size', pa.list_(pa.int32()))]))]))})
