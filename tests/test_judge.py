"""Answers from outside: the same metrics as a run's own, and what is missing, double or strange is said."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.data.answers import name_of
from harness.embedded.known import load_embedded
from run_benchmark import command_line


@pytest.fixture
def truth(small_benchmark: Path) -> list[dict]:
    """COCO results for mini-refcoco's testB that are right about everything."""
    dataset = load_embedded('mini-refcoco', 'eval')
    found = {a.ann_id: a for annotations in dataset.annotations.values() for a in annotations}
    return [{'sent_id': e.sent_id, 'bbox': list(e.gt_xywh), 'score': 0.5,
             'segmentation': found[e.ann_id].segmentation} for e in dataset.split('testB')]


def judge(path: Path, answers: object, *options: str) -> tuple[int, dict[str, float]]:
    """The exit code, and the values by metric."""
    file, out = path / 'mine.json', path / 'out'
    file.write_text(answers if isinstance(answers, str) else json.dumps(answers))
    code = command_line(['--predictions', str(file), '--out', str(out), *options])
    records = json.loads((out / 'results.json').read_text())['records'] if code == 0 else []
    return code, {r['metric']: r['value'] for r in records}


MINI = ('--dataset', 'mini-refcoco')


def test_right_answers_are_right(truth: list[dict], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    code, values = judge(tmp_path, truth, *MINI)
    assert code == 0
    assert values['accuracy'] == values['overall_iou'] == values['pr@0.9'] == 100
    records = json.loads((tmp_path / 'out/results.json').read_text())['records']
    assert {(r['split'], r['grounder'], r['proposals'], r['n']) for r in records} == {
        ('testB', 'mine', 'outside', len(truth))}, 'only the split that is answered, under the file\'s name'
    assert '| mine' in capsys.readouterr().out


def test_the_originals_result_file_gives_the_same(truth: list[dict], tmp_path: Path) -> None:
    """As ``tools/eval_masks.py`` of lichengunc/MAttNet saves it."""
    rows = [{'image_id': 1, 'sent_id': one['sent_id'], 'sent': '', 'gd_box': one['bbox'], 'pred_det_id': 1,
             'pred_box': one['bbox'], 'pred_score': 0.5, 'rle': one['segmentation']} for one in truth]
    assert judge(tmp_path, {'predictions': rows, 'acc': 1.0, 'iou': 1.0}, *MINI) == judge(tmp_path, truth, *MINI)


def test_boxes_alone_have_no_masks_to_judge(truth: list[dict], tmp_path: Path) -> None:
    boxes = [{'sent_id': one['sent_id'], 'bbox': one['bbox']} for one in truth]
    assert set(judge(tmp_path, boxes, *MINI)[1]) == {'accuracy', 'accuracy_strict'}


def test_masks_alone_have_no_boxes_to_judge(truth: list[dict], tmp_path: Path) -> None:
    masks = [{'sent_id': one['sent_id'], 'segmentation': one['segmentation']} for one in truth]
    assert 'accuracy' not in judge(tmp_path, masks, *MINI)[1]


def test_missing_and_double_answers_are_named_and_wrong(truth: list[dict], tmp_path: Path,
                                                        capsys: pytest.CaptureFixture) -> None:
    first, second, *rest = truth
    code, values = judge(tmp_path, [*rest, second, second, {'sent_id': 10**9, 'bbox': [0, 0, 5, 5]}], *MINI)
    printed = capsys.readouterr().out
    assert code == 0 and values['accuracy'] == pytest.approx(100 * len(rest) / len(truth))
    assert values['pr@0.5'] == values['accuracy'] and values['overall_iou'] < 100
    assert f'1 of {len(truth)} expressions have no answer, counted as wrong: sent_id {first["sent_id"]}' in printed
    assert f'have more than one answer, counted as wrong: sent_id {second["sent_id"]}' in printed
    assert '1 answers are ignored, they are for other expressions: sent_id 1000000000' in printed


def test_allow_missing_leaves_them_out(truth: list[dict], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    _, values = judge(tmp_path, truth[2:], *MINI, '--allow-missing')
    assert values['accuracy'] == values['overall_iou'] == 100
    assert f'2 of {len(truth)} expressions have no answer, left out' in capsys.readouterr().out
    records = json.loads((tmp_path / 'out/results.json').read_text())['records']
    assert {r['n'] for r in records} == {len(truth) - 2}


def test_a_run_s_own_predictions_give_its_own_figures(small_benchmark: Path, tmp_path: Path) -> None:
    run = ['--grounder', 'chance', '--dataset', 'mini-refcoco', '--proposals', 'greedy,ground-truth',
           '--task', 'rec,res', '--out', str(tmp_path / 'run')]
    assert command_line(run) == 0
    code, _ = judge(tmp_path, (tmp_path / 'run/predictions.jsonl').read_text())
    assert code == 0
    first, second = (json.loads((tmp_path / name / 'results.json').read_text())['records'] for name in ('run', 'out'))

    def by_cell(records: list[dict]) -> dict[tuple, float]:
        return {(r['dataset'], r['split'], r['proposals'], r['grounder'], r['metric'], r['n']): r['value']
                for r in records}
    assert by_cell(first) == by_cell(second), 'to the last digit'


@pytest.mark.parametrize(('answers', 'options', 'line'), [
    ('[]', MINI, 'holds no answers'),
    ('{"a": 1}\n', MINI, "line 1: has no 'proposals'"),
    ('[{"bbox": [0, 0, 1, 1]}]', MINI, "record 1: has no 'sent_id'"),
    ('[{"sent_id": 1}]', MINI, "record 1: has neither 'bbox' nor 'segmentation'"),
    ('[{"sent_id": 1, "bbox": [0, 0, NaN, 1]}]', MINI, 'not valid JSON'),
    ('[{"sent_id": 1, "bbox": [0, 0, 1]}]', MINI, "'bbox' must be four numbers"),
    ('[null]', MINI, 'record 1: must be a record with named fields, not null'),
    ('[7]', MINI, 'record 1: must be a record with named fields, not a whole number'),
    ('[{"sent_id": 1, "bbox": [0, 0, 1, 1], "score": 1e999}]', MINI, "'score' must be a finite number"),
    ('[{"sent_id": 1, "bbox": [0, 0, 1, 1], "score": -1e999}]', MINI, "'score' must be a finite number"),
    (f'[{{"sent_id": 1, "bbox": [0, 0, 1, 1], "score": 1{"0" * 400}}}]', MINI, "'score' must be a finite number"),
    ('[{"sent_id": 1, "bbox": [0, 0, 1, 1], "score": "0.5"}]', MINI, "'score' must be a finite number, not text"),
    ('[{"sent_id": 1, "bbox": [0, 0, 1, 1], "dataset": "a\\nb"}]', MINI, "'dataset' holds a line feed"),
    ('[{"sent_id": 1, "bbox": [0, 0, 1, 1], "dataset": "a\\u0000"}]', MINI, "'dataset' holds a line feed"),
    ('{"proposals": "a\\u001b[2J", "grounder": "me"}', MINI, "'proposals' holds a line feed"),
    ('{"proposals": "a", "grounder": "me\\r"}', MINI, "'grounder' holds a line feed"),
    (json.dumps({'proposals': 'a' * 10**5, 'grounder': 'me'}), MINI, "'proposals' is 100000 characters long"),
    ('[{"sent_id": 1, "bbox": [0, 0, 1, 1], "rle": {}, "segmentation": {}}]', MINI, 'has a mask twice'),
    ('[{"sent_id": 1, "bbox": [0, 0, 1, 1], "pred_mask": {}}]', MINI, "'pred_mask' is not read"),
    ('[{"sent_id": 1, "segmentation": {}, "box": [0, 0, 1, 1]}]', MINI, "'box' is not read; an answer is"),
    ('{"proposals": "a", "grounder": "me", "dataset": "b", "sent_id": 1, "bbox": [0, 0, 1, 1]}', MINI,
     "'bbox' is not read; an answer is called 'box'"),
    ('[{"sent_id": 1, "bbox": [0, 0, 1, 1]}]', (), 'does not say to which dataset'),
    ('[{"sent_id": 1000000000, "bbox": [0, 0, 1, 1]}]', MINI, 'answers none of the'),
    ('[{"sent_id": 1, "bbox": [0, 0, 1, 1]}]', (*MINI, '--grounder', 'cmae'), '--grounder: has no effect'),
])
def test_what_is_refused_is_refused_in_one_line(answers: str, options: tuple, line: str, small_benchmark: Path,
                                                tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert judge(tmp_path, answers, *options)[0] == 2
    printed = capsys.readouterr().err.splitlines()
    assert line in printed[-1] and printed[-1].startswith('error: ')
    assert not (tmp_path / 'out').exists() or not any((tmp_path / 'out').iterdir())


@pytest.mark.parametrize('called', ['rle', 'mask'])
def test_a_mask_by_another_name_is_a_mask(called: str, truth: list[dict], tmp_path: Path) -> None:
    renamed = [{'sent_id': one['sent_id'], 'bbox': one['bbox'], called: one['segmentation']} for one in truth]
    assert judge(tmp_path, renamed, *MINI)[1]['overall_iou'] == 100


def test_the_truth_beside_an_answer_is_none(truth: list[dict], tmp_path: Path) -> None:
    boxes = [{'sent_id': one['sent_id'], 'bbox': one['bbox'], 'gt_mask': one['segmentation']} for one in truth]
    assert 'overall_iou' not in judge(tmp_path, boxes, *MINI)[1]


def test_a_damaged_mask_is_named_before_anything_is_written(truth: list[dict], tmp_path: Path,
                                                            capsys: pytest.CaptureFixture) -> None:
    *good, last = truth
    assert judge(tmp_path, [*good, {**last, 'segmentation': {**last['segmentation'], 'counts': 'h'}}], *MINI)[0] == 2
    image = next(e.image_id for e in load_embedded('mini-refcoco', 'eval').expressions
                 if e.sent_id == last['sent_id'])
    assert f'mask of sent_id {last["sent_id"]} (image {image}): ' in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / 'out').exists()


def test_an_empty_list_is_an_empty_mask(truth: list[dict], tmp_path: Path) -> None:
    first, *rest = truth
    code, values = judge(tmp_path, [{**first, 'segmentation': []}, *rest], *MINI)
    assert code == 0 and values['pr@0.5'] == pytest.approx(100 * len(rest) / len(truth))


def plain(path: Path, *datasets: str) -> tuple[str, ...]:
    """Options for an expression of each dataset on a box of 20 by 20, all of them with sent_id 1."""
    rows = [{'dataset': name, 'split': 'val', 'image_id': 7, 'height': 100, 'width': 100, 'bbox': [10, 10, 20, 20],
             'sent': 'cup', 'sent_id': 1} for name in datasets]
    (path / 'e.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return '--expressions', str(path / 'e.jsonl')


def test_masks_alone_on_expressions_without_masks(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    mask = {'sent_id': 1, 'segmentation': [[10, 10, 30, 10, 30, 30]]}
    for options, said in (((), 'the answers have no boxes; add them as bbox; '), (('--task', 'res'), '--task res: ')):
        assert judge(tmp_path, [mask], *plain(tmp_path, 'a'), *options)[0] == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert f'{said}the expressions have no masks' in line and '--data-root DIR' in line
    assert not (tmp_path / 'out').exists()
    code, values = judge(tmp_path, [{**mask, 'bbox': [10, 10, 20, 20]}], *plain(tmp_path, 'a'))
    assert code == 0 and values['accuracy'] == 100
    assert 'note: --predictions: mine on outside: the masks are not judged' in capsys.readouterr().out


def test_task_res_of_boxes_is_refused(truth: list[dict], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    boxes = [{'sent_id': one['sent_id'], 'bbox': one['bbox']} for one in truth]
    assert judge(tmp_path, boxes, *MINI, '--task', 'res')[0] == 2
    advice = '--task res: the answers have no masks; add them as segmentation, or leave res out'
    assert advice in capsys.readouterr().err.splitlines()[-1]


def test_one_answer_is_not_judged_for_two_datasets(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    box = {'sent_id': 1, 'bbox': [10, 10, 20, 20]}
    options = plain(tmp_path, 'a', 'b')
    assert judge(tmp_path, [box], *options)[0] == 2
    assert 'to which dataset sent_id 1 belongs, and a and b have it; add --dataset' in capsys.readouterr().err
    assert judge(tmp_path, [box], *options, '--dataset', 'b')[1]['accuracy'] == 100
    code, _ = judge(tmp_path, [{**box, 'dataset': 'a'}, {**box, 'dataset': 'b', 'bbox': [50, 50, 9, 9]}], *options)
    records = json.loads((tmp_path / 'out/results.json').read_text())['records']
    assert code == 0 and {(r['dataset'], r['value']) for r in records if r['metric'] == 'accuracy'} == {
        ('a', 100.0), ('b', 0.0)}


def test_a_file_of_any_name_gives_its_answers_a_name() -> None:
    names = {'mine.val.json': 'mine', '.json': 'answers', '-.json': 'answers', 'a\nb.json': 'answers'}
    assert {name: name_of(Path(name)) for name in names} == names
