"""The ledger of conventions: each rule on rows worked out by hand, laws that hold between rules, and real answers."""
from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.boxes import rec_iou
from harness.errors import InputError
from reports.__main__ import command_line
from reports.commands.conventions import main
from reports.conventions import overlaps
from reports.conventions.ledger import RULES, Line, ledger, ledgers
from reports.conventions.rec_rules import REC_RULES
from reports.conventions.res_rules import RES_RULES
from reports.conventions.rule import Rule
from reports.rows.prediction_rows import read_predictions
from reports.statistics.outcomes import OUTCOMES
from tests.prediction_files import row, write

FIELD = Path(os.environ.get('FIELD_DATA', Path(__file__).parents[1] / '../shared/field'))
#: Rules that go by the order of the rows.
BY_ORDER = {'first-sentence', 'distinct', 'full-batches'}


def answer(box: Sequence[float] | None, truth: Sequence[float] = (10, 10, 20, 20), **more: Any) -> dict[str, Any]:
    """A row whose IoU is that of its box."""
    iou = 0.0 if box is None else float(rec_iou([box], [truth])[0])
    return row(box=None if box is None else list(box), gt_box=list(truth), iou=iou, **more)


def table(rows: Iterable[Mapping[str, Any]], folder: Path) -> pd.DataFrame:
    numbered = [{**r, 'sent_id': n} for n, r in enumerate(rows, start=1)]
    return read_predictions([write(folder / 'predictions.jsonl', numbered)])


def lines(rows: Iterable[Mapping[str, Any]], folder: Path, rules: Sequence[Rule] = REC_RULES,
          **options: int) -> dict[str, Line]:
    return {line.rule.name: line for line in ledger(table(rows, folder), rules, **options)}


def counted(line: Line) -> tuple[float, int | None, int | None, int | None]:
    return line.value, line.rows, line.to_wrong, line.to_right


RIGHT, WRONG = answer([10, 10, 20, 20]), answer([60, 60, 5, 5])


# ------------------------------------------------------------------------------------------ boxes

@pytest.mark.parametrize(('box', 'truth', 'right'), [
    # Half of the annotated box, 200 of 400 pixels: 0.5 by areas, 21 * 11 / 21 ** 2 = 0.524 by corners that are pixels.
    ([10, 10, 20, 10], [10, 10, 20, 20], 'inclusive plain pixel-corners-over giou cut-truth cut-answer clipped'),
    # Moved by 3.5 both ways: 272.25 / 527.75 = 0.516, and 24.5 of 552.25 around both in neither: 0.516 - 0.044 = 0.472.
    # The answer's corners cut: 3 at one end, 33 at the other: 17 ** 2 / (800 - 17 ** 2) = 0.566.
    ([13.5, 13.5, 20, 20], [10, 10, 20, 20],
     'inclusive inclusive-over plain plain-over pixel-corners-over cut-truth cut-truth-clipped-over cut-answer'),
    # 17 of 39 = 0.436; the annotated width cut from 3.9 to 3: 17 of 30 = 0.567. Corners as pixels: 2.7 of 4.9 = 0.551.
    ([10, 10, 1.7, 10], [10, 10, 3.9, 10], 'pixel-corners-over cut-truth cut-truth-clipped-over'),
    # 2.6 of 5 = 0.52; the answer cut to 12 at its end: 2 of 5.
    ([10, 10, 2.6, 10], [10, 10, 5, 10], 'inclusive inclusive-over plain plain-over pixel-corners-over giou cut-truth '
     'cut-truth-clipped-over clipped'),
    # 400 of 900 = 0.444; the image ends at 30, where the annotated box does.
    ([10, 10, 20, 45], [10, 10, 20, 20], 'clipped cut-truth-clipped-over'),
    # An overlap one pixel wide is none by inclusive pixels.
    ([10, 10, 1, 10], [10, 10, 1, 10], 'plain plain-over pixel-corners-over giou cut-truth cut-truth-clipped-over '
     'cut-answer clipped'),
    # Nothing, and no area.
    (None, [10, 10, 20, 20], ''),
    ([10, 10, 0, 0], [10, 10, 0, 0], 'pixel-corners-over'),
])
def test_boxes_worked_out_by_hand(tmp_path: Path, box: list | None, truth: list, right: str) -> None:
    found = lines([answer(box, truth)], tmp_path)
    names = [rule.name for rule in REC_RULES[:REC_RULES.index(RULES['first-sentence'])]]
    expected = set(right.split())
    if box == [13.5, 13.5, 20, 20]:
        # The image is 40 by 30, so the clipped box is 16.5 high: 272.25 / (400 + 330 - 272.25) = 0.595.
        expected.add('clipped')
    assert {name for name in names if found[name].value == 100} == expected
    assert all(found[name].value == 0 for name in set(names) - expected)


