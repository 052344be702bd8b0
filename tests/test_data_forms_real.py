"""Real files in people's forms, against what is known of them."""
from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.assembly.datasets import load_data
from harness.data.export import export
from harness.data.masks import to_rle
from harness.data.plain import load_expressions
from harness.registry import FORM_WRITERS
from harness.types import Dataset
from tests.form_samples import json_file, lines

REAL = Path(os.environ.get('REAL_DATA', Path(__file__).parents[1] / '../shared/real'))
FORMS = Path(os.environ.get('FIELD_DATA', Path(__file__).parents[1] / '../shared/field')) / 'forms'
pytestmark = [pytest.mark.skipif(not REAL.exists(), reason=f'the real data are not in {REAL}; set REAL_DATA'),
              pytest.mark.skipif(not FORMS.exists(), reason=f'the field\'s files are not in {FORMS}; set FIELD_DATA')]


@pytest.fixture(scope='module')
def published() -> dict[str, Dataset]:
    return load_expressions(REAL / 'refcoco_eval.jsonl.gz')


def only(*paths: Path) -> Dataset:
    dataset, = load_data(paths).values()
    return dataset


def test_plain_expressions_are_the_same_by_either_option(published: dict[str, Dataset]) -> None:
    datasets = load_data([REAL / 'refcoco_eval.jsonl.gz'])
    assert list(datasets) == list(published) == ['refcoco', 'refcoco+', 'refcocog']
    for name, dataset in datasets.items():
        assert dataset.expressions == published[name].expressions
        assert dataset.images == published[name].images


@pytest.mark.parametrize('split', ['testA', 'testB'])
def test_minigpt_s_files_hold_the_published_sentences(published: dict[str, Dataset], split: str) -> None:
    dataset = only(FORMS / f'minigpt_refcoco_{split}.json.gz')
    assert (dataset.name, dataset.splits) == ('refcoco', (split,))
    found = Counter((e.image_id, e.sent) for e in dataset.expressions)
    expected = Counter((e.image_id, e.sent) for e in published['refcoco'].split(split))
    assert found == expected
    boxes = {(e.image_id, e.gt_xywh) for e in published['refcoco'].split(split)}
    assert {(e.image_id, e.gt_xywh) for e in dataset.expressions} == boxes
    assert all(dataset.images[i] == published['refcoco'].images[i] for i in dataset.images)


def test_vlm_r1_s_file_has_173_rows_16_of_them_without_target() -> None:
    dataset = only(FORMS / 'vlm-r1_refcocos_test.json')
    assert (dataset.name, dataset.splits, len(dataset.expressions)) == ('refcocos', ('test',), 157)
    assert dataset.notes[0] == ('refcocos: vlm-r1_refcocos_test.json: 16 rows with no target are left out; REC is not '
                                'defined for them')
    first = dataset.expressions[0]
    assert (first.image_id, first.gt_xywh) == (494869, (342.29, 236.85, 50.33, 28.16))


