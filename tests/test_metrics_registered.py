"""The metrics: what each counts in the rows of predictions.jsonl, and that neither order nor division matters."""
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.registry import METRICS

NAMES = ('referent_recall', 'context_recall', 'mean_proposals', 'accuracy', 'accuracy_strict', 'overall_iou', 'pr@x')


def build(name):
    return METRICS.get(name)()


def compute(name, rows):
    metric = build(name)
    metric.process(rows)
    return metric.compute()


def only(name, rows):
    [value] = compute(name, rows).values()
    return value


def test_every_metric_of_the_results_is_registered():
    names = [name for metric in NAMES for name in METRICS.get(metric).names]
    assert names == ['referent_recall', 'context_recall', 'mean_proposals', 'accuracy', 'accuracy_strict',
                     'overall_iou', 'pr@0.5', 'pr@0.6', 'pr@0.7', 'pr@0.8', 'pr@0.9']
    assert {METRICS.get(metric).task for metric in NAMES} == {'recall', 'rec', 'res'}


@pytest.mark.parametrize('name', NAMES)
def test_without_rows_that_have_it_a_value_is_not_available(name):
    assert set(compute(name, []).values()) == {(None, 0)}
    assert set(compute(name, [{'sent': 'left cup', 'grounder': '-'}]).values()) == {(None, 0)}


class TestRecall:
    def test_a_referent_is_found_strictly_over_half(self):
        rows = [{'best_proposal_iou': iou} for iou in (0.5, 0.5000001, 1.0, 0.0, None)]
        assert only('referent_recall', rows) == (50.0, 4)

    def test_contextual_recall_is_a_mean_over_expressions_that_have_some(self):
        """1 of 1, 1 of 3, and one without: (1 + 1/3) / 2."""
        rows = [{'n_context': 1, 'context_hits': 1}, {'n_context': 3, 'context_hits': 1},
                {'n_context': 0, 'context_hits': 0}, {'n_context': None, 'context_hits': None}]
        assert only('context_recall', rows) == (pytest.approx(200 / 3, abs=1e-12), 2)

    def test_contextual_objects_without_proposals_to_find_them_are_left_out(self):
        assert only('context_recall', [{'n_context': 2, 'context_hits': None}]) == (None, 0)

    def test_the_number_of_proposals_is_no_percentage(self):
        assert only('mean_proposals', [{'n_proposals': n} for n in (8, 9, 0, None)]) == (pytest.approx(17 / 3), 3)


class TestRec:
    def row(self, iou, box=(0, 0, 5, 5)):
        return {'grounder': 'cmae', 'iou': iou, 'box': box}

    def test_exactly_half_is_right_for_the_original_and_wrong_for_the_paper(self):
        rows = [self.row(0.5), self.row(0.75), self.row(0.49), self.row(0.0)]
        assert only('accuracy', rows) == (50.0, 4)
        assert only('accuracy_strict', rows) == (25.0, 4)

    def test_no_detection_is_wrong(self):
        assert only('accuracy', [self.row(1.0), self.row(None, box=None)]) == (50.0, 2)

    def test_without_a_grounder_there_is_nothing_to_be_wrong(self):
        assert only('accuracy', [self.row(1.0), {'grounder': '-', 'iou': None, 'box': None}]) == (100.0, 1)


class TestRes:
    def test_overall_iou_is_of_the_sums(self):
        rows = [{'mask_intersection': 90, 'mask_union': 100}, {'mask_intersection': 0, 'mask_union': 50},
                {'mask_intersection': None, 'mask_union': None}]
        assert only('overall_iou', rows) == (60.0, 2)

    def test_precision_counts_exact_thresholds(self):
        rows = [{'mask_intersection': i, 'mask_union': 10} for i in (4, 5, 6, 7, 8, 9, 10, 10)]
        assert compute('pr@x', rows) == {'pr@0.5': (87.5, 8), 'pr@0.6': (75.0, 8), 'pr@0.7': (62.5, 8),
                                         'pr@0.8': (50.0, 8), 'pr@0.9': (37.5, 8)}

    def test_two_empty_masks_are_no_hit(self):
        rows = [{'mask_intersection': 0, 'mask_union': 0}]
        assert only('overall_iou', rows) == (0.0, 1)
        assert set(compute('pr@x', rows).values()) == {(0.0, 1)}


@st.composite
def prediction_rows(draw):
    n_context, union = draw(st.integers(0, 7)), draw(st.integers(0, 10**6))
    iou = draw(st.one_of(st.none(), st.sampled_from([0.0, 0.5, 0.6]), st.floats(0, 1)))
    return {
        'grounder': draw(st.sampled_from(['cmae', '-'])), 'iou': iou, 'box': None if iou is None else [0, 0, 1, 1],
        'best_proposal_iou': draw(st.one_of(st.none(), st.floats(0, 1))), 'n_proposals': draw(st.integers(0, 100)),
        'n_context': n_context, 'context_hits': draw(st.integers(0, n_context)),
        'mask_union': draw(st.one_of(st.none(), st.just(union))), 'mask_intersection': draw(st.integers(0, union)),
    }


@pytest.mark.parametrize('name', NAMES)
class TestLaws:
    @settings(max_examples=20, deadline=None)
    @given(rows=st.lists(prediction_rows(), max_size=20), seed=st.integers(0, 99))
    def test_the_order_of_the_rows_does_not_matter(self, name, rows, seed):
        assert compute(name, random.Random(seed).sample(rows, len(rows))) == compute(name, rows)

    @settings(max_examples=20, deadline=None)
    @given(shards=st.lists(st.lists(prediction_rows(), max_size=8), max_size=4))
    def test_parts_add_up_to_the_whole(self, name, shards):
        metric = build(name)
        for shard in shards:
            metric.process(shard)
        assert metric.compute() == compute(name, [row for shard in shards for row in shard])

    @settings(max_examples=20, deadline=None)
    @given(rows=st.lists(prediction_rows(), max_size=8))
    def test_reset_forgets(self, name, rows):
        metric = build(name)
        metric.process(rows)
        metric.reset()
        assert metric.compute() == build(name).compute()