def test_ours_is_the_row_s_own_iou(tmp_path: Path) -> None:
    rows = [row(iou=iou) for iou in (0.5, 0.49, 1.0)]
    found = lines(rows, tmp_path)
    frame = table(rows, tmp_path)
    assert found['inclusive'].value == round(OUTCOMES['accuracy'].of(frame).value(), 4) == 66.6667
    assert found['inclusive-over'].value == round(OUTCOMES['accuracy_strict'].of(frame).value(), 4) == 33.3333


def test_what_changes_is_counted_both_ways_and_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    half, thin = answer([10, 10, 20, 10], sent='half'), answer([10, 10, 1.7, 10], [10, 10, 3.9, 10], sent='thin')
    found = lines([half, RIGHT, WRONG, thin, {**half, 'sent': 'half again'}], tmp_path, examples=2)
    assert counted(found['plain-over']) == (20.0, 5, 2, 0) and found['plain-over'].difference == -40.0
    assert [(e.row, e.sent_id, e.sentence, e.right) for e in found['plain-over'].examples] == [
        (0, 1, 'half', False), (4, 5, 'half again', False)]
    assert counted(found['cut-truth']) == (80.0, 5, 0, 1) and found['cut-truth'].difference == 20.0
    assert [(e.sent_id, e.right) for e in found['cut-truth'].examples] == [(4, True)]
    assert found['inclusive'].difference == 0 and found['inclusive'].examples == ()


# ------------------------------------------------------------------------------------------ sentences and rows

