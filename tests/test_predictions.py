"""Rows say what was measured, and null where nothing was."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from harness.boxes import xyxy_to_xywh
from harness.errors import InputError
from harness.evaluation.predictions import Choice, RowWriter, Truth, prediction_rows, proposals_rows
from harness.types import Annotation, Expression

EXPRESSION = Expression('refcoco', 'val', 7, 1, 'left cup', ('left', 'cup'), (10, 10, 20, 20), 3, 4, 'cup')
ANNOTATIONS = [Annotation(4, 7, (10, 10, 20, 20), 'cup'), Annotation(5, 7, (60, 10, 20, 20), 'cup'),
               Annotation(6, 7, (10, 60, 30, 30), 'bowl')]
NAMES = ('cup', 'bowl')


def rle(x: int, y: int, w: int, h: int) -> dict:
    mask = np.zeros((100, 100), np.uint8)
    mask[y:y + h, x:x + w] = 1
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return {'size': list(encoded['size']), 'counts': encoded['counts'].decode('ascii')}


def proposals(*boxes: tuple[float, ...], labels: tuple[int, ...] = ()) -> InstanceData:
    return InstanceData(bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                        labels=torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
                        scores=torch.linspace(1, 0.5, len(boxes)), det_scores=torch.linspace(1, 0.5, len(boxes)))


def row(truth: Truth, given: InstanceData, choice: Choice | None = None, grounder: str = '-') -> dict:
    (only,) = prediction_rows([truth], [given], NAMES, 'greedy', grounder, [choice])
    return json.loads(json.dumps(only))


def test_what_recall_needs() -> None:
    truth = Truth.of(EXPRESSION, ANNOTATIONS, ANNOTATIONS[1:], None, np.array([[10., 10, 30, 30]]))
    found = row(truth, proposals((60, 10, 80, 30), (10, 10, 30, 26), labels=(0, 1)))
    assert found['best_proposal_iou'] == 0.8 and found['best_proposal_label'] == 'bowl'
    assert found['best_candidate_iou'] == 1.0
    assert found['context_ann_ids'] == [a.ann_id for a in ANNOTATIONS[1:]]
    assert (found['context_hits'], found['n_context'], found['n_proposals'], found['n_same_category']) == (1, 2, 2, 2)
    assert found['gt_box'] == [10, 10, 20, 20] and found['gt_label'] == 'cup'
    assert found['box'] is found['iou'] is found['rle'] is found['mask_union'] is None, 'no grounder, no answer'


def test_a_chosen_box_and_mask() -> None:
    truth = Truth.of(EXPRESSION, ANNOTATIONS, [], rle(10, 10, 20, 20), None)
    choice = Choice(np.array([10., 10., 20., 10.]), 0.9, 'cup', rle(10, 10, 20, 10))
    found = row(truth, proposals((10, 10, 30, 20)), choice, 'cmae')
    assert found['box'] == [10, 10, 20, 10] and found['score'] == 0.9 and found['label'] == 'cup'
    assert found['iou'] == 0.5, '20 x 10 of 20 x 20 pixels, both end pixels counted'
    assert (found['mask_intersection'], found['mask_union']) == (200, 400)


def test_the_object_that_a_chosen_box_is_on() -> None:
    truth = Truth.of(EXPRESSION, ANNOTATIONS, [], None, None)

    def chosen(*xywh: float) -> tuple:
        found = row(truth, proposals((0, 0, 9, 9)), Choice(np.array(xywh), 0.9, 'cup', None), 'cmae')
        return found['chosen_ann_id'], found['chosen_gt_label'], found['chosen_gt_iou']

    for annotation in ANNOTATIONS:
        assert chosen(*annotation.xywh) == (annotation.ann_id, annotation.category, 1.0)
    assert chosen(10, 10, 20, 10) == (EXPRESSION.ann_id, 'cup', 0.5)
    assert chosen(500, 500, 5, 5) == (None, None, None), 'on nothing annotated'


def test_of_objects_that_overlap_alike_the_referent_is_chosen_then_the_first() -> None:
    """Equal boxes stand before and after the referent's; a box over two others overlaps both alike."""
    twins = [Annotation(i, 1, (10, 10, 20, 20), 'cup') for i in (1000, EXPRESSION.ann_id, 1001)]
    sides = [Annotation(i, 1, (x, 50, 10, 10), 'bowl') for i, x in ((1002, 50), (1003, 60))]
    truth = Truth.of(EXPRESSION, twins + sides, [], None, None)
    for box, expected in (((10, 10, 20, 20), EXPRESSION.ann_id), ((50, 50, 20, 10), 1002)):
        found = row(truth, proposals((0, 0, 9, 9)), Choice(np.array(box, float), 0.9, 'cup', None), 'cmae')
        assert found['chosen_ann_id'] == expected


