"""predictions.jsonl is read strictly, and what is told from its rows is what results.json says."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.registry import METRICS
from reports.rows.prediction_rows import CHOSEN, read_predictions
from reports.statistics.outcomes import OUTCOMES, rows_of
from tests.prediction_files import ROW, row, write

METRICS.import_from_location()


def refused(path: Path, *lines: str) -> str:
    """The message about a file of these lines."""
    path.write_text('\n'.join(lines), encoding='utf-8')
    with pytest.raises(InputError) as error:
        read_predictions([path])
    assert '\n' not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def test_a_folder_and_its_file_are_the_same(tmp_path: Path) -> None:
    file = write(tmp_path / 'predictions.jsonl', [row(sent='größer | cup')])
    (found,) = read_predictions([tmp_path]).to_dict('records')
    assert found == read_predictions([file]).to_dict('records')[0]
    assert (found['sent'], found['sent_id'], found['n_context'], found['has_box']) == ('größer | cup', 1, 2, True)
    assert (found['gt_w'], found['gt_h'], found['line'], found['file']) == (20, 20, 1, str(file))


def test_null_is_nan_and_other_fields_are_kept_on_request(tmp_path: Path) -> None:
    file = write(tmp_path / 'p.jsonl', [row(grounder='-', box=None, iou=None, gt_label=None, score=None)])
    (found,) = read_predictions([file], extra=['score', 'box']).to_dict('records')
    assert np.isnan(found['iou']) and pd.isna(found['gt_label']) and found['score'] is None and found['box'] is None


def test_several_files_and_many_rows_are_one_table(tmp_path: Path) -> None:
    first = write(tmp_path / 'a.jsonl', (row(sent_id=i, sent=f'cup {i % 7}') for i in range(20_001)))
    second = write(tmp_path / 'b.jsonl', [row(grounder='mattnet', sent='cup 3')])
    found = read_predictions([first, second])
    assert len(found) == 20_002
    assert list(found['sent'].iloc[[0, 3, 20_000, 20_001]]) == ['cup 0', 'cup 3', 'cup 1', 'cup 3']
    assert list(found['file'].iloc[[20_000, 20_001]]) == [str(first), str(second)]
    assert found['line'].iloc[20_000] == 20_001


def test_boxes_are_columns_and_a_row_without_one_has_nan(tmp_path: Path) -> None:
    found = read_predictions([write(tmp_path / 'p.jsonl', [row(box=[1, 2, 3, 4]), row(sent_id=2, box=None)])])
    assert found[['box_x', 'box_y', 'box_w', 'box_h']].to_numpy()[0].tolist() == [1, 2, 3, 4]
    assert found[['box_x', 'box_y', 'box_w', 'box_h']].iloc[1].isna().all()


def test_answers_from_outside_say_what_came_of_the_words(tmp_path: Path) -> None:
    ours = write(tmp_path / 'a.jsonl', [row()])
    theirs = write(tmp_path / 'b.jsonl', [
        row(sent_id=2, answer='several', answer_why=None, answer_boxes=[[1, 2, 3, 4], [5, 6, 7, 8]]),
        row(sent_id=3, answer='unreadable', answer_why='no numbers', answer_boxes=None),
        row(sent_id=4, answer='empty', answer_why=None, answer_boxes=[])])
    found = read_predictions([ours, theirs])
    assert [None if pd.isna(x) else x for x in found['answer']] == [None, 'several', 'unreadable', 'empty']
    assert found['answer_why'].iloc[2] == 'no numbers'
    assert [None if x is None else x.tolist() for x in found['answer_boxes']] == [
        None, [[1, 2, 3, 4], [5, 6, 7, 8]], None, []]


@pytest.mark.parametrize(('field', 'said'), [
    ({'answer': 'guessed'}, "'answer' must be one of read, empty, several, unreadable"),
    ({'answer': 1}, "'answer' must be one of"),
    ({'answer_boxes': [[1, 2, 3]]}, "'answer_boxes' must be four numbers"),
    ({'answer_boxes': [1]}, "'answer_boxes' must be a list of boxes"),
    ({'answer_boxes': [[1, 2, 3, 10 ** 400]]}, "'answer_boxes' is beyond 64 bits"),
    ({'answer_boxes': [[1, 2, -3, 4]]}, "'answer_boxes' has a negative width or height")])
def test_what_is_no_answer_from_outside_is_refused_with_its_line(tmp_path: Path, field: dict, said: str) -> None:
    right = {'answer': 'read', 'answer_why': None, 'answer_boxes': None}
    lines = [json.dumps(row(sent_id=1, **right)), json.dumps(row(sent_id=2, **{**right, **field}))]
    message = refused(tmp_path / 'p.jsonl', *lines)
    assert 'line 2: ' in message and said in message


def test_a_file_of_an_earlier_version_lacks_the_chosen_object(tmp_path: Path) -> None:
    old = {key: value for key, value in row(sent_id=2).items() if key not in CHOSEN}
    found = read_predictions([write(tmp_path / 'a.jsonl', [row()]), write(tmp_path / 'b.jsonl', [old])])
    assert list(found['has_chosen']) == [True, False] and list(found['chosen_ann_id'].isna()) == [False, True]


def test_without_a_box_a_grounder_is_wrong_unless_it_answers_with_masks_alone(tmp_path: Path) -> None:
    rows = [row(sent_id=1, box=None, iou=None, mask_intersection=0), row(sent_id=2),
            row(sent_id=1, grounder='masks', box=None, iou=0.0), row(sent_id=2, grounder='masks', box=None, iou=0.0)]
    found = read_predictions([write(tmp_path / 'p.jsonl', rows)])
    assert found['iou'].tolist()[:2] == [0.0, 1.0] and found['iou'].isna().tolist()[2:] == [True, True]


LINE = json.dumps(ROW)


def test_a_last_line_that_is_cut_short_is_named(tmp_path: Path) -> None:
    assert 'line 2: the last line is cut short' in refused(tmp_path / 'p.jsonl', LINE, LINE[:50])


def test_a_whole_last_line_needs_no_end(tmp_path: Path) -> None:
    (tmp_path / 'p.jsonl').write_text(LINE)
    assert len(read_predictions([tmp_path / 'p.jsonl'])) == 1


@pytest.mark.parametrize('line, what', [
    ('{"dataset": ]', 'line 1: is not valid JSON'),
    ('[1, 2]', 'line 1: is not a record'),
    ('"text"', 'line 1: is not a record'),
    ('[' * 100_000, 'line 1: is not valid JSON'),
    (json.dumps({k: v for k, v in ROW.items() if k != 'best_proposal_iou'}), "line 1: has no 'best_proposal_iou'"),
    (LINE.replace('"iou": 1.0', '"iou": NaN'), 'NaN is no number'),
    (LINE.replace('"iou": 1.0', '"iou": 1e999'), "'iou' is not a finite number"),
    (LINE.replace('"iou": 1.0', '"iou": 1.5'), "'iou' is out of range"),
    (LINE.replace('"iou": 1.0', '"iou": true'), "'iou' must be a number or null"),
    (LINE.replace('"iou": 1.0', '"iou": "1"'), "'iou' must be a number or null"),
    (LINE.replace('"sent_id": 1', f'"sent_id": {10 ** 30}'), "'sent_id' is beyond 64 bits"),
    (LINE.replace('"n_context": 2', f'"n_context": 1{"0" * 400}'), "'n_context' is beyond 64 bits"),
    (json.dumps(row(sent_id=None)), "'sent_id' must be a whole number"),
    (json.dumps(row(sent_id=1.5)), "'sent_id' must be a whole number"),
    (json.dumps(row(n_proposals=-1)), "'n_proposals' is out of range"),
    (json.dumps(row(mask_intersection=101)), "'mask_intersection' is larger than 'mask_union'"),
    (json.dumps(row(mask_union=None)), 'must be both there or both null'),
    (json.dumps(row(context_hits=3)), "'context_hits' is larger than 'n_context'"),
    (json.dumps(row(gt_box=[1, 2, 3])), "'gt_box' must be four numbers"),
    (json.dumps(row(gt_box=[1, 2, -3, 4])), "'gt_box' has a negative width"),
    (json.dumps(row(gt_box=None)), "'gt_box' must be a box of four numbers"),
    (LINE.replace('[10, 10,', '[1e999, 10,'), "'gt_box' holds a number that is not finite"),
    (LINE.replace('[10, 10,', '[1e200, 10,'), "'gt_box' reaches further than any image"),
    (LINE.replace('[10, 10,', f'[1{"0" * 400}, 10,'), "'gt_box' is beyond 64 bits"),
    (json.dumps(row(dataset=7)), "'dataset' must be a name"),
])
def test_what_no_run_writes_is_refused_with_its_line(tmp_path: Path, line: str, what: str) -> None:
    assert what in refused(tmp_path / 'p.jsonl', line, LINE.replace('"sent_id": 1', '"sent_id": 2'), '')


def test_the_line_of_a_wrong_field_is_the_file_s(tmp_path: Path) -> None:
    lines = [json.dumps(row(sent_id=i)) for i in range(4)]
    assert 'line 5: ' in refused(tmp_path / 'p.jsonl', *lines, json.dumps(row(sent_id=9, iou=2)), '')


@pytest.mark.parametrize('name', ['a\nb', '', '\x00', '\ud800'])
def test_a_name_that_cannot_be_printed_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / 'p.jsonl', [row(grounder=name)])
    with pytest.raises(InputError, match='grounder .*: is no name'):
        read_predictions([tmp_path / 'p.jsonl'])


def test_a_row_that_comes_twice_is_named_with_both_places(tmp_path: Path) -> None:
    message = refused(tmp_path / 'p.jsonl', LINE, json.dumps(row(sent_id=2)), json.dumps(row(iou=0.2)), '')
    assert 'line 3: sent_id 1 of mini-refcoco with greedy and cmae comes twice' in message and 'line 1' in message
    file = write(tmp_path / 'one.jsonl', [row()])
    with pytest.raises(InputError, match='comes twice'):
        read_predictions([file, file])


def test_a_file_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='there is no such file'):
        read_predictions([tmp_path])
    assert 'holds no predictions' in refused(tmp_path / 'p.jsonl', '', '')


SHARES = st.none() | st.sampled_from([0.0, 0.25, 0.5, 0.50001, 0.7, 1.0])
ANSWERS = st.lists(st.builds(
    lambda iou, best, masks, context, n, grounder: row(
        iou=None if grounder == '-' else iou, best_proposal_iou=best, box=None if iou is None else [1, 2, 3, 4],
        mask_intersection=masks and min(masks), mask_union=masks and max(masks), n_proposals=n, grounder=grounder,
        context_hits=context and min(context), n_context=context and max(context)),
    SHARES, SHARES, st.none() | st.tuples(st.integers(0, 10), st.integers(0, 10)),
    st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)), st.none() | st.integers(0, 9),
    st.sampled_from(['cmae', '-'])), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(ANSWERS)
def test_metrics_are_those_of_the_run(tmp_path_factory: pytest.TempPathFactory, rows: list[dict]) -> None:
    rows = [{**r, 'sent_id': i} for i, r in enumerate(rows)]
    rows.append(row(sent_id=len(rows), iou=0.5))
    frame = read_predictions([write(tmp_path_factory.mktemp('rows') / 'p.jsonl', rows)])
    for metric in METRICS.module_dict.values():
        counted = metric()
        counted.process(rows if metric.task == 'recall' else [r for r in rows if r['grounder'] != '-'])
        for name, (value, n) in counted.compute().items():
            found = OUTCOMES[name].of(rows_of(name, frame))
            assert OUTCOMES[name].task == metric.task and found.counts.sum() == n
            if value is not None and found.whole.sum():
                assert found.value() == pytest.approx(value, abs=1e-9)


def test_proposals_are_counted_once_however_many_grounders_had_them(tmp_path: Path) -> None:
    rows = [row(grounder=g, proposals=p) for g in ('cmae', 'mattnet') for p in ('greedy', 'ref-nms-b')]
    frame = read_predictions([write(tmp_path / 'p.jsonl', rows)])
    assert len(rows_of('referent_recall', frame)) == 2 and len(rows_of('accuracy', frame)) == 4
