"""``--predictions FILE --answers FORM``: answers of any model, judged by the data, or by the file's own true boxes."""
from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.boxes import annotated_iou
from harness.commands.judging import TOLD_BY_CONTENT
from harness.data.rows import PredictionRow, read_rows
from harness.registry import ANSWER_FORMS, names
from reports.__main__ import main as reports
from run_benchmark import command_line
from tests import answer_files

FIELD, REAL = (Path(os.environ.get(name, Path(__file__).parents[1] / f'../shared/{place}'))
               for name, place in (('FIELD_DATA', 'field'), ('REAL_DATA', 'real')))
with_field = pytest.mark.skipif(not FIELD.exists(), reason=f'the field\'s files are not in {FIELD}; set FIELD_DATA')
with_real = pytest.mark.skipif(not REAL.exists(), reason=f'the real data are not in {REAL}; set REAL_DATA')


def judge(path: Path, out: Path, *options: str) -> tuple[list[dict], dict]:
    """The rows of a judgement, and what its ``results.json`` says of the run."""
    assert command_line(['--predictions', str(path), '--out', str(out), *options]) == 0
    rows = [json.loads(line) for line in (out / 'predictions.jsonl').read_text().splitlines()]
    return rows, json.loads((out / 'results.json').read_text())


def refused(capsys: pytest.CaptureFixture, *options: str) -> str:
    """The one line with which a command is refused."""
    assert command_line([str(option) for option in options]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    return line


#: What the user has to say of a form, beside its name.
SAID = {'vlmevalkit': ('--coordinates', 'pixels'), 'jsonl': ('--coordinates', 'pixels')}
#: The forms that hold their own true boxes, of which lmms-eval's, Qwen-VL's and InternVL's also say the images' sizes.
WITH_TRUTH = ('vlm-r1', 'vlm-r1-filed', 'lmms-eval', 'vlmevalkit', 'qwen-vl', 'internvl', 'lbyl', 'jsonl')


@pytest.mark.parametrize('form', names(ANSWER_FORMS))
def test_answers_of_every_form_against_the_data(form: str, tmp_path: Path) -> None:
    file, data = answer_files.write_all(tmp_path)[form], answer_files.data(tmp_path)
    rows, results = judge(file, tmp_path / 'out', '--answers', form, '--expressions', str(data), *SAID.get(form, ()))
    right = [1, 0, 0] if form == 'vlm-r1-filed' else [1, 0, 1]
    assert [row['iou'] == 1 for row in rows] == right
    assert [(row['sent_id'], row['ann_id']) for row in rows] == [(1, 71), (2, 72), (3, 81)]
    (accuracy,) = [r for r in results['records'] if r['metric'] == 'accuracy']
    assert (accuracy['dataset'], accuracy['split'], accuracy['n']) == ('refcoco', 'val', 3)
    assert accuracy['value'] == pytest.approx(100 * sum(right) / 3)


@pytest.mark.parametrize('form', WITH_TRUTH)
def test_a_file_is_judged_by_its_own_true_boxes(form: str, tmp_path: Path) -> None:
    file = answer_files.write_all(tmp_path)[form]
    rows, results = judge(file, tmp_path / 'out', '--answers', form, *SAID.get(form, ()))
    assert [row['iou'] == 1 for row in rows] == ([1, 0, 0] if form == 'vlm-r1-filed' else [1, 0, 1])
    assert f'{file.name}: judged by the true boxes of its own 3 rows' in results['run']['notes']
    known = form not in ('vlm-r1', 'vlm-r1-filed', 'lbyl')
    assert all((row['image_size'] is not None) == known for row in rows)
    named = {'lbyl': ('results', 'all'), 'jsonl': ('mine', 'all')}
    assert {(row['dataset'], row['split']) for row in rows} == {named.get(form, ('refcoco', 'val'))}


@pytest.mark.parametrize('form', sorted(set(names(ANSWER_FORMS)) - set(WITH_TRUTH)))
def test_a_file_without_true_boxes_needs_the_data(form: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    line = refused(capsys, '--predictions', answer_files.write_all(tmp_path)[form], '--answers', form)
    assert 'has no true boxes to judge by; give the data that it was made on, by --data-root DIR' in line


def test_the_four_classes_are_counted_apart_and_never_stop_a_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    said = ['[20, 10, 80, 50]', '[20, 10, 80, 50] or [1, 2, 3, 4]', 'There is none.', 'On the left.',
            f'[1, 2, {10 ** 400}, 4]']
    rows = [{'text': text, 'image': 7, 'sent': f'cup {i}', 'bbox': [20, 10, 60, 40], 'width': 200, 'height': 100}
            for i, text in enumerate(said)]
    file = answer_files.write(tmp_path / 'a.jsonl', rows)
    found, results = judge(file, tmp_path / 'out', '--answers', 'jsonl', '--coordinates', 'pixels')
    assert [(row['answer'], row['answer_why'], row['answer_boxes'], row['box'], row['iou']) for row in found] == [
        ('read', None, None, [20, 10, 60, 40], 1),
        ('several', '2 boxes, of which the first counts', [[20, 10, 60, 40], [1, 2, 2, 2]], [20, 10, 60, 40], 1),
        ('empty', 'the model declines', None, None, 0),
        ('unreadable', 'no box in any notation that is known', None, None, 0),
        ('unreadable', 'holds a number that is not finite', None, None, 0)]
    assert results['run']['counts'] == {
        'answers are a box': 1, 'answers are several boxes, of which the first counts': 1,
        'answers are empty: the model declined or said nothing, counted as wrong': 1,
        'answers are not readable, counted as wrong': 2}
    assert 'counted: 2 answers are not readable, counted as wrong' in capsys.readouterr().out
    assert {r['metric']: r['value'] for r in results['records']}['accuracy'] == 40


def test_a_file_of_nothing_but_words_is_all_wrong(tmp_path: Path) -> None:
    rows = [{**row, 'text': 'I see.'} for row in answer_files.jsonl()]
    found, results = judge(answer_files.write(tmp_path / 'a.jsonl', rows), tmp_path / 'out', '--answers', 'jsonl')
    assert {row['answer'] for row in found} == {'unreadable'}
    assert {r['metric']: (r['value'], r['n']) for r in results['records']}['accuracy'] == (0, 3)


def test_what_a_row_says_of_its_answer_is_declared(tmp_path: Path) -> None:
    judge(answer_files.write_all(tmp_path)['google'], tmp_path / 'out', '--answers', 'google', '--expressions',
          str(answer_files.data(tmp_path)))
    said = [row for _, row in read_rows(tmp_path / 'out/predictions.jsonl', PredictionRow, 'answer', 'answer_why',
                                        'answer_boxes')]
    assert said[0] == {'answer': 'read', 'answer_why': 'the first of 2 ranked boxes',
                       'answer_boxes': [[20, 10, 60, 40], [1, 1, 5, 5]]}


def test_rows_without_answers_have_no_such_fields(tmp_path: Path) -> None:
    results = [{'sent_id': 1, 'bbox': [20, 10, 60, 40]}]
    rows, _ = judge(answer_files.write(tmp_path / 'a.json', results), tmp_path / 'out', '--answers', 'coco',
                    '--expressions', str(answer_files.data(tmp_path)))
    assert not {'answer', 'answer_why', 'answer_boxes'} & set(rows[0])


def test_what_is_left_over_is_listed_or_left_out(tmp_path: Path) -> None:
    rows = [*answer_files.jsonl()[:2], {'text': '', 'image': 99, 'sent': 'no such', 'bbox': [0, 0, 5, 5], 'width': 9,
                                        'height': 9}]
    file = answer_files.write(tmp_path / 'a.jsonl', rows)
    options = ('--answers', 'jsonl', '--coordinates', 'pixels', '--expressions', str(answer_files.data(tmp_path)))
    found, results = judge(file, tmp_path / 'out', *options)
    assert 'a.jsonl: 1 answers are for none of the expressions: line 3' in results['run']['notes']
    assert 'a on outside: 1 of 3 expressions have no answer, counted as wrong: sent_id 3' in results['run']['notes']
    assert [(row['answer'], row['iou'] == 1) for row in found] == [('read', True), ('read', False), (None, False)]
    found, _ = judge(file, tmp_path / 'less', *options, '--allow-missing')
    assert [row['sent_id'] for row in found] == [1, 2]


@pytest.mark.parametrize(('named', 'text'), [
    (('pixels',), '[20, 10, 80, 50]'), (('fraction',), '[0.1, 0.1, 0.4, 0.5]'), (('hundredths',), '[10, 10, 40, 50]'),
    (('thousandths',), '[100, 100, 400, 500]'), (('over-999',), '(99.9,99.9),(399.6,499.5)'),
    (('resized', '--input-size', '400x100'), '[40, 10, 160, 50]'),
    (('resized', '--input-size', 'qwen2.5-vl'), '[19.6, 11.2, 78.4, 56]'),
    (('padded-fraction',), '[0.1, 0.3, 0.4, 0.5]'), (('padded-thousandths',), '[100, 300, 400, 500]'),
])
def test_the_user_says_what_the_numbers_are(named: tuple, text: str, tmp_path: Path) -> None:
    """The cup is at x 20 to 80 of 200, y 10 to 50 of 100; Qwen resizes to 196 by 112."""
    rows = [{**row, 'text': text} for row in answer_files.jsonl()[:1]]
    found, results = judge(answer_files.write(tmp_path / 'a.jsonl', rows), tmp_path / 'out', '--answers', 'jsonl',
                           '--coordinates', *named)
    assert found[0]['box'] == pytest.approx([20, 10, 60, 40])
    assert any(note.startswith('--answers jsonl: 1 answers are boxes in ') for note in results['run']['notes'])


def test_marks_of_a_grid_of_their_own_are_what_they_are_whatever_the_user_says(tmp_path: Path) -> None:
    rows = [{**answer_files.jsonl()[0], 'text': '{<10><10><40><50>}'}]
    found, _ = judge(answer_files.write(tmp_path / 'a.jsonl', rows), tmp_path / 'out', '--answers', 'jsonl',
                     '--coordinates', 'pixels')
    assert found[0]['box'] == pytest.approx([20, 10, 60, 40])


def test_vlm_r1_s_own_input_sizes_are_used(tmp_path: Path) -> None:
    value = answer_files.vlm_r1(tuple(tuple(2 * side for side in box) for box in answer_files.ANSWERS))
    for row, (w, h) in zip(value['results'], answer_files.SIZES, strict=True):
        row |= {'input_size': [2 * h, 2 * w], 'image_size': [h, w]}
    rows, _ = judge(answer_files.write(tmp_path / 'a.json', value), tmp_path / 'out', '--answers', 'vlm-r1')
    assert [row['iou'] == 1 for row in rows] == [True, False, True]


def test_numbers_far_under_the_range_contradict_it_too(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [{**row, 'text': '[0.1, 0.2, 0.3, 0.4]'} for row in answer_files.jsonl()]
    file = answer_files.write(tmp_path / 'a.jsonl', rows)
    line = refused(capsys, '--predictions', file, '--answers', 'jsonl', '--coordinates', 'pixels')
    assert 'they look like ' in line and ' as fractions of the image (0 to 1)' in line
    assert line.endswith('; say what the numbers of --answers are by --coordinates')


def test_a_report_reads_rows_of_images_of_unknown_size(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    judge(answer_files.write_all(tmp_path)['lbyl'], tmp_path / 'out', '--answers', 'lbyl')
    assert reports(['failures', str(tmp_path / 'out')]) == 0


def test_numbers_over_the_range_contradict_what_they_are_said_to_be(tmp_path: Path,
                                                                    capsys: pytest.CaptureFixture) -> None:
    file = answer_files.write(tmp_path / 'a.jsonl', answer_files.jsonl())
    line = refused(capsys, '--predictions', file, '--answers', 'jsonl', '--coordinates', 'fraction')
    assert ('a.jsonl: 3 of 3 boxes are over the range of fraction (fractions of the image, 0 to 1): '
            'line 1 [20.0, 10.0, 80.0, 50.0]; line 2 ' in line)
    assert line.endswith('so they are something else, say what by --coordinates')
    rows = [{**answer_files.jsonl()[0], 'sent': f'cup {i}', 'text': '[20, 10, 80, 50]'} for i in range(40)]
    rows[7]['text'] = '[300, 10, 400, 50]'
    file = answer_files.write(tmp_path / 'b.jsonl', rows)
    _, results = judge(file, tmp_path / 'out', '--answers', 'jsonl', '--coordinates', 'pixels')
    assert ('b.jsonl: 1 of 40 boxes are over the range of pixels (pixels of the image): '
            'line 8 [300.0, 10.0, 400.0, 50.0]; they count as they are' in results['run']['notes'])


@pytest.mark.parametrize(('options', 'line'), [
    (('--answers', 'vlm_r1'), '--answers vlm_r1: unknown, did you mean vlm-r1?; known are ours, coco, originals, '),
    (('--answers', 'jsonl', '--coordinates', 'pixel'), '--coordinates pixel: unknown, did you mean pixels?'),
    (('--answers', 'jsonl', '--input-size', '4x4'), '--input-size: has an effect only with --coordinates resized'),
    (('--answers', 'jsonl', '--coordinates', 'resized', '--input-size', '4'), '--input-size 4: must be WIDTHxHEIGHT'),
    (('--answers', 'jsonl', '--coordinates', 'resized'), 'takes the size of the model\'s input; add --input-size WxH'),
    (('--answers', 'jsonl'), 'line 1: nothing says what its numbers are; add --coordinates with pixels, fraction'),
    (('--answers', 'jsonl', '--coordinates', 'pixels', '--images', '.'), '--images: has no effect on answers that are'),
    (('--answers', 'jsonl', '--coordinates', 'pixels', '--task', 'res'), '--task res: the answers have no masks'),
    (('--answers', 'jsonl', '--grounder', 'cmae'), '--grounder: has no effect on judging --predictions'),
    (('--answers', 'coco', '--dataset', 'mini-refcoco'), 'is not of --answers coco; it looks like ours'),
    (('--answers', 'ours', '--coordinates', 'pixels'), '--coordinates: has an effect only with --answers and one of '),
    (('--coordinates', 'pixels'), '--coordinates: has an effect only with --answers and one of '),
])
def test_options_that_are_wrong_or_have_no_effect_are_refused(options: tuple, line: str, tmp_path: Path,
                                                              capsys: pytest.CaptureFixture) -> None:
    file = answer_files.write(tmp_path / 'a.jsonl', answer_files.jsonl())
    found = refused(capsys, '--predictions', file, '--out', tmp_path / 'out', *options)
    assert line in found
    assert not (tmp_path / 'out').exists()


OWN_FORM = """
from harness.answers.records import Asked, RawAnswer, said
from harness.answers.reading import json_lines
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS


@ANSWER_FORMS.register_module(name='pairs')
class Pairs(AnswerForm):
    coordinates = 'pixels'

    def read(self, path):
        for row, (sent_id, words) in json_lines(path):
            yield RawAnswer(row, said(words, row), Asked(sent_id=sent_id))
"""


def test_a_form_of_one_s_own_is_one_file(tmp_path: Path) -> None:
    (tmp_path / 'pairs.py').write_text(OWN_FORM)
    rows = [[i, f'{list(box)}'] for i, box in enumerate(answer_files.ANSWERS, start=1)]
    file = answer_files.write(tmp_path / 'a.jsonl', rows)
    subprocess.run([sys.executable, Path(__file__).parents[1] / 'run_benchmark.py', '--import', tmp_path / 'pairs.py',
                    '--predictions', file, '--answers', 'pairs', '--out', tmp_path / 'out', '--expressions',
                    answer_files.data(tmp_path)], check=True, capture_output=True)
    rows = [json.loads(line) for line in (tmp_path / 'out/predictions.jsonl').read_text().splitlines()]
    assert [row['iou'] == 1 for row in rows] == [True, False, True]


def test_answers_need_predictions(capsys: pytest.CaptureFixture) -> None:
    assert 'is the form of --predictions FILE; add that' in refused(capsys, '--answers', 'jsonl')


def test_answers_of_another_split_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = answer_files.data(tmp_path)
    other = data.read_text().replace('"val"', '"testA"').replace('sent_id": ', 'sent_id": 1').replace('left', 'right')
    data.write_text(data.read_text() + other)
    file = answer_files.write_all(tmp_path)['vlm-r1']
    line = refused(capsys, '--predictions', file, '--answers', 'vlm-r1', '--expressions', data, '--split', 'testA')
    assert 'is not of --split testA: 3 of its 3 answers that fit are for refcoco val; choose that split' in line


def test_relative_numbers_need_the_size_of_their_image(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = answer_files.write_all(tmp_path)['vlm-r1']
    line = refused(capsys, '--predictions', file, '--answers', 'vlm-r1', '--coordinates', 'thousandths')
    assert 'results[0]: the size of its image is not known, and boxes in thousandths need it; give the data' in line


def test_the_lists_name_forms_and_systems(capsys: pytest.CaptureFixture) -> None:
    assert command_line(['--list']) == 0
    printed = capsys.readouterr().out
    assert all(f'| {name} ' in printed for name in (*names(ANSWER_FORMS), 'over-999', 'padded-fraction'))
    assert not set(TOLD_BY_CONTENT) & set(names(ANSWER_FORMS))


# ---------------------------------------------------------------------------------- the field's own files

def plain_strict(rows: list[dict]) -> float:
    """In percent: plain IoU over 0.5, as VLM-R1 counts."""
    right = [row['box'] is not None and annotated_iou(row['box'], row['gt_box']) > .5 for row in rows]
    return 100 * sum(right) / len(right)


@with_field
@pytest.mark.parametrize(('name', 'form', 'known', 'unreadable'), [
    ('baseline_rec_results_refcoco_val', 'vlm-r1', 89.75, 0),
    ('baseline_rec_results_refcoco_val', 'vlm-r1-filed', 89.75, 0),
    ('original-model_rec_results_refcoco_val', 'vlm-r1', 87.95, 4),
    ('original-model_rec_results_refcoco_val', 'vlm-r1-filed', 32.65, 1279),
    ('original-model_rec_results_refcocog_val', 'vlm-r1', 82.30, 6),
    ('original-model_rec_results_refcocog_val', 'vlm-r1-filed', 45.05, 955),
])
def test_the_known_answers_come_out_to_the_digit(name: str, form: str, known: float, unreadable: int,
                                                 tmp_path: Path) -> None:
    rows, results = judge(FIELD / f'vlm/{name}.json.gz', tmp_path, '--answers', form)
    assert len(rows) == 2000 and plain_strict(rows) == pytest.approx(known, abs=1e-9)
    assert results['run']['counts'].get('answers are not readable, counted as wrong', 0) == unreadable


@with_field
@with_real
def test_the_same_by_the_published_data(tmp_path: Path) -> None:
    """All 2,000 rows find their expression; 15 repeat an earlier row, as the published data do."""
    rows, results = judge(FIELD / 'vlm/original-model_rec_results_refcoco_val.json.gz', tmp_path, '--answers', 'vlm-r1',
                          '--expressions', str(REAL / 'refcoco_eval.jsonl.gz'), '--allow-missing')
    assert len(rows) == 2000 and plain_strict(rows) == pytest.approx(87.95, abs=1e-9)
    assert {(row['dataset'], row['split']) for row in rows} == {('refcoco', 'val')}
    assert not any('none of the expressions' in note for note in results['run']['notes'])


@with_field
@with_real
def test_google_s_sample_where_its_truth_is_known() -> None:
    """The toolbox prints 0.175 of 9,536 answers; of these, 2,112 are about objects that the published evaluation data
    have too. By its rule, inclusive pixels and IoU ≥ 0.5, 370 of them are right: 0.1752."""
    from harness.answers.records import read_answers
    from harness.boxes import rec_iou

    with gzip.open(REAL / 'refcoco_eval.jsonl.gz', 'rt') as lines:
        truth = {row['ann_id']: row['bbox'] for row in map(json.loads, lines)}
    answers = read_answers(ANSWER_FORMS.get('google')(), FIELD / 'vlm/google_sample_results.json.gz')
    known = [one for one in answers if one.asked.ann_id in truth]
    right = sum(bool(one.reading.boxes) and rec_iou(
        [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in one.reading.boxes[:1]], [truth[one.asked.ann_id]])[0] >= .5
        for one in known)
    assert (len(answers), len(known), right) == (9536, 2112, 370)


@with_field
@with_real
@pytest.mark.parametrize('split', ['testA', 'testB'])
def test_minigpt_s_order_finds_every_referent(split: str, tmp_path: Path) -> None:
    """Its own evaluation file, each referent's box as the answer: only the cut to hundredths makes a difference."""
    with gzip.open(FIELD / f'forms/minigpt_refcoco_{split}.json.gz', 'rt') as file:
        asked = json.load(file)
    said: dict[str, list[str]] = {}
    for row in asked:
        (x, y, w, h), size = row['bbox'], (row['width'], row['height'])
        said.setdefault(row['img_id'], []).append('{{<{:.0f}><{:.0f}><{:.0f}><{:.0f}>}}'.format(
            *answer_files.in_units((x, y, x + w, y + h), size, 100)))
    rows, _ = judge(answer_files.write(tmp_path / 'm.json', said), tmp_path / 'out', '--answers', 'minigpt',
                    '--expressions', str(REAL / 'refcoco_eval.jsonl.gz'), '--dataset', 'refcoco')
    assert len(rows) == len(asked) and plain_strict(rows) == 100