def test_nothing_to_choose_from_is_wrong_and_an_empty_mask() -> None:
    truth = Truth.of(EXPRESSION, ANNOTATIONS, ANNOTATIONS[2:], rle(10, 10, 20, 20), None)
    found = row(truth, proposals(), None, 'cmae')
    assert found['box'] is None and found['iou'] == 0.0
    assert (found['mask_intersection'], found['mask_union']) == (0, 400)
    assert (found['n_proposals'], found['best_proposal_iou'], found['context_hits']) == (0, 0.0, 0)


def test_plain_expressions_have_nulls_where_nothing_is_annotated() -> None:
    plain = Expression('mine', 'all', 7, 1, 'cup', ('cup',), (10, 10, 20, 20))
    found = row(Truth.of(plain, None, None, None, None), proposals((10, 10, 30, 30)), None)
    for key in ('context_hits', 'n_context', 'n_same_category', 'gt_label', 'ref_id', 'ann_id', 'best_candidate_iou'):
        assert found[key] is None


def test_proposals_are_written_to_a_thousandth_of_a_pixel() -> None:
    given = proposals((0.1, 0.2, 30.3, 40.45678))
    truth = Truth.of(EXPRESSION, ANNOTATIONS, [], None, None)
    (found,) = proposals_rows([truth], [given], NAMES, 'greedy')
    assert found['boxes'] == [[0.1, 0.2, 30.2, 40.257]] and found['confidence'] == [1.0]
    assert found['labels'] == ['cup'] and found['relatedness'] is None and found['word_attention'] is None


def test_which_proposals_hit_the_referent_and_which_a_contextual_object() -> None:
    truth = Truth.of(EXPRESSION, ANNOTATIONS, ANNOTATIONS[1:], None, None)
    x, y, w, h = ANNOTATIONS[1].xywh
    given = proposals((10, 10, 30, 30), (x, y, x + w, y + h), (10, 10, 30, 20), (500, 500, 510, 510))
    (found,) = proposals_rows([truth], [given], NAMES, 'greedy')
    assert found['hits'] == ['referent', 'context', None, None], 'half of a box is no hit'
    plain = Truth.of(EXPRESSION, None, None, None, None)
    (found,) = proposals_rows([plain], [given], NAMES, 'greedy')
    assert found['hits'] == ['referent', None, None, None]


def test_xywh_of_no_boxes() -> None:
    assert xyxy_to_xywh(np.zeros((0, 4))).shape == (0, 4)


def test_rows_written_so_far_survive_an_interruption(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RowWriter(tmp_path / 'rows.jsonl') as writer:
        writer.write([{'a': 1}, {'a': 'é'}])
        raise KeyboardInterrupt
    assert [json.loads(line) for line in (tmp_path / 'rows.jsonl').read_text().splitlines()] == [{'a': 1}, {'a': 'é'}]


def test_a_full_disk_is_named_and_leaves_whole_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RowWriter(tmp_path / 'rows.jsonl') as writer:
        writer.write([{'a': 1}])
        whole = writer._file

        class Full:
            """Takes three bytes more, then the disk is full."""

            room = 3

            def write(self, data: memoryview) -> int:
                if not self.room:
                    raise OSError(28, 'No space left on device')
                written, self.room = whole.write(data[:self.room]), 0
                return written

            seek, truncate, close = whole.seek, whole.truncate, whole.close
        monkeypatch.setattr(writer, '_file', Full())
        with pytest.raises(InputError, match=r'rows\.jsonl: cannot be written \(No space left on device\)'):
            writer.write([{'b': 2}])
    assert (tmp_path / 'rows.jsonl').read_text() == '{"a":1}\n'