def other(made: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The same answer for another referent."""
    return {**made, 'image_id': 8, **more}


def test_sentences_of_a_referent(tmp_path: Path) -> None:
    found = lines([RIGHT, WRONG, other(RIGHT)], tmp_path)
    assert counted(found['inclusive']) == (66.6667, 3, 0, 0)
    assert counted(found['first-sentence']) == (100.0, 2, 0, 0)
    assert counted(found['random-sentence']) == (75.0, 3, 0, 0)
    assert counted(found['any-sentence']) == (100.0, 3, 0, 1)
    assert counted(found['every-sentence']) == (50.0, 3, 1, 0)
    assert found['any-sentence'].examples[0].sent_id == 2 and found['every-sentence'].examples[0].sent_id == 1


def test_a_referent_is_an_image_and_an_annotated_box_and_an_object_where_it_is_known(tmp_path: Path) -> None:
    elsewhere = answer([50, 10, 20, 20], [50, 10, 20, 20])
    assert lines([RIGHT, elsewhere, WRONG], tmp_path)['first-sentence'].rows == 2
    assert lines([RIGHT, {**RIGHT, 'ann_id': 5}, WRONG], tmp_path)['first-sentence'].rows == 2
    unknown = [{**made, 'ann_id': None} for made in (RIGHT, elsewhere, WRONG)]
    assert lines(unknown, tmp_path)['first-sentence'].rows == 2


def test_equal_rows_count_once_by_the_first_answer(tmp_path: Path) -> None:
    again = [RIGHT, WRONG, other(WRONG), {**WRONG, 'sent': 'right cup'}]
    assert counted(lines(again, tmp_path)['distinct']) == (33.3333, 3, 0, 0)


def test_the_last_batch_is_dropped_unless_it_is_full(tmp_path: Path) -> None:
    rows = [RIGHT, WRONG, RIGHT, other(RIGHT)]
    values = {size: counted(lines(rows, tmp_path, batch_size=size)['full-batches'])[:2] for size in (1, 2, 3, 4)}
    assert values == {1: (75.0, 4), 2: (75.0, 4), 3: (66.6667, 3), 4: (75.0, 4)}
    none = lines(rows, tmp_path, batch_size=8)['full-batches']
    assert np.isnan(none.value) and none.rows == 0


def said(made: Mapping[str, Any], what: str, boxes: list | None = None) -> dict[str, Any]:
    return {**made, 'answer': what, 'answer_why': None, 'answer_boxes': boxes}


def test_unreadable_and_empty_answers_are_left_out(tmp_path: Path) -> None:
    nothing = answer(None)
    found = lines([said(RIGHT, 'read'), said(WRONG, 'several'), said(nothing, 'empty'), said(nothing, 'unreadable')],
                  tmp_path)
    assert counted(found['inclusive'])[:2] == (25.0, 4) and counted(found['readable']) == (50.0, 2, 0, 0)


def test_the_best_of_all_boxes_looks_at_the_truth(tmp_path: Path) -> None:
    several = said(WRONG, 'several', [[60, 60, 5, 5], [10, 10, 20, 20]])
    never = said(WRONG, 'several', [[60, 60, 5, 5], [0, 0, 1, 1]])
    found = lines([several, never, said(RIGHT, 'read'), said(answer(None), 'empty', [])], tmp_path)['best-box']
    assert counted(found) == (50.0, 4, 0, 1) and found.rule.looks_at_truth and 'LOOKS AT THE TRUTH' in found.rule.title
    assert [rule.name for rule in RULES.values() if rule.looks_at_truth] == ['best-box']


def test_among_annotated_boxes_the_chosen_object_is_the_referent_or_not(tmp_path: Path) -> None:
    chosen = {'proposals': 'ground-truth', 'ann_id': 4}
    rows = [row(chosen_ann_id=4, **chosen), row(chosen_ann_id=9, **chosen), row(chosen_ann_id=None, **chosen)]
    assert counted(lines(rows, tmp_path)['same-object']) == (33.3333, 3, 2, 0)
    assert lines([row(chosen_ann_id=4)], tmp_path)['same-object'].rows is None, 'other proposals may lie on an object'


def test_what_the_rows_lack_is_not_available_and_not_guessed(tmp_path: Path) -> None:
    bare = {name: value for name, value in RIGHT.items() if name not in ('image_size', 'chosen_ann_id')}
    found = lines([bare], tmp_path)
    missing = {name for name, line in found.items() if line.rows is None}
    assert missing == {'clipped', 'cut-truth-clipped-over', 'readable', 'best-box', 'same-object'}
    assert all(found[name].rule.needs and np.isnan(found[name].value) for name in missing)


# ------------------------------------------------------------------------------------------ masks

def masks(*pairs: tuple[int, int]) -> list[dict[str, Any]]:
    """Rows with these intersections and unions: the first two are sentences of one referent."""
    return [row(mask_intersection=shared, mask_union=either, image_id=7 if n < 2 else n)
            for n, (shared, either) in enumerate(pairs)]


def test_masks_worked_out_by_hand(tmp_path: Path) -> None:
    found = lines(masks((80, 100), (0, 0), (30, 90)), tmp_path, RES_RULES)
    assert found['overall-iou'].value == found['ciou'].value == 57.8947, '110 of 190'
    assert found['mean-iou'].value == 37.7778, '0.8, 0 and a third'
    assert found['mean-iou-empty'].value == 71.1111, '0.8, 1 and a third'
    assert found['mean-iou-referent'].value == 36.6667, '0.4 and a third'
    assert found['mean-iou'].difference == -20.117
    assert found['mean-iou'].to_right is None and found['mean-iou'].examples == ()


def test_precision_at_and_over(tmp_path: Path) -> None:
    found = lines(masks((80, 100), (0, 0), (30, 90)), tmp_path, RES_RULES)
    assert [found[f'pr@{x}'].value for x in (0.5, 0.6, 0.7, 0.8, 0.9)] == [33.3333] * 4 + [0]
    assert counted(found['pr@0.8']) == (33.3333, 3, 0, 0)
    assert counted(found['pr-over@0.8']) == (0.0, 3, 1, 0) and found['pr-over@0.8'].difference == -33.3333
    assert found['pr-over@0.7'].value == 33.3333


# ------------------------------------------------------------------------------------------ laws

sides = st.sampled_from([0, 1, 2, 3.9, 5, 10, 20, 20.5])
corner = st.sampled_from([0, 0.5, 5, 10, 13.5])
boxes = st.tuples(corner, corner, sides, sides).map(list)


@st.composite
def made_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Answers to a few referents, with words, masks and sizes."""
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        union = draw(st.integers(0, 5))
        several = draw(st.none() | st.lists(boxes, max_size=3))
        made = answer(draw(st.none() | boxes), draw(boxes), image_id=draw(st.integers(7, 8)),
                      sent=draw(st.sampled_from(['cup', 'left cup'])), mask_union=union,
                      mask_intersection=draw(st.integers(0, union)))
        rows.append(said(made, draw(st.sampled_from(['read', 'several', 'empty', 'unreadable'])), several))
    return rows


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('ledger')


@settings(max_examples=60, deadline=None)
@given(rows=made_rows())
def test_laws_between_rules(folder: Path, rows: list[dict[str, Any]]) -> None:
    found = lines(rows, folder, (*REC_RULES, *RES_RULES))
    value = {name: line.value for name, line in found.items()}
    assert value['inclusive-over'] <= value['inclusive'] and value['plain-over'] <= value['plain']
    for x in (0.5, 0.6, 0.7, 0.8, 0.9):
        assert value[f'pr-over@{x}'] <= value[f'pr@{x}'] <= value['pr@0.5']
    assert value['giou'] <= value['plain'] <= value['best-box']
    assert value['inclusive'] <= value['plain'] + 1e-3, 'an overlap of one pixel or less is none'
    assert value['every-sentence'] <= value['random-sentence'] <= value['any-sentence']
    assert value['mean-iou'] <= value['mean-iou-empty']
    for line in found.values():
        assert line.rows is None or 0 <= line.rows <= len(rows)
        nothing = line.rule.name in ('overall-iou', 'ciou') and all(r['mask_union'] == 0 for r in rows)
        assert not line.rows or nothing or 0 <= line.value <= 100
        if line.rows == len(rows) and line.rule.yes_no and not line.rule.name.endswith('-sentence'):
            moved = (line.to_right - line.to_wrong) * 100 / len(rows)  # type: ignore[operator]
            assert line.difference == pytest.approx(moved, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(rows=made_rows(), data=st.data())
def test_the_order_of_rows_matters_only_where_a_rule_goes_by_it(folder: Path, rows: list, data: st.DataObject) -> None:
    other_way = data.draw(st.permutations(rows))
    before, after = (lines(some, folder, (*REC_RULES, *RES_RULES)) for some in (rows, other_way))
    for name in set(before) - BY_ORDER:
        assert counted(before[name])[1:] == counted(after[name])[1:], name
        assert before[name].value == pytest.approx(after[name].value, abs=1e-3, nan_ok=True), name


@given(a=st.lists(boxes, min_size=1, max_size=4), b=boxes)
def test_giou_is_never_above_plain_iou_nor_below_minus_one(a: list, b: list) -> None:
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h in a], float)
    truth = np.tile(np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]], float), (len(a), 1))
    plain, giou = overlaps.plain(corners, truth), overlaps.generalized(corners, truth)
    assert (giou <= plain).all() and (giou >= -1).all() and (plain >= 0).all() and (plain <= 1 + 1e-12).all()
    assert overlaps.plain(truth, truth)[0] == (1 if b[2] * b[3] else 0)


