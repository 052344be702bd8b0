"""Proposals drawn into their images, for expressions that one rule gets wrong and the next right."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.errors import exit_code
from reports.picture import changed, draw, main


def prediction(sent_id: int, rule: str, iou: float, image_id: int = 7) -> dict:
    return {'dataset': 'mini-refcoco', 'split': 'testB', 'grounder': 'cmae', 'proposals': rule, 'sent_id': sent_id,
            'image_id': image_id, 'sent': 'left cup', 'iou': iou, 'box': [10, 10, 20, 20], 'gt_box': [10, 10, 20, 20]}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    rows = [prediction(1, 'greedy', 0.2), prediction(1, 'ref-nms-b', 0.5), prediction(2, 'greedy', 0.9),
            prediction(2, 'ref-nms-b', 0.9), prediction(3, 'greedy', 0.0), prediction(3, 'ref-nms-b', 0.1)]
    keys = ('dataset', 'split', 'sent_id', 'proposals')
    boxes = [{**{k: r[k] for k in keys}, 'boxes': [[10, 10, 20, 20], [40, 5, 9, 9]]} for r in rows]
    for name, content in (('predictions', rows), ('proposals', boxes)):
        (tmp_path / f'{name}.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in content))
    cv2.imwrite(str(tmp_path / 'COCO_train2014_000000000007.png'), np.full((60, 80, 3), 200, np.uint8))
    return tmp_path


def test_changed_means_from_wrong_to_right(results: Path) -> None:
    assert [both['greedy']['sent_id'] for both in
            changed(results, ('greedy', 'ref-nms-b'), 'cmae', 'testB', 'mini-refcoco')] == [1]


def test_the_picture_has_both_rules_and_their_boxes(results: Path) -> None:
    draw(results, results, results / 'out.png')
    picture = cv2.imread(str(results / 'out.png')).reshape(-1, 3).astype(int)
    for bgr in ((40, 39, 214), (180, 119, 31)):  # red: hits the referent, blue: another proposal
        assert (abs(picture - np.array(bgr)).max(axis=1) < 25).sum() > 20


def test_it_is_a_command(results: Path) -> None:
    assert main([str(results), '--images', str(results), '-o', str(results / 'command.png')]) == 0
    assert (results / 'command.png').stat().st_size > 0


def refused(results: Path, capsys: pytest.CaptureFixture, *more: str) -> str:
    """The only line of a command that comes to nothing."""
    arguments = [str(results), '--images', str(results), '-o', str(results / 'out.png'), *more]
    assert exit_code(lambda: main(arguments), '', '') == 2 and not (results / 'out.png').exists()
    line, = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(('options', 'said'), [
    (['--split', 'val'], 'nothing of cmae on mini-refcoco val that greedy gets wrong and ref-nms-b right is left'),
    (['--skip', '1'], 'check --dataset, --split, --grounder and --skip'), (['--count', '0'], 'at least 1'),
    (['--skip', '-1'], 'at least 0'), (['--splt', 'val'], 'did you mean --split?'),
    (['--images', 'nowhere'], '--images nowhere: has no image 000000000007'), (['-o', 'out.txt'], 'name it .png or'),
    (['-o', 'no/such/out.png'], 'No such file')])
def test_bad_options_are_one_line(results: Path, options: list[str], said: str,
                                  capsys: pytest.CaptureFixture) -> None:
    assert said in refused(results, capsys, *options)


@pytest.mark.parametrize('file', ['predictions', 'proposals'])
@pytest.mark.parametrize('text', ['{', '[]', '{"dataset": 3}', '{"dataset": "mini-refcoco"}'])
def test_a_damaged_file_is_named_with_its_line(results: Path, file: str, text: str,
                                               capsys: pytest.CaptureFixture) -> None:
    with (results / f'{file}.jsonl').open('a') as lines:
        lines.write(text + '\n')
    assert f'{file}.jsonl: line 7: ' in refused(results, capsys)


def test_what_is_not_there_is_named(results: Path, capsys: pytest.CaptureFixture) -> None:
    next(results.glob('*.png')).write_bytes(b'no picture')
    assert '000000000007.png: ' in refused(results, capsys)
    (results / 'proposals.jsonl').write_text('')
    next(results.glob('*.png')).unlink()
    cv2.imwrite(str(results / 'COCO_train2014_000000000007.png'), np.zeros((60, 80, 3), np.uint8))
    assert 'proposals.jsonl: lacks sentence 1' in refused(results, capsys)
    (results / 'predictions.jsonl').unlink()
    assert 'predictions.jsonl: there is no such file' in refused(results, capsys)
