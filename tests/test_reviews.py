"""Reviewed labels: every metric with and without the faulty ones, by hand; who rises and falls; masks drawn again."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as coco_mask

from harness.errors import InputError
from harness.types import FormRow
from reports.__main__ import main
from reports.rows.prediction_rows import read_predictions
from reports.rows.reviews import Reviews, read_reviews
from reports.tables.reviewed import reviewed_tables
from tests.parquet_files import SIZES, refcoco_m
from tests.prediction_files import lost, row, write

SENTENCES = ['left cup', 'the cup', 'red cup', 'cup on the right']


def reviewed_file(path: Path, verdicts: list[int], ann_ids: tuple[int, ...] = (4, 4, 4, 4)) -> Path:
    """Ref-L4's form: each sentence on image 7 with its verdict, 0 for a faulty one."""
    images = [{'file_name': 'COCO_train2014_000000000007.jpg', 'height': 30, 'width': 40, 'id': i, 'original_id': 7,
               'caption': f'{sent.capitalize()}.', 'dataset_name': 'refcoco'} for i, sent in enumerate(SENTENCES)]
    annotations = [{'image_id': i, 'id': i, 'original_id': ann_id, 'bbox': [10, 10, 20, 20], 'area': 400, 'iscrowd': 0,
                    'category_id': 1, 'caption_quality': verdict}
                   for i, (verdict, ann_id) in enumerate(zip(verdicts, ann_ids, strict=True))]
    path.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': []}))
    return path


def answers(*right: bool, **changed: Any) -> list[dict]:
    return [(row if is_right else lost)(sent=sent, sent_id=i, **changed)
            for i, (sent, is_right) in enumerate(zip(SENTENCES, right, strict=True))]


def rows_of(out: str) -> list[dict]:
    return json.loads(out)['rows']