# ------------------------------------------------------------------------------------------ the command

@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [answer([10, 10, 20, 10], sent='half | of <it>'), {**RIGHT, 'sent_id': 2}, {**WRONG, 'sent_id': 3},
            row(sent_id=1, grounder='-', iou=None, box=None, mask_intersection=None, mask_union=None),
            {**WRONG, 'sent_id': 4, 'split': 'testA', 'mask_intersection': None, 'mask_union': None}]
    write(tmp_path / 'run/predictions.jsonl', rows)
    return tmp_path / 'run'


def test_a_table_a_split_and_task(run: Path) -> None:
    found = ledgers(read_predictions([run]))
    assert [(made.split, made.grounder, made.proposals, made.task) for made in found] == [
        ('val', 'cmae', 'greedy', 'rec'), ('val', 'cmae', 'greedy', 'res'), ('testA', 'cmae', 'greedy', 'rec')]
    assert [line.rule for line in found[0].lines] == list(REC_RULES)


def test_the_command_as_csv_and_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), '--format', 'csv', '--split', 'val']) == 0
    rows = {r['rule']: r for r in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert set(rows) == set(RULES)
    over = rows['plain-over']
    assert (over['value'], over['difference']) == ('33.3333', '-33.3333')
    assert (over['rows'], over['right_to_wrong'], over['wrong_to_right']) == ('3', '1', '0')
    assert over['examples'] == '1 “half | of <it>”' and over['sources'].startswith('allenai/reclip main.py')
    assert (rows['readable']['value'], rows['readable']['rows']) == ('', '') and rows['readable']['lacks']
    assert rows['mean-iou']['right_to_wrong'] == '' and rows['best-box']['looks_at_truth'] == 'True'
    assert main([str(run), '--format', 'json', '--split', 'testA']) == 0
    made = json.loads(capsys.readouterr().out)
    assert {r['task'] for r in made['rows']} == {'rec'} and made['rows'][0]['value'] == 0
    assert any(note.startswith('giou: ashkamath/mdetr datasets/refexp.py') for note in made['notes'])


@pytest.mark.parametrize('style', ['markdown', 'latex', 'terminal'])
def test_the_command_drawn(run: Path, style: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), '--format', style, '--split', 'val']) == 0
    printed = capsys.readouterr().out
    for said_ in ('REC accuracy', 'inclusive-over', 'MiniGPT-v2', '66.67', '-33.33', 'LOOKS AT THE TRUTH',
                  'Not available: readable, best-box'):
        assert said_.replace('-33.33', '$-$33.33' if style == 'latex' else '-33.33') in printed, said_
    assert '<NA>' not in printed and 'nan' not in printed


