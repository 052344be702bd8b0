"""Recall against the number of proposals: by hand, from a run's files, and from the rules themselves."""
from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.studies import main
from harness.studies.curves import Point, RankedHits, by_part, curve

# Two of three expressions have contextual objects: one of one is second, of two one is third.
RANKINGS = [RankedHits('cup', (0, 0, 10, 10), 5, 0, (1,)), RankedHits('left red cup', (0, 0, 40, 40), 2, 1, (-1, 2)),
            RankedHits('the cup behind the small brown dog over there', (0, 0, 200, 100), 4, -1, ())]


def test_recall_among_the_first_n() -> None:
    assert curve(RANKINGS, [1, 2, 3, 100]) == [
        Point(1, 3, 1, pytest.approx(100 / 3), 0), Point(2, 3, 2, pytest.approx(200 / 3), 50),
        Point(3, 3, pytest.approx(8 / 3), pytest.approx(200 / 3), 75),
        Point(100, 3, pytest.approx(11 / 3), pytest.approx(200 / 3), 75)]


def test_without_contextual_objects_there_is_no_recall_of_them() -> None:
    assert curve(RANKINGS[2:], [5]) == [Point(5, 1, 4, 0, None)]
    assert curve([RANKINGS[0]._replace(context=None)], [5]) == [Point(5, 1, 5, 100, None)]


def test_parts_are_by_words_and_by_area_and_empty_ones_are_left_out() -> None:
    parts = {name: [found.sent.split()[0] for found in mine] for name, mine in by_part(RANKINGS)}
    assert parts == {'all': ['cup', 'left', 'the'], '1-2 words': ['cup'], '3-4 words': ['left'], '8+ words': ['the'],
                     'small': ['cup'], 'medium': ['left'], 'large': ['the']}
    edge = [RankedHits('a', (0, 0, 32, 32), 1, 0, None), RankedHits('a', (0, 0, 96, 96), 1, 0, None)]
    assert [name for name, _ in by_part(edge)] == ['all', '1-2 words', 'medium', 'large']


places = st.lists(st.integers(-1, 120), max_size=3).map(tuple)
rankings = st.lists(st.builds(RankedHits, st.just('cup'), st.just((0, 0, 9, 9)),
                              st.integers(0, 100), st.integers(-1, 120),
                              st.one_of(st.none(), places)), min_size=1, max_size=6)


@given(rankings)
def test_more_proposals_never_find_less(mine: list[RankedHits]) -> None:
    points = curve(mine)
    assert [p.n for p in points] == list(range(1, 101))
    for before, after in zip(points, points[1:], strict=False):
        assert before.proposals <= after.proposals
        assert before.referent_recall <= after.referent_recall <= 100
        if after.context_recall is not None:
            assert before.context_recall <= after.context_recall + 1e-9 <= 100 + 1e-6


# ------------------------------------------------------------------------------------------ from a run's files