def test_every_metric_without_the_faulty_labels(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    predictions = write(tmp_path / 'p.jsonl', [*answers(True, False, False, True),
                                               *answers(True, True, False, False, grounder='mattnet')])
    reviews = reviewed_file(tmp_path / 'r.json', [1, 1, 0, 0])
    assert main(['reviews', str(predictions), '--reviews', str(reviews), '--format', 'json']) == 0
    found = {(r['metric'], r['grounder']): r for r in rows_of(capsys.readouterr().out)}
    accuracy = found['accuracy', 'cmae']
    assert (accuracy['published'], accuracy['without faulty'], accuracy['change']) == (50, 50, 0)
    assert (accuracy['n'], accuracy['n without'], accuracy['rank']) == (4, 2, '1 → 2')
    accuracy = found['accuracy', 'mattnet']
    assert (accuracy['published'], accuracy['without faulty'], accuracy['rank']) == (50, 100, '1')
    assert found['referent_recall', '-']['n'] == 4
    assert found['overall_iou', 'cmae']['published'] == pytest.approx(100 * 160 / 400)


def test_expressions_that_nobody_reviewed_are_left_out(tmp_path: Path) -> None:
    predictions = write(tmp_path / 'p.jsonl', [*answers(True, True, True, True), row(sent='a bowl', sent_id=9)])
    (block,) = reviewed_tables(read_predictions([predictions]),
                               read_reviews([reviewed_file(tmp_path / 'r.json', [1, 1, 1, 0])]))
    assert block.remarks == ['1 of 4 reviewed labels are marked as faulty (25.0 %)',
                             '1 of 5 expressions were not reviewed and are left out']


def test_the_same_words_on_two_referents_are_told_apart(tmp_path: Path) -> None:
    images = [{'file_name': 'COCO_train2014_000000000007.jpg', 'height': 30, 'width': 40, 'id': i,
               'caption': 'left cup'} for i in range(2)]
    annotations = [{'image_id': i, 'id': i, 'original_id': 4 + i, 'bbox': [1, 1, 2, 2], 'caption_quality': i}
                   for i in range(2)]
    (tmp_path / 'r.json').write_text(json.dumps({'images': images, 'annotations': annotations}))
    rows = [row(sent_id=1, ann_id=4), row(sent_id=2, ann_id=5), row(sent_id=3, ann_id=None), row(sent_id=4, ann_id=6)]
    faults = read_reviews([tmp_path / 'r.json']).faults(read_predictions([write(tmp_path / 'p.jsonl', rows)]))
    assert [str(x) for x in faults] == ['1.0', '0.0', '1.0', 'nan']


def test_a_bin_for_wrong_answers_to_faulty_labels(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    predictions = write(tmp_path / 'p.jsonl', answers(True, False, False, True))
    reviews = reviewed_file(tmp_path / 'r.json', [1, 0, 1, 0])
    assert main(['failures', str(predictions), '--reviews', str(reviews), '--format', 'json']) == 0
    counts = {r['bin']: r['expressions'] for r in rows_of(capsys.readouterr().out)}
    assert (counts['label_faulty'], counts['right'], counts['suppressed']) == (1, 2, 1)


def test_masks_that_were_drawn_again(tmp_path: Path) -> None:
    def rle(*columns: int) -> dict:
        import numpy as np
        mask = np.zeros((30, 40), np.uint8, order='F')
        mask[:, list(columns)] = 1
        found = coco_mask.encode(mask)
        return {'size': found['size'], 'counts': found['counts'].decode()}

    predictions = write(tmp_path / 'p.jsonl', [row(rle=rle(0, 1), mask_intersection=30, mask_union=60),
                                               lost(sent='the cup', sent_id=2, rle=None, mask_union=60)])
    reviews = Reviews({}, {}, {(7, 'left cup'): (rle(0, 1), (30, 40)), (7, 'the cup'): (rle(5), (30, 40))})
    (block,) = reviewed_tables(read_predictions([predictions], ('rle',)), reviews)
    overall = block.table.set_index('metric').loc['overall_iou']
    assert (overall['published'], overall['masks drawn again']) == (25, pytest.approx(100 * 60 / 90))


def test_the_masks_of_refcoco_m_are_read(tmp_path: Path) -> None:
    reviews = read_reviews([refcoco_m(tmp_path / 'validation.parquet')])
    assert set(reviews.masks) == {(309, 'left man'), (309, 'him'), (309, 'dog'), (605, 'a cup')} and not reviews.faulty
    assert reviews.masks[309, 'him'][1] == SIZES[309]


def test_a_run_prints_them_at_its_end(small_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from harness.embedded.known import load_embedded
    from run_benchmark import command_line

    expressions = load_embedded('mini-refcoco', 'eval').split('testB')[:6]
    images = [{'file_name': f'{e.image_id}.jpg', 'height': 9, 'width': 9, 'id': i, 'caption': e.sent}
              for i, e in enumerate(expressions)]
    annotations = [{'image_id': i, 'id': i, 'original_id': e.ann_id, 'bbox': list(e.gt_xywh), 'caption_quality': i % 2}
                   for i, e in enumerate(expressions)]
    (tmp_path / 'r.json').write_text(json.dumps({'images': images, 'annotations': annotations}))
    assert command_line(['--dataset', 'mini-refcoco', '--split', 'testB', '--limit', '6', '--grounder', 'none',
                         '--reviews', str(tmp_path / 'r.json'), '--out', str(tmp_path / 'out')]) == 0
    assert '3 of 6 reviewed labels are marked as faulty' in capsys.readouterr().out
    assert 'without faulty' in (tmp_path / 'out/reviews.md').read_text()


def test_reviews_of_something_else_are_refused(tmp_path: Path) -> None:
    predictions = write(tmp_path / 'p.jsonl', [row(sent='a bowl')])
    reviews = reviewed_file(tmp_path / 'r.json', [1, 1, 1, 1])
    for command in ('reviews', 'failures'):
        with pytest.raises(InputError, match='none of the expressions was reviewed'):
            main([command, str(predictions), '--reviews', str(reviews)])


def test_a_file_without_verdicts_is_refused(tmp_path: Path) -> None:
    reviews = reviewed_file(tmp_path / 'r.json', [1, 1, 1, 1])
    content = json.loads(reviews.read_text())
    for annotation in content['annotations']:
        del annotation['caption_quality']
    reviews.write_text(json.dumps(content))
    with pytest.raises(InputError, match='says nothing of labels'):
        read_reviews([reviews])


def test_a_verdict_is_a_field_of_its_row() -> None:
    assert FormRow('', '', None, 1).faulty is None
