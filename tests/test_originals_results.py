"""The originals' result files, as their evaluation saves them."""
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from adapters.originals.results import (
    Prediction,
    is_results,
    read_original_predictions,
    read_results,
    write_original_predictions,
)
from harness.data.answers import Answer
from harness.errors import InputError

RLE = {'size': [4, 6], 'counts': coco_mask.encode(np.asfortranarray(np.eye(4, 6, dtype=np.uint8)))['counts'].decode()}
#: lichengunc/MAttNet lib/models/eval_dets_utils.py:102-116 and tools/eval_dets.py:83.
DETS = {'predictions': [
    {'image_id': 7, 'sent_id': 31, 'sent': 'red dog', 'gd_box': [10.5, 20.25, 30.0, 40.0], 'pred_det_id': 1,
     'pred_box': [10.0, 20.0, 30.0, 40.0], 'pred_score': 0.5, 'sub_grid_attn': [0.02] * 49, 'sub_attn': [0.5, 0.5],
     'loc_attn': [0.5, 0.5], 'rel_attn': [0.5, 0.5], 'rel_det_id': 0, 'rel_box': [0, 0, 0, 0],
     'weights': [0.5, 0.25, 0.25], 'pred_atts': [['red', 0.9]]},
    {'image_id': 7, 'sent_id': 32, 'sent': 'dog', 'gd_box': [10.5, 20.25, 30.0, 40.0], 'pred_det_id': 0,
     'pred_box': [1, 2, 3, 4], 'pred_score': -1}], 'acc': 0.5}
#: lichengunc/MAttNet tools/eval_masks.py:85, 111-114.
MASKS = {**DETS, 'predictions': [{**row, 'rle': RLE} for row in DETS['predictions']], 'iou': 0.25}
#: daqingliu/NMTree utils/eval_utils.py:126-137.
TREE_DETS = {'31': {'sent_id': 31, 'pred_det_id': 1, 'boxes': [10.0, 20.0, 30.0, 40.0]}}
#: daqingliu/NMTree utils/eval_utils.py:56-59, 82.
TREE_GOLD = {'31': {'sent_id': 31, 'ann_id': 70, 'candidates': [70, 71], 'box': [10.0, 20.0, 30.0, 40.0]}}


@pytest.fixture
def saved(tmp_path):
    def save(value, name='mrcn_cmr_with_st_val.json'):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path
    return save


class TestReading:
    def test_eval_dets(self, saved):
        answers = read_results(saved(DETS))
        assert answers.grounder == 'mrcn_cmr_with_st_val' and answers.datasets == set()
        assert answers.of('refcoco', 31) == [Answer((10, 20, 30, 40), 0.5)]
        assert answers.of('refcoco', 32) == [Answer((1, 2, 3, 4), -1)]
        assert answers.of('refcoco', 33) == []

    def test_eval_masks(self, saved):
        assert read_results(saved(MASKS)).of('refcoco', 31) == [Answer((10, 20, 30, 40), 0.5, None, RLE)]

    @pytest.mark.parametrize('value', [TREE_DETS, TREE_GOLD], ids=['detections', 'annotations'])
    def test_nmtree(self, saved, value):
        assert read_results(saved(value, 'val_det_res.json')).of('refcocog', 31) == [Answer((10, 20, 30, 40))]

    def test_an_expression_that_comes_twice(self, saved):
        twice = {'acc': 1, 'predictions': DETS['predictions'][:1] * 2}
        assert len(read_results(saved(twice)).of('refcoco', 31)) == 2
        row = json.dumps(TREE_DETS['31'])
        assert len(read_results(saved(f'{{"31": {row}, "31": {row}}}')).of('refcoco', 31)) == 2

    @pytest.mark.parametrize('value', [DETS, MASKS, TREE_DETS, TREE_GOLD, {'acc': 0.5, 'predictions': []}])
    def test_is_told_by_its_first_name(self, value):
        assert is_results(json.dumps(value).encode()) and is_results(json.dumps(value, indent=1).encode())

    def test_the_harness_own_layouts_are_others(self):
        assert not is_results(b'{"dataset": "refcoco", "sent_id": 31}') and not is_results(b'[{"sent_id": 31}]')


class TestWriting:
    def test_gives_the_same(self, saved, tmp_path):
        predictions = read_original_predictions(saved(MASKS))
        assert predictions[0] == Prediction(7, 31, 'red dog', (10.5, 20.25, 30, 40), 1, (10, 20, 30, 40), 0.5, RLE)
        write_original_predictions(tmp_path / 'out' / 'again.json', predictions, 0.5, 0.25)
        assert read_original_predictions(tmp_path / 'out' / 'again.json') == predictions
        again = json.loads((tmp_path / 'out' / 'again.json').read_text())
        assert (again['acc'], again['iou']) == (0.5, 0.25)
        kept = list(again['predictions'][0])
        assert [{key: row[key] for key in kept} for row in MASKS['predictions']] == again['predictions']

    def test_without_masks(self, saved, tmp_path):
        predictions = read_original_predictions(saved(DETS))
        write_original_predictions(tmp_path / 'again.json', predictions, 0.5)
        assert read_original_predictions(tmp_path / 'again.json') == predictions
        assert 'iou' not in json.loads((tmp_path / 'again.json').read_text())


@pytest.mark.parametrize('value, complaint', [
    ([DETS], 'must be a record'),
    ({'predictions': {}}, "'predictions' must be a list"),
    ({'predictions': [7]}, 'predictions[0]: must be a record'),
    ({'predictions': [{**DETS['predictions'][0], 'pred_box': [1, 2, 3]}]}, "'pred_box' must be four numbers"),
    ({'predictions': [{**DETS['predictions'][0], 'pred_box': [1, 2, -3, 4]}]}, 'negative width'),
    ({'predictions': [{**DETS['predictions'][0], 'pred_score': '1'}]}, "'pred_score' must be a finite number"),
    ({'predictions': [{**DETS['predictions'][0], 'pred_score': 10**400}]}, "'pred_score' must be a finite number"),
    ({'predictions': [{**DETS['predictions'][0], 'rle': 'x'}]}, "'rle': must be a record"),
    ({'predictions': [{'sent_id': 31, 'gd_ann_id': 70, 'pred_ann_id': 71, 'pred_score': 1}]}, 'as eval_easy does'),
    ({'31': {'sent_id': 32, 'boxes': [1, 2, 3, 4]}}, 'is the key of a record with sent_id 32'),
    ({'x': {'sent_id': 32, 'boxes': [1, 2, 3, 4]}}, "'x' must be the sent_id"),
    ({'31': 7}, 'must be a record'),
])
def test_refusals(saved, value, complaint):
    with pytest.raises(InputError) as error:
        read_results(saved(value))
    assert complaint in str(error.value) and len(str(error.value).splitlines()) == 1