def write_run(folder: Path, proposals: list[dict], predictions: list[dict]) -> Path:
    folder.mkdir()
    for name, rows in (('proposals', proposals), ('predictions', predictions)):
        (folder / f'{name}.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return folder


def about(sent_id: int, **more: object) -> dict:
    return {'dataset': 'd', 'split': 'val', 'sent_id': sent_id, **more}


PREDICTIONS = [about(1, sent='cup', gt_box=[0, 0, 10, 10]), about(2, sent='left red cup', gt_box=[0, 0, 40, 40])]
PROPOSALS = [about(1, proposals='greedy', hits=[None, 'referent', 'referent']),
             about(2, proposals='greedy', hits=['context']), about(1, proposals='mine', hits=[]),
             about(2, proposals='mine', hits=['referent'])]


def lines(out: Path) -> dict[tuple[str, str, int], tuple]:
    return {(row['proposals'], row['part'], int(row['N'])): (
        int(row['expressions']), float(row['mean_proposals']), float(row['referent_recall']), row['context_recall'])
        for row in csv.DictReader((out / 'number.csv').open())}


def test_a_run_s_proposals_are_counted_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = write_run(tmp_path / 'run', PROPOSALS, PREDICTIONS)
    assert main(['number', str(run), '--at', '2', '--out', str(tmp_path / 'out')]) == 0
    found = lines(tmp_path / 'out')
    assert found['greedy', 'all', 1] == (2, 1, 0, '')
    assert found['greedy', 'all', 2] == (2, 1.5, 50, '')
    assert found['greedy', 'small', 2] == (1, 2, 100, '')
    assert found['mine', 'all', 100] == (2, 0.5, 50, '')
    assert 'among the first 2' in capsys.readouterr().out


def test_only_what_was_asked_for_is_counted(tmp_path: Path) -> None:
    run = write_run(tmp_path / 'run', PROPOSALS, PREDICTIONS)
    assert main(['number', str(run), '--proposals', 'mine', '--split', 'val', '--out', str(tmp_path / 'out')]) == 0
    assert {rule for rule, _, _ in lines(tmp_path / 'out')} == {'mine'}
    with pytest.raises(InputError, match='holds no proposals of what was asked for'):
        main(['number', str(run), '--split', 'testA', '--out', str(tmp_path / 'none')])


@pytest.mark.parametrize('more, said', [
    (['--proposals', 'mine,gredy'], '--proposals gredy: .*did you mean greedy'),
    (['--limit', '3'], '--limit: has no effect'), (['--limit', '0'], '--limit: has no effect'),
    (['--set', 'greedy.threshold=0.1'], '--set: has no effect'), (['--weights', 'a=b'], '--weights: has no effect'),
    (['--device', 'cpu'], '--device: has no effect'), (['--data-root', '.'], '--data-root: has no effect'),
    (['--vectors', 'x'], '--vectors: has no effect'), (['--split-by', 'unc'], '--split-by: has no effect')])
def test_what_has_no_effect_on_a_run_s_proposals_is_refused(more: list[str], said: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / 'run', PROPOSALS, PREDICTIONS)
    with pytest.raises(InputError, match=said):
        main(['number', str(run), *more, '--out', str(tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('proposals, predictions, said', [
    ([about(3, proposals='greedy', hits=[])], PREDICTIONS, 'lacks sentence 3'),
    ([about(1, proposals='greedy')], PREDICTIONS, 'proposals.jsonl: line 1: does not say what its proposals hit'),
    ([[]], PREDICTIONS, 'proposals.jsonl: line 1: is no row'),
    (PROPOSALS, [about(1, sent='cup')], 'predictions.jsonl: line 1: is no row'),
    ([about(1, proposals='greedy', hits='referent')], PREDICTIONS, 'proposals.jsonl: line 1: is no row'),
    (PROPOSALS, [about(1, sent='cup', gt_box=[1, 2, 3])], 'predictions.jsonl: line 1: is no row'),
    ([about(1, proposals=['greedy'], hits=[])], PREDICTIONS, 'proposals.jsonl: line 1: is no row'),
    ([{**about(1, proposals='greedy', hits=[]), 'sent_id': [1]}], PREDICTIONS, 'proposals.jsonl: line 1: is no row'),
])
def test_a_file_that_is_no_run_s_is_refused_with_its_line(proposals: list, predictions: list, said: str,
                                                          tmp_path: Path) -> None:
    run = write_run(tmp_path / 'run', proposals, predictions)
    with pytest.raises(InputError, match=said) as error:
        main(['number', str(run), '--out', str(tmp_path / 'out')])
    assert '\n' not in str(error.value)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'predictions\.jsonl: there is no such file'):
        main(['number', str(tmp_path), '--out', str(tmp_path / 'out')])


# ------------------------------------------------------------------------------------------ from the rules

@pytest.mark.usefixtures('small_benchmark')
def test_every_rule_has_a_line_and_the_oracle_is_over_all(tmp_path: Path) -> None:
    assert main(['number', '--split', 'testB', '--out', str(tmp_path / 'out')]) == 0
    found = lines(tmp_path / 'out')
    rules = {rule for rule, _, _ in found}
    assert {'greedy', 'soft-nms-gaussian', 'category-name', 'relatedness', 'ref-nms-b', 'oracle'} <= rules
    assert not {'greedy-swept', 'greedy-top-n'} & rules, 'they are the same line'
    for rule in rules:
        for n in range(1, 101):
            assert found['oracle', 'all', n][2] >= found[rule, 'all', n][2]
    assert found['ref-nms-b', 'all', 100][3] != '', 'contextual objects are known'


@pytest.mark.usefixtures('small_benchmark')
def test_a_run_and_the_rules_agree(tmp_path: Path) -> None:
    from run_benchmark import command_line
    common = ['--dataset', 'mini-refcoco', '--split', 'val', '--proposals', 'greedy-100,ref-nms-b-100']
    assert command_line([*common, '--task', 'recall', '--out', str(tmp_path / 'run')]) == 0
    assert main(['number', str(tmp_path / 'run'), '--out', str(tmp_path / 'from-run')]) == 0
    assert main(['number', *common, '--out', str(tmp_path / 'from-rules')]) == 0
    one, other = lines(tmp_path / 'from-run'), lines(tmp_path / 'from-rules')
    assert {key: value[:3] for key, value in one.items()} == {key: value[:3] for key, value in other.items()}


@pytest.mark.parametrize('arguments, said', [(['--at', '0'], '--at 0'), (['--proposals', 'gredy'], 'did you mean'),
                                             (['--limit', '-1'], '--limit -1'), (['--data-root', '.'], '--data-root'),
                                             (['--set', 'greedy.threshold=0.1'], 'has no effect')])
def test_what_is_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        main(['number', *arguments, '--out', str(tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()
