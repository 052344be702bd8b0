"""COCO's detection results: how they are read, and how they take the place of a detector's candidates."""
from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.data.candidate_forms import is_detection_results
from harness.data.detection_results import load_detection_results
from harness.detection.outside import OutsideCandidates
from harness.errors import InputError
from harness.proposals.candidates import find_candidates
from harness.proposals.greedy import Greedy, Greedy100
from harness.types import ImageFeatures, ImageInfo
from run_benchmark import command_line

ROWS = [{'image_id': 7, 'category_id': 17, 'bbox': [0, 0, 10, 10], 'score': 0.2},
        {'image_id': 7, 'category_id': 1, 'bbox': [20, 20, 10, 10], 'score': 0.9},
        {'image_id': 7, 'category': 'robot', 'bbox': [1, 1, 10, 10], 'score': 0.5},
        {'image_id': 8, 'category_id': 1, 'bbox': [0, 0, 5, 5], 'score': 1}]


def written(path: Path, rows: Any = ROWS) -> Path:
    path.write_text(json.dumps(rows))
    return path


def an_image(image_id: int) -> ImageFeatures:
    none = torch.zeros(0, 2, 4)
    return ImageFeatures(ImageInfo(image_id, 100, 100), 1., torch.zeros(1, 3, 7, 7), none, none[..., 0],
                         ('person', 'dog'), None)


def test_boxes_come_by_image_best_first_with_categories_by_name(tmp_path: Path) -> None:
    results = load_detection_results(written(tmp_path / 'results.json'), {})
    found = results.of(7)
    assert found.xyxy.tolist() == [[20, 20, 30, 30], [1, 1, 11, 11], [0, 0, 10, 10]]
    assert [results.classes[label] for label in found.labels] == ['person', 'robot', 'cat']
    assert found.scores.tolist() == [0.9, 0.5, 0.2] and len(results.of(9).scores) == 0


def test_a_dataset_s_own_categories_come_before_coco_s(tmp_path: Path) -> None:
    results = load_detection_results(written(tmp_path / 'results.json'), {1: 'cup', 17: 'plate'})
    assert results.classes == ('plate', 'cup', 'robot')


def test_a_list_is_detection_results_and_packed_files_are_read(tmp_path: Path) -> None:
    packed = tmp_path / 'results.json.gz'
    packed.write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    assert is_detection_results(packed) and len(load_detection_results(packed, {}).of(7).scores) == 3
    assert not is_detection_results(written(tmp_path / 'boxes.json', {'7': [[0, 0, 1, 1]]}))


@pytest.mark.parametrize(('rows', 'message'), [
    ({}, 'must hold a list of detections'),
    ([{'image_id': 7, 'category_id': 1, 'bbox': [0, 0, 1, 1]}], 'detection 1: has no score'),
    ([{**ROWS[0], 'category_id': 999}], "category_id 999 is none of the dataset's and none of COCO's"),
    ([{**ROWS[0], 'bbox': [0, 0, -1, 1]}], 'detection 1'),
    ([{**ROWS[0], 'score': 'high'}], 'detection 1'),
    ([{**ROWS[0], 'image_id': '7'}], 'detection 1'),
    ([7], 'detection 1')])
def test_what_is_no_detection_is_refused(tmp_path: Path, rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_detection_results(written(tmp_path / 'results.json', rows), {})


def test_a_box_is_a_candidate_of_its_own_class_alone(tmp_path: Path) -> None:
    candidates = OutsideCandidates.of(load_detection_results(written(tmp_path / 'results.json'), {}), ('person', 'dog'))
    image = candidates.put_into(an_image(7))
    assert image.classes == ('person', 'dog', 'cat', 'robot') and candidates.unknown == ('cat', 'robot')
    every = find_candidates(image.class_boxes, image.class_scores, -1.)
    assert [(image.classes[k], round(float(s), 1)) for k, s in zip(every.labels, every.det_scores, strict=True)] == [
        ('person', 0.9), ('cat', 0.2), ('robot', 0.5)]
    assert Greedy100().propose(image).scores.tolist() == pytest.approx([0.9, 0.5, 0.2])
    assert Greedy().propose(image).bboxes.tolist() == [[20, 20, 30, 30]]


def test_the_threshold_is_lowered_until_a_box_reaches_it_and_no_further_than_boxes_are(tmp_path: Path) -> None:
    rows = [{**ROWS[0], 'score': 0.04}]
    candidates = OutsideCandidates.of(load_detection_results(written(tmp_path / 'results.json', rows), {}), ('person',))
    assert len(Greedy().propose(candidates.put_into(an_image(7)))) == 1
    image = candidates.put_into(an_image(9))
    assert len(Greedy().propose(image)) == len(Greedy100().propose(image)) == 0
    assert len(find_candidates(image.class_boxes, image.class_scores)) == 0


def test_rules_and_grounders_run_on_boxes_of_another_detector(tmp_path: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rows = [{'image_id': image_id, 'category': ('person', 'car', 'robot')[i % 3], 'score': float(rng.uniform(0.3, 1)),
             'bbox': [*map(float, rng.integers(0, 150, 2)), *map(float, rng.integers(20, 100, 2))]}
            for image_id in (10_001, 10_002, 99) for i in range(12)]
    out = tmp_path / 'run'
    assert command_line(['--candidates', str(written(tmp_path / 'results.json', rows)), '--dataset', 'mini-refcoco',
                         '--split', 'val', '--limit', '12', '--proposals', 'greedy,ref-nms-b,category-name',
                         '--task', 'recall,rec,res', '--out', str(out)]) == 0
    said = capsys.readouterr().out
    assert '--candidates: 1 of its 3 images have no expression here' in said
    assert '1 of 3 categories are unknown to the detector' in said and 'robot' in said
    boxes = {tuple(row['bbox']) for row in rows}
    written_rows = [json.loads(line) for line in (out / 'predictions.jsonl').read_text().splitlines()]
    assert {row['proposals'] for row in written_rows} == {'greedy', 'ref-nms-b', 'category-name'}
    assert all(row['box'] is None or tuple(row['box']) in boxes for row in written_rows)
    assert any(row['rle'] for row in written_rows)


def test_as_proposals_they_are_not_suppressed(tmp_path: Path) -> None:
    rows = [{'image_id': 10_001, 'category': 'person', 'bbox': [10, 10, 50, 50], 'score': 0.9 - i / 10}
            for i in range(3)]
    out = tmp_path / 'run'
    assert command_line(['--candidates', str(written(tmp_path / 'results.json', rows)), '--dataset', 'mini-refcoco',
                         '--split', 'val', '--proposals', 'given', '--task', 'recall', '--out', str(out)]) == 0
    row = json.loads((out / 'proposals.jsonl').read_text().splitlines()[0])
    assert row['boxes'] == [[10, 10, 50, 50]] * 3
