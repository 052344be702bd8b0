"""The original evaluation programs' own numbers on cases that mostly sit on a threshold (``metrics.json``)."""
import json

import numpy as np
import pytest

import harness.metrics  # noqa: F401  registers the metrics
from harness.boxes import best_iou, rec_iou, xywh_to_xyxy
from harness.data.masks import to_rle
from harness.metrics.mask_overlap import mask_overlap
from harness.registry import METRICS
from tests.reference import vector_file

SELECTIONS = {
    'all': {}, 'top1': {'top': 1}, 'top5': {'top': 5}, 'conf_0.3': {'threshold': 0.3}, 'conf_0.9': {'threshold': 0.9},
}


@pytest.fixture(scope='module')
def vectors():
    return json.loads(vector_file('metrics.json').read_text())


def value(name, rows):
    metric = METRICS.build({'type': 'pr@x' if name.startswith('pr@') else name})
    metric.process(rows)
    return metric.compute()[name][0]


def selected(scores, top=None, threshold=None):
    """Indices of the proposals that the original counts: best first; the best one, and those over a threshold.

    Source: ``tools/eval_proposal_hit_rate.py`` and ``utils/hit_rate_utils.py`` of ChopinSharp/ref-nms.
    """
    scores = np.array(scores)
    order = np.argsort(-scores, kind='stable')
    return order[:top] if threshold is None else order[:max(1, int((scores > threshold).sum()))]


def recall_rows(vectors, selection):
    """What a run would write of these proposals, one row a sentence."""
    rows = []
    for ref in vectors['refs']:
        gold = xywh_to_xyxy([vectors['gold_boxes_xywh'][str(ref['ann_id'])]])
        for sent_id in map(str, ref['sent_ids']):
            proposals = vectors['proposals'][sent_id]
            kept = selected([p['score'] for p in proposals], **selection)
            boxes = np.array([p['box'] for p in proposals]).reshape(-1, 4)[kept]
            context = vectors['context'][sent_id]
            rows.append({
                'best_proposal_iou': float(best_iou(gold, boxes)[0]), 'n_proposals': len(boxes),
                'context_hits': int((best_iou(context, boxes) > 0.5).sum()), 'n_context': len(context),
            })
    return rows


@pytest.mark.parametrize('selection', SELECTIONS)
def test_recall(vectors, selection):
    rows, expected = recall_rows(vectors, SELECTIONS[selection]), vectors['expected_recall'][selection]
    with_context = [row for row in rows if row['n_context']]

    assert value('referent_recall', rows) / 100 == pytest.approx(expected['referent_recall'], abs=1e-9)
    assert value('mean_proposals', rows) == pytest.approx(expected['proposals_per_expression'], abs=1e-9)
    assert value('context_recall', rows) / 100 == pytest.approx(expected['context_recall'], abs=1e-9)
    assert value('mean_proposals', with_context) == pytest.approx(
        expected['context_proposals_per_expression'], abs=1e-9)


def test_rec(vectors):
    chosen = [row['pred_box'] for row in vectors['rec']]
    ious = rec_iou(chosen, [row['gd_box'] for row in vectors['rec']])
    rows = [{'grounder': 'any', 'box': box, 'iou': float(i)} for box, i in zip(chosen, ious, strict=True)]

    assert ious == pytest.approx(vectors['expected_rec']['iou'], abs=1e-9)
    assert value('accuracy', rows) / 100 == pytest.approx(vectors['expected_rec']['accuracy'], abs=1e-9)
    assert value('accuracy_strict', rows) <= value('accuracy', rows)


def test_res(vectors):
    rows = []
    for case in vectors['res']:
        intersection, union = mask_overlap(*(to_rle(case[name], *case[name]['size']) for name in ('pred', 'gold')))
        assert (intersection, union) == (case['intersection'], case['union'])
        rows.append({'mask_intersection': intersection, 'mask_union': union})

    expected = vectors['expected_res']
    assert value('overall_iou', rows) / 100 == pytest.approx(expected['overall_iou'], abs=1e-9)
    for threshold, share in expected['precision'].items():
        assert value(f'pr@{threshold}', rows) / 100 == pytest.approx(share, abs=1e-9)
