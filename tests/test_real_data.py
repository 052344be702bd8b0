"""The real expressions with real candidates: the answers are known to the last digit printed."""
import os
from collections import Counter
from pathlib import Path

import pytest

import harness.metrics  # noqa: F401  registers the metrics
from harness.boxes import best_iou, xywh_to_xyxy
from harness.data.candidates import load_candidates
from harness.data.counts import PUBLISHED, count
from harness.data.plain import load_expressions
from harness.registry import METRICS

REAL = Path(os.environ.get('REAL_DATA', Path(__file__).parents[1] / '../shared/real'))
pytestmark = pytest.mark.skipif(not REAL.exists(), reason=f'the real data are not in {REAL}; set REAL_DATA')


@pytest.fixture(scope='module')
def datasets():
    return load_expressions(REAL / 'refcoco_eval.jsonl.gz')


@pytest.fixture(scope='module')
def candidates():
    return load_candidates(REAL / 'region_candidates.json.gz')


def recall(expressions, candidates):
    """Covered expressions, recall in percent, boxes an expression."""
    rows = []
    for expression in expressions:
        proposals = candidates.for_expression(expression)
        if proposals is not None:
            best = best_iou(xywh_to_xyxy([expression.gt_xywh]), proposals.bboxes.numpy())
            rows.append({'best_proposal_iou': float(best[0]), 'n_proposals': len(proposals)})
    metrics = [METRICS.build({'type': name}) for name in ('referent_recall', 'mean_proposals')]
    for metric in metrics:
        metric.process(rows)
    (found, covered), (boxes, _) = (next(iter(metric.compute().values())) for metric in metrics)
    return covered, f'{found:.2f}', f'{boxes:.2f}'


@pytest.mark.parametrize('name, split, answer', [
    ('refcoco', 'val', (1512, '79.03', '7.75')), ('refcoco', 'testA', (965, '79.90', '9.09')),
    ('refcoco', 'testB', (703, '74.40', '6.06')), ('refcoco+', 'val', (1525, '78.89', '7.79')),
    ('refcocog', 'val', (1084, '76.57', '8.36')),
])
def test_recall_of_the_region_candidates(datasets, candidates, name, split, answer):
    assert recall(datasets[name].split(split), candidates) == answer


def test_boxes_that_reach_outside_their_image(datasets, candidates):
    images = {image_id: info for dataset in datasets.values() for image_id, info in dataset.images.items()}
    assert candidates.count_outside(images) == 932


def test_recall_of_the_excerpt():
    path = REAL / 'refcoco_testA_50.json'
    [dataset] = load_expressions(path).values()
    assert recall(dataset.expressions, load_candidates(path)) == (50, '90.00', '8.54')


def test_counts_are_the_published_ones(datasets):
    for name, dataset in datasets.items():
        for split in dataset.splits:
            assert count(dataset.split(split)) == PUBLISHED[name][split]


def test_repeated_rows_all_count(datasets):
    rows = Counter((e.dataset, e.split, e.image_id, e.ann_id, e.gt_xywh, e.sent)
                   for dataset in datasets.values() for e in dataset.expressions)
    assert rows.total() == 57_457
    assert rows.total() - len(rows) == 2_547


def test_words_are_divided_as_refer_does(datasets):
    """All but the few sentences that hold signs which REFER itself left joined to words."""
    differing = [e for d in datasets.values() for e in d.expressions if e.tokens != tuple(e.sent.split())]
    assert len(differing) < 10