def test_examples_and_batches_are_as_asked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), '--format', 'json', '--examples', '0', '--batch-size', '2', '--split', 'val']) == 0
    made = json.loads(capsys.readouterr().out)
    assert {r['examples'] for r in made['rows']} == {''} and 'Batches of 2, in the order of the file.' in made['notes']
    assert next(r for r in made['rows'] if r['rule'] == 'full-batches')['rows'] == 2


def test_several_files_and_their_names_are_picked(run: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / 'b.jsonl', [{**RIGHT, 'grounder': 'mattnet', 'sent_id': 7}])
    assert main([str(run), str(file), '--grounder', 'mattnet', '--format', 'json']) == 0
    assert {r['grounder'] for r in json.loads(capsys.readouterr().out)['rows']} == {'mattnet'}


@pytest.mark.parametrize(('arguments', 'said_'), [
    (['--grounder', 'cmea'], 'did you mean cmae?'), (['--dataset', 'none'], '--dataset none: unknown'),
    (['--batch-size', '0'], '0 is no size of a batch'), (['--examples', '-1'], '--examples'),
    (['--examples', '1e3'], "'1e3' is no whole number"), (['--proposals', 'gredy'], 'did you mean greedy?')])
def test_what_is_refused_is_refused_in_one_line(run: Path, arguments: list[str], said_: str,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(['conventions', str(run), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and said_ in error and error.count('\n') == 1


def test_rows_that_no_grounder_answered_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / 'p.jsonl', [row(grounder='-', iou=None, box=None)])
    with pytest.raises(InputError, match='p.jsonl: no grounder answered here, so there is nothing to count'):
        main([str(file)])


def test_every_rule_has_a_name_of_its_own_and_says_who_counts_so() -> None:
    assert len(RULES) == len(REC_RULES) + len(RES_RULES)
    for rule in RULES.values():
        assert re.fullmatch(r'[a-z]+(-[a-z]+)*(@0\.[5-9])?', rule.name), rule.name
        assert bool(rule.sources) == (rule.who != 'nobody that we know of'), rule.name
        assert rule.against in RULES
        for source in rule.sources:
            assert re.fullmatch(r'[\w.-]+/[\w.-]+ [\w./+-]+(, [\w./+-]+)*', source), source


def test_the_page_explains_every_rule() -> None:
    page = (Path(__file__).parents[1] / 'docs/conventions.md').read_text()
    explained = set(re.findall(r'^\| `([^`]+)`', page, flags=re.M))
    assert explained == {name for name in RULES if '@' not in name} | {'pr@0.5', 'pr-over@0.5'}


# ------------------------------------------------------------------------------------------ real answers

FOUR_NUMBERS = re.compile(r'\[\s*' + r'\s*,\s*'.join([r'(-?\d+(?:\.\d+)?)'] * 4) + r'\s*\]')


def vlm_rows(file: Path, as_filed: bool) -> Iterator[dict[str, Any]]:
    """Rows of a result file of VLM-R1: the box as filed, or the first four numbers in brackets in the model's words."""
    for number, result in enumerate(json.loads(gzip.decompress(file.read_bytes()))['results'], start=1):
        found = [result['extracted_answer']] if as_filed else FOUR_NUMBERS.findall(result['model_output'])
        read = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in (map(float, box) for box in found)]
        x1, y1, x2, y2 = result['ground_truth']
        sentence = result['question'].partition('describes: ')[2].removesuffix('.')
        what = 'unreadable' if not read else 'read' if len(read) == 1 else 'several'
        yield said(answer(read[0] if read else None, [x1, y1, x2 - x1, y2 - y1], sent=sentence, sent_id=number,
                          proposals='-', mask_intersection=None, mask_union=None,
                          image_id=int(result['image'][-16:-4])), what, read if len(read) > 1 else None)


@pytest.mark.skipif(not FIELD.exists(), reason=f'the real answers are not in {FIELD}; set FIELD_DATA')
@pytest.mark.parametrize(('name', 'as_filed', 'known'), [
    ('baseline_rec_results_refcoco_val', True, 89.75), ('original-model_rec_results_refcoco_val', True, 32.65),
    ('original-model_rec_results_refcoco_val', False, 87.95), ('original-model_rec_results_refcocog_val', True, 45.05),
    ('original-model_rec_results_refcocog_val', False, 82.30)], ids=lambda value: str(value))
def test_the_known_answers_of_real_files(tmp_path: Path, name: str, as_filed: bool, known: float) -> None:
    rows = list(vlm_rows(FIELD / f'vlm/{name}.json.gz', as_filed))
    found = lines(rows, tmp_path)
    assert found['plain-over'].value == known and found['plain-over'].rows == 2000
    # Of 15 sentences that come again on their image, one ("left blue truck") is another referent's.
    again = len(rows) - len({(r['image_id'], r['sent']) for r in rows})
    assert (again, found['distinct'].rows) == ((0, 2000) if 'refcocog' in name else (15, 1986))