def forms_of(row: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """The one referent of REFER's in each form: a file's name and its content, a list for lines."""
    ref, annotation, image = row['ref'], row['annotation'], row['image']
    x, y, w, h = annotation['bbox']
    corners = [x, y, x + w, y + h]
    size, sents = {'height': image['height'], 'width': image['width']}, [s['sent'] for s in ref['sentences']]
    name, stem = image['file_name'], ref['file_name'].removesuffix('.jpg')
    return {
        'mdetr': ('finetune_refcoco_train.json', {
            'images': [{'id': i, 'file_name': name, 'caption': sent, 'original_id': image['id'], **size}
                       for i, sent in enumerate(sents)],
            'annotations': [{'id': i, 'image_id': i, 'bbox': annotation['bbox'], 'original_id': annotation['id']}
                            for i in range(3)]}),
        'minigpt': ('refcoco_train.json', [{'img_id': stem, 'sents': s, 'bbox': annotation['bbox'], **size}
                                           for s in sents]),
        'vlm-r1': ('refcoco_train.json', [{'image': name, 'problem': f'describes: {s}.', 'solution': corners, **size}
                                          for s in sents]),
        'seqtr': ('instances.json', {'train': [{'image_id': image['id'], 'bbox': annotation['bbox'], **size,
                                                'expressions': sents, 'mask': annotation['segmentation']}]}),
        'odvg': ('refcoco_train.jsonl', [{'filename': name, **size,
                                          'referring': [{'bbox': corners, 'phrase': sents}]}]),
        'qwen-vl': ('refcoco_train.jsonl', [{'image': name, 'sent': s, 'bbox': corners, **size} for s in sents]),
        'shikra': ('REC_refcoco_train.jsonl', [{'img_path': name, 'expression': s, 'bbox': corners, **size}
                                               for s in sents]),
        'reclip': ('refcoco_train.jsonl', [{**ref, 'anns': [annotation]}]),
        'vlm-r1-conversations': ('refcoco_train.jsonl', [{'image': name, 'conversations': [
            {'value': f'describes: {s}.'}, {'value': corners}]} for s in sents]),
        'ofa': ('refcoco_train.tsv', '\n'.join(f'0_{i}\t{image["id"]}\t{s}\t{",".join(map(str, corners))}\tAAAA'
                                               for i, s in enumerate(sents))),
    }


@pytest.mark.parametrize('form', ['mdetr', 'minigpt', 'vlm-r1', 'vlm-r1-conversations', 'seqtr', 'odvg', 'qwen-vl',
                                  'shikra', 'reclip', 'ofa'])
def test_a_real_referent_comes_back_from_every_form(tmp_path: Path, form: str) -> None:
    row = json.loads((FORMS / 'refcoco_train_row.json').read_text())
    name, content = forms_of(row)[form]
    path = tmp_path / 'refcoco' / name
    path.parent.mkdir()
    if isinstance(content, str):
        path.write_text(content)
    else:
        (lines if name.endswith('.jsonl') else json_file)(path, content)
    dataset = only(path)
    assert (dataset.name, dataset.splits) == ('refcoco', ('train',))
    assert [(e.sent, e.image_id, e.gt_xywh) for e in dataset.expressions] == [
        (sentence['sent'], 581857, tuple(row['annotation']['bbox'])) for sentence in row['ref']['sentences']]


def test_a_real_referent_of_refer_has_its_ids_category_and_mask(tmp_path: Path) -> None:
    row = json.loads((FORMS / 'refcoco_train_row.json').read_text())
    json_file(tmp_path / 'refs(unc).json', [row['ref']])
    json_file(tmp_path / 'instances.json', {'images': [row['image']], 'annotations': [row['annotation']],
                                            'categories': [{'id': 1, 'name': 'person'}]})
    expressions = only(tmp_path).expressions
    assert [(e.ref_id, e.ann_id, e.sent_id, e.category) for e in expressions] == [
        (0, 1719310, i, 'person') for i in range(3)]
    assert expressions[0].gt_xywh == (103.93, 299.99, 134.22, 177.42)


@pytest.mark.parametrize('form', ['mdetr', 'qwen-vl'])
def test_published_boxes_come_back_to_the_digit(published: dict[str, Dataset], tmp_path: Path, form: str) -> None:
    chosen = {('refcoco', 'testB'), ('refcocog', 'val')}
    splits = {name: {split: published[name].split(split)} for name, split in chosen}
    again = load_data(export(published, splits, FORM_WRITERS.get(form)(), tmp_path))
    assert {(name, split) for name, dataset in again.items() for split in dataset.splits} == chosen
    for name, split in chosen:
        found, expected = ([(e.image_id, e.sent, e.gt_xywh) for e in one[name].split(split)]
                           for one in (again, published))
        assert found == expected


@pytest.fixture(scope='module')
def on_three_images(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The real expressions on COCO's images 154, 309 and 605, without ids, beside COCO's own annotations."""
    path = tmp_path_factory.mktemp('three') / 'val.jsonl'
    rows = load_expressions(REAL / 'refcoco_eval.jsonl.gz')
    mine = [(e, d.images[e.image_id]) for d in rows.values() for e in d.expressions if e.image_id in (154, 309, 605)]
    lines(path, [{'image': f'COCO_train2014_{e.image_id:012d}.jpg', 'sent': e.sent, 'height': info.height,
                  'width': info.width, 'bbox': [e.gt_xywh[0], e.gt_xywh[1], e.gt_xywh[0] + e.gt_xywh[2],
                                                e.gt_xywh[1] + e.gt_xywh[3]]} for e, info in mine])
    return only(path, FORMS / 'coco_instances_3_images.json')


def test_coco_s_annotations_give_all_that_a_form_lacks(on_three_images: Dataset) -> None:
    expressions, annotations = on_three_images.expressions, on_three_images.annotations
    assert len(expressions) == 30 and annotations is not None
    assert all(e.category and e.ann_id for e in expressions)
    by_id = {a.ann_id: a for own in annotations.values() for a in own}
    assert all(by_id[e.ann_id].xywh == e.gt_xywh for e in expressions if e.ann_id)


def test_the_referents_polygons_lie_in_their_boxes(on_three_images: Dataset) -> None:
    by_id = {a.ann_id: a for own in (on_three_images.annotations or {}).values() for a in own}
    for ann_id in {e.ann_id for e in on_three_images.expressions}:
        a = by_id[ann_id or 0]
        points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in a.segmentation])
        x, y, w, h = a.xywh
        assert np.allclose([*points.min(0), *points.max(0)], [x, y, x + w, y + h], atol=0.01)
        info = on_three_images.images[a.image_id]
        assert to_rle(a.segmentation, info.height, info.width)['size'] == [info.height, info.width]
