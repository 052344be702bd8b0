"""The check against a baseline passes, or says what moved."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import boxes as harness_iou
from reports.__main__ import command_line
from reports.limits import SHIPPED
from reports.recount import chosen_iou, plain_iou
from tests.checked_runs import RUN, baseline_of, check, record, results
from tests.prediction_files import row, write

CAPSYS = pytest.CaptureFixture[str]


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    run = results(tmp_path / 'before', record(), record('overall_iou', 40.0, task='res'),
                  record('mean_proposals', 7.0, task='recall', grounder='-'))
    return baseline_of(run, tmp_path / 'baseline.json')


def now(tmp_path: Path, accuracy: float = 60.0, overall: float = 40.0, proposals: float = 7.0,
        **changed: object) -> Path:
    return results(tmp_path / 'now', record(value=accuracy), record('overall_iou', overall, task='res'),
                   record('mean_proposals', proposals, task='recall', grounder='-'), **changed)


def test_the_same_passes(tmp_path: Path, baseline: Path, capsys: CAPSYS) -> None:
    code, moved, printed = check(capsys, now(tmp_path), baseline)
    assert (code, moved) == (0, []) and f'**Check against {baseline} passed: 7**' in printed


def test_half_a_point_is_tolerated_and_more_is_not(tmp_path: Path, baseline: Path, capsys: CAPSYS) -> None:
    assert check(capsys, now(tmp_path, accuracy=59.5), baseline)[:2] == (0, [])
    assert check(capsys, now(tmp_path, accuracy=59.49), baseline)[:2] == (
        1, ['fell by 0.51, tolerance 0.5: accuracy of cmae on greedy, mini-refcoco val'])


def test_a_baseline_may_tolerate_more_or_less_by_metric(tmp_path: Path, capsys: CAPSYS) -> None:
    file = baseline_of(now(tmp_path), tmp_path / 'baseline.json', {'accuracy': 2, 'overall_iou': 0})
    code, moved, _ = check(capsys, now(tmp_path, accuracy=58.0, overall=39.99), file)
    assert (code, moved) == (1, ['fell by 0.01, tolerance 0: overall_iou of cmae on greedy, mini-refcoco val'])


def test_what_becomes_better_passes_and_is_shown(tmp_path: Path, baseline: Path, capsys: CAPSYS) -> None:
    code, moved, printed = check(capsys, now(tmp_path, accuracy=70), baseline)
    assert (code, moved) == (0, []) and 'rose by 10.00, tolerance 0.5' in printed and '--update' in printed


@pytest.mark.parametrize('proposals, how', [(7.6, 'rose by 0.60'), (6.4, 'fell by 0.60')])
def test_more_proposals_are_no_better_than_fewer(tmp_path: Path, baseline: Path, capsys: CAPSYS, proposals: float,
                                                 how: str) -> None:
    assert check(capsys, now(tmp_path, proposals=proposals), baseline)[:2] == (
        1, [f'{how}, tolerance 0.5: mean_proposals of greedy, mini-refcoco val'])


@pytest.mark.parametrize('changed, moved', [
    ({'data': {'mini-refcoco': '12ac'}}, 'differs: mini-refcoco'),
    ({'data': {}}, 'is not there: mini-refcoco'),
    ({'weights': {'cmae (mini-refcoco)': {'sha256': '34ce'}}}, 'differs: cmae (mini-refcoco)'),
    ({'conventions': {'accuracy': 'IoU > 0.5'}}, 'differs: accuracy'),
    ({'options': {'settings': ['greedy.threshold=0.5']}}, 'differs: --set'),
])
def test_figures_of_another_origin_fail(tmp_path: Path, baseline: Path, capsys: CAPSYS, changed: dict,
                                        moved: str) -> None:
    assert check(capsys, now(tmp_path, **changed), baseline)[:2] == (1, [moved])


def test_what_the_baseline_does_not_have_does_not_fail(tmp_path: Path, baseline: Path, capsys: CAPSYS) -> None:
    run = results(tmp_path / 'now', *json.loads(baseline.read_text())['records'], record(grounder='mattnet'),
                  data={**RUN['data'], 'other': '1'}, weights={**RUN['weights'], 'mattnet': {'sha256': '1'}},
                  versions={'torch': '3'})
    code, moved, printed = check(capsys, run, baseline)
    assert (code, moved) == (0, [])
    assert '1 records are not in the baseline: accuracy of mattnet on greedy, mini-refcoco val' in printed
    assert 'Other versions than the baseline: torch 2 → 3' in printed and ': a test.' in printed


def test_a_record_that_is_missing_or_of_fewer_expressions_fails(tmp_path: Path, baseline: Path,
                                                                capsys: CAPSYS) -> None:
    run = results(tmp_path / 'now', record(n=9), record('mean_proposals', 7.0, grounder='-'))
    assert check(capsys, run, baseline)[:2] == (
        1, ['is of 9 expressions, not 10: accuracy of cmae on greedy, mini-refcoco val',
            'is not there: overall_iou of cmae on greedy, mini-refcoco val'])


def test_time_counts_when_it_is_asked_for(tmp_path: Path, baseline: Path, capsys: CAPSYS) -> None:
    slow = now(tmp_path, seconds={'detect': 31.0, 'masks': 1.2, 'new': 9.0})
    assert check(capsys, slow, baseline)[0] == 0
    assert check(capsys, slow, baseline, '--max-slowdown', 1.5)[:2] == (
        1, ['takes 1.55 times as long, 1.5 is allowed: detect']), 'a stage under a second is judged as one of a second'
    assert check(capsys, slow, baseline, '--max-slowdown', 1.6)[0] == 0


def answered(folder: Path, right: Sequence[int], masks: Sequence[int] | None = None) -> Path:
    """A run whose records say what its predictions do: one expression an image, right or wrong."""
    rows = [row(sent_id=i, image_id=i, iou=float(r), box=[10, 10, 20, 20] if r else [50, 50, 9, 9],
                mask_intersection=(masks or [50] * len(right))[i]) for i, r in enumerate(right)]
    n = len(right)
    return results(folder, record(value=100 * sum(right) / n, n=n),
                   record('overall_iou', sum(r['mask_intersection'] for r in rows) / n, n=n, task='res'),
                   predictions=rows)


def test_a_paired_test_tells_chance_from_loss(tmp_path: Path, capsys: CAPSYS) -> None:
    before = answered(tmp_path / 'before', [1] * 40 + [0] * 40)
    by_chance = answered(tmp_path / 'chance', [1] * 36 + [0] * 5 + [1] * 2 + [0] * 37)
    assert check(capsys, by_chance, before)[0] == 1, 'two points less'
    assert check(capsys, by_chance, before, '--significant')[:2] == (0, []), '2 against 4 is what chance does'
    worse = answered(tmp_path / 'worse', [1] * 30 + [0] * 50)
    code, moved, _ = check(capsys, worse, before, '--significant')
    assert (code, moved) == (1, ['fell by 12.50, p = 0.002: accuracy of cmae on greedy, mini-refcoco val'])
    code, moved, printed = check(capsys, before, worse, '--significant')
    assert (code, moved) == (0, []) and 'rose by 12.50, p = 0.002' in printed


def test_masks_are_tested_by_images(tmp_path: Path, capsys: CAPSYS) -> None:
    before, after = (answered(tmp_path / name, [1] * 30, masks) for name, masks in
                     (('before', [60] * 30), ('now', [58] * 28 + [66] * 2)))
    code, moved, _ = check(capsys, after, before, '--significant')
    assert code == 1 and moved[0].startswith('fell by 1.47, p = 0.0')


def test_a_paired_test_needs_the_predictions_of_both(tmp_path: Path, baseline: Path, capsys: CAPSYS) -> None:
    code, _, printed = check(capsys, now(tmp_path), baseline, '--significant')
    assert code == 2 and 'predictions.jsonl: --significant needs it' in printed and printed.count('\n') == 1
    before = answered(tmp_path / 'before', [1, 0])
    other = results(tmp_path / 'other', record(value=50, n=2), predictions=[row(sent_id=0), row(sent_id=1)])
    code, _, printed = check(capsys, before, other, '--significant')
    assert code == 2 and 'is not of its results, the predictions give 100.0000 on 2 for accuracy' in printed


def test_a_changed_way_of_counting_is_seen_however_little_it_moves(tmp_path: Path, capsys: CAPSYS) -> None:
    before = answered(tmp_path / 'before', [1, 0])
    assert check(capsys, answered(tmp_path / 'now', [1, 0]), before)[:2] == (0, [])
    rows = [row(sent_id=0, image_id=0, box=[10, 10, 20, 11], iou=12 / 20, mask_intersection=50),
            row(sent_id=1, image_id=1, box=[50, 50, 9, 9], iou=0.0, mask_intersection=50)]
    run = results(tmp_path / 'now', record(value=50, n=2), record('overall_iou', 50.01, n=2, task='res'),
                  predictions=rows)
    assert check(capsys, run, before)[:2] == (1, [
        '1 of 2 differ, first on line 1: IoU of chosen boxes by inclusive pixels',
        '1 differ; the predictions give 50.0000 on 2 for overall_iou of cmae on greedy, mini-refcoco val, the results '
        'say 50.0100 on 2: records from predictions'])
    assert check(capsys, run, before, '--significant')[0] == 1


def test_proposals_are_measured_again_too(tmp_path: Path, capsys: CAPSYS) -> None:
    rows = [row(sent_id=i, proposals=rule, best_proposal_iou=best, mask_union=None, mask_intersection=None)
            for i, rule, best in ((0, 'greedy', 0.5), (1, 'greedy', 0.0), (0, 'other', 0.5), (2, 'greedy', None))]
    run = results(tmp_path / 'now', record(value=100, n=3), predictions=rows)
    boxes = [{'dataset': 'mini-refcoco', 'sent_id': i, 'proposals': rule, 'boxes': some} for i, rule, some in (
        (0, 'greedy', [[10, 10, 20, 5], [10, 10, 20, 10]]), (1, 'greedy', []), (0, 'other', [[10, 10, 10.0004, 20]]),
        (2, 'greedy', [[1, 2, 3, 4]]), (9, 'greedy', [[1, 2, 3, 4]]))]
    write(run / 'proposals.jsonl', boxes)
    assert check(capsys, run, run)[:2] == (0, [])
    boxes[2]['boxes'] = [[10, 10, 11, 20]]
    write(run / 'proposals.jsonl', boxes)
    assert check(capsys, run, run)[:2] == (1, ['1 of 3 differ, first on line 3: IoU of proposals by plain areas'])
    for damaged in ({'boxes': [[1, 2, 3]]}, {'boxes': 'x'}, {'dataset': []}, {'boxes': [[10 ** 400, 2, 3, 4]]}):
        write(run / 'proposals.jsonl', [{**boxes[0], **damaged}])
        code, _, printed = check(capsys, run, run)
        assert code == 2 and 'proposals.jsonl: line 1: is no row of proposals' in printed


BOXES = st.lists(st.tuples(*[st.integers(0, 400).map(lambda eighths: eighths / 8)] * 8), min_size=1)


@settings(deadline=None)
@given(BOXES)
def test_plain_iou_is_the_run_s(boxes: list[tuple[float, ...]]) -> None:
    gold, proposals = np.split(np.array(boxes), 2, axis=1)
    pairs = harness_iou.plain_iou(harness_iou.xywh_to_xyxy(gold), harness_iou.xywh_to_xyxy(proposals))
    assert np.allclose(plain_iou(gold, proposals), pairs.diagonal(), atol=1e-9)


@settings(deadline=None)
@given(BOXES)
def test_the_iou_that_is_counted_again_is_the_run_s(boxes: list[tuple[float, ...]]) -> None:
    chosen, gold = np.split(np.array(boxes), 2, axis=1)
    assert np.allclose(chosen_iou(chosen, gold), harness_iou.rec_iou(chosen, gold), atol=1e-12)


def test_other_data_cannot_be_paired(tmp_path: Path, capsys: CAPSYS) -> None:
    before = answered(tmp_path / 'before', [1, 0])
    after = answered(tmp_path / 'now', [1, 0])
    whole = json.loads((after / 'results.json').read_text())
    whole['run']['data'] = {'mini-refcoco': 'other'}
    (after / 'results.json').write_text(json.dumps(whole))
    code, moved, _ = check(capsys, after, before, '--significant')
    assert code == 1 and moved[1].startswith('cannot be paired, the data differ: accuracy')


def test_ci_gets_junit_and_a_summary(tmp_path: Path, baseline: Path, capsys: CAPSYS) -> None:
    run = now(tmp_path, accuracy=50, conventions={'accuracy': '<IoU> \x00 "half" | |'})
    code, moved, printed = check(capsys, run, baseline, '--junit', tmp_path / 'j.xml', '--summary', tmp_path / 's.md')
    assert code == 1 and (tmp_path / 's.md').read_text() == printed
    root = ElementTree.parse(tmp_path / 'j.xml').getroot()
    assert (root.get('tests'), root.get('failures')) == ('7', '2')
    assert [suite.get('name') for suite in root] == ['check.data', 'check.weights', 'check.conventions',
                                                     'check.settings', 'check.records']
    failed = {case.get('name'): case[0].get('message') for case in root.iter('testcase') if len(case)}
    assert set(failed) == {'accuracy', 'accuracy of cmae on greedy, mini-refcoco val'}
    assert failed['accuracy of cmae on greedy, mini-refcoco val'].endswith('fell by 10.00, tolerance 0.5')
    check(capsys, now(tmp_path), baseline, '--junit', tmp_path / 'j.xml')
    assert ElementTree.parse(tmp_path / 'j.xml').getroot().get('failures') == '0'


def test_an_update_keeps_why_and_no_place_of_the_machine(tmp_path: Path, capsys: CAPSYS) -> None:
    file = baseline_of(now(tmp_path), tmp_path / 'baseline.json', {'accuracy': 3.5})
    better = now(tmp_path, accuracy=65)
    code, _, printed = check(capsys, better, file, '--update', '--reason', 'a better  grounder\n')
    whole = json.loads(file.read_text())
    assert code == 0 and 'rose by 5.00' in printed and 'because: a better grounder' in printed
    assert [entry['reason'] for entry in whole['updates']] == ['a test', 'a better grounder']
    assert len(whole['updates'][1]['date'].split('-')) == 3 and whole['tolerances'] == {'accuracy': 3.5}
    assert 'somewhere' not in file.read_text()
    assert check(capsys, better, file)[:2] == (0, [])
    assert check(capsys, now(tmp_path, accuracy=61), file)[0] == 1


@pytest.mark.parametrize('options, what', [
    (['--update'], '--update and --reason TEXT: give both or none'),
    (['--reason', 'x'], '--update and --reason TEXT: give both or none'),
    (['--update', '--reason', ' '], 'give both or none'),
    (['--max-slowdown', '0.5'], 'allows no time'),
    (['--max-slowdown', 'nan'], 'allows no time'),
    (['--max-slowdown', 'x'], '--max-slowdown'),
    (['--update', '--reason', 'x', '--part', 'mini-refcoco'], '--part: has no effect on --update'),
    (['--update', '--reason', 'x', '--significant'], '--significant: has no effect on --update'),
    (['--update', '--reason', 'x', '--max-slowdown', '2'], '--max-slowdown: has no effect on --update'),
    (['--update', '--reason', 'x', '--junit', 'j.xml'], '--junit: has no effect on --update'),
    (['--update', '--reason', 'x', '--summary', 's.md'], '--summary: has no effect on --update'),
    (['--sigificant'], 'did you mean --significant?'),
    (['--junit', '/nowhere/at/all.xml'], '--junit /nowhere/at/all.xml: cannot be written'),
])
def test_options_that_make_no_sense(tmp_path: Path, baseline: Path, capsys: CAPSYS, options: list[str],
                                    what: str) -> None:
    code, _, printed = check(capsys, now(tmp_path), baseline, *options)
    assert code == 2 and what in printed and printed.count('\n') == 1


@pytest.mark.parametrize('whole, what', [
    ({'records': [], 'run': {}}, 'holds no records'),
    ({'records': [record(), record(value=61.0)], 'run': RUN}, 'is there twice'),
    ({'records': [record('acuracy')], 'run': RUN}, 'unknown metric acuracy'),
    ({'records': [record(value=float('nan'))], 'run': RUN}, 'not a finite number'),
    ({'records': [record()], 'run': RUN, 'tolerances': {'acuracy': 1}}, 'acuracy, did you mean accuracy'),
    ({'records': [record()], 'run': RUN, 'tolerances': {'accuracy': -1}}, "'tolerances.accuracy' must be greater than"),
    ({'records': [record()], 'run': RUN, 'tolerances': {'accuracy': float('nan')}}, "'tolerances.accuracy' must be a"),
    ({'records': [record()], 'run': RUN, 'tolerances': {'accuracy': '1'}}, "'tolerances.accuracy' must be a number"),
    ({'records': [record()], 'run': RUN, 'tolerances': [1]}, "'tolerances' must be a record, not a list"),
    ({'records': [record()], 'run': RUN, 'updates': {}}, "'updates' must be a list, not a record"),
    ({'records': [record()], 'run': RUN, 'updates': [1]}, "'updates.0' must be a record, not 1"),
    ([], 'not a results file'),
])
def test_a_baseline_that_is_damaged(tmp_path: Path, capsys: CAPSYS, whole: object, what: str) -> None:
    file = tmp_path / 'baseline.json'
    file.write_text(json.dumps(whole))
    code, _, printed = check(capsys, now(tmp_path), file)
    assert code == 2 and what in printed and str(file) in printed and printed.count('\n') == 1


def test_what_is_not_there(tmp_path: Path, baseline: Path, capsys: CAPSYS) -> None:
    for run, against in ((tmp_path / 'x', baseline), (now(tmp_path), tmp_path / 'x.json')):
        code, _, printed = check(capsys, run, against)
        assert code == 2 and 'there is no such file' in printed
    run = now(tmp_path)
    for against in (run, run / 'results.json'):
        code, _, printed = check(capsys, run, against, '--update', '--reason', 'x')
        assert code == 2 and 'must be a baseline file of its own' in printed


def test_seconds_that_are_no_numbers(tmp_path: Path, baseline: Path, capsys: CAPSYS) -> None:
    code, _, printed = check(capsys, now(tmp_path, seconds={'detect': 'long'}), baseline, '--max-slowdown', 2)
    assert code == 2 and "'run.seconds.detect' must be a number, not text" in printed


def test_reports_need_no_network_library() -> None:
    code = ('import sys; import reports.compare, reports.failures, reports.check; '
            'assert not {"torch", "mmdet", "mmengine"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True, cwd=Path(__file__).parent.parent)


def test_a_part_of_the_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [record(value=60), record(value=70, split='testB')]
    weights = {name: {'sha256': '1'} for name in ('detector', 'cmae (mini-refcoco)', 'cmae (mini-refcocog)')}
    against = baseline_of(results(tmp_path / 'whole', *both, weights=weights), tmp_path / 'baseline.json')
    part = results(tmp_path / 'part', both[1], weights={name: weights[name] for name in list(weights)[:2]})
    assert check(capsys, part, against)[0] == 1, 'val and a weight are not there'
    assert check(capsys, part, against, '--part', 'mini-refcoco/testB')[0] == 0
    assert check(capsys, part, against, '--part', 'mini-refcoco')[0] == 1
    code, _, printed = check(capsys, part, against, '--part', 'mini-refcoco/test')
    assert code == 2 and 'the baseline has none, did you mean mini-refcoco/testB' in printed


def test_a_run_of_a_part_is_told_so_with_the_option_that_checks_it(tmp_path: Path, capsys: CAPSYS) -> None:
    splits = [('mini-refcoco', 'val'), ('mini-refcoco', 'testA'), ('mini-refcocog', 'val'), ('mini-refcocog', 'test')]
    whole = [record(dataset=dataset, split=split) for dataset, split in splits]
    against = baseline_of(results(tmp_path / 'whole', *whole), tmp_path / 'baseline.json')
    for there, option in (([1], '--part mini-refcoco/testA'), ([0, 1], '--part mini-refcoco'),
                          ([1, 2, 3], '--part mini-refcoco/testA --part mini-refcocog')):
        part = results(tmp_path / 'part', *(whole[i] for i in there))
        code, _, printed = check(capsys, part, against)
        assert code == 1 and f'only a part of the baseline: {option} checks that part alone.' in printed
        code, moved, printed = check(capsys, part, against, *option.split())
        assert (code, moved) == (0, []) and 'a part of' not in printed
    for other in (whole, [record(dataset='mine')]):
        assert 'a part of' not in check(capsys, results(tmp_path / 'part', *other), against)[2]


def test_of_many_that_moved_the_first_are_printed_and_the_rest_counted(tmp_path: Path, capsys: CAPSYS) -> None:
    many = [record(grounder=f'g{i:02}') for i in range(40)]
    against = baseline_of(results(tmp_path / 'whole', *many), tmp_path / 'baseline.json')
    run = results(tmp_path / 'now', *({**r, 'value': 50.0} for r in many[30:]))
    code, moved, printed = check(capsys, run, against, '--summary', tmp_path / 's.md', '--junit', tmp_path / 'j.xml')
    assert code == 1 and 'failed: 40 of ' in printed and len(printed.splitlines()) < 25
    assert moved == [f'fell by 10.00, tolerance 0.5: accuracy of g{i} on greedy, mini-refcoco val'
                     for i in range(30, 40)], 'what fell comes before what is not there'
    assert '30 more; --summary FILE and --junit FILE have all of them.' in printed
    assert (tmp_path / 's.md').read_text().count('is not there') == 30
    assert ElementTree.parse(tmp_path / 'j.xml').getroot().get('failures') == '40'


def test_the_shipped_baseline_is_what_a_run_is_held_against_unless_another_is_named(
        tmp_path: Path, capsys: CAPSYS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = json.loads(SHIPPED.read_text())
    (tmp_path / 'results.json').write_text(json.dumps({'records': whole['records'], 'run': whole['run']}))
    assert command_line(['check', 'results.json']) == 0
    assert f'Check against {SHIPPED} passed' in capsys.readouterr().out


def test_a_baseline_is_not_written_over_unless_it_is_named(tmp_path: Path, capsys: CAPSYS) -> None:
    before = SHIPPED.read_bytes()
    assert command_line(['check', str(now(tmp_path)), '--update', '--reason', 'x']) == 2
    assert '--update: says not which baseline; add --against FILE' in capsys.readouterr().err
    assert SHIPPED.read_bytes() == before
