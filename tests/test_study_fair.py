"""All rules at the same mean number of proposals: how the number is chosen, what a rule costs, and the whole study."""
from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import InstanceData

from harness.errors import InputError
from harness.proposals.confidence import Confidence
from harness.proposals.greedy import Greedy
from harness.proposals.soft_nms import SoftNMS
from harness.studies import main
from harness.studies.contestants import CONTESTANTS, Contestant, chosen, registered, rules_of
from harness.studies.number_of_boxes import best_number, least_threshold, mean_kept
from harness.studies.survey import NOWHERE, TimedFeatures, ranking
from harness.types import Annotation, Expression, ImageFeatures, ImageInfo

# ------------------------------------------------------------------------------------------ choosing a threshold

SCORES = [torch.tensor([0.9, 0.8, 0.3]), torch.tensor([0.7, 0.6, 0.2, 0.1])]


@pytest.mark.parametrize('most, threshold, kept', [
    (3.5, 0., 3.5), (3, 0.1, 3), (2.9, 0.2, 2.5), (2, 0.3, 2), (1.5, 0.6, 1.5), (1, 0.8, 1), (0.5, 0.9, 1),
])
def test_the_threshold_is_the_smallest_with_no_more_proposals_than_allowed(most: float, threshold: float,
                                                                           kept: float) -> None:
    rule = Confidence()
    assert least_threshold(rule, SCORES, most) == pytest.approx(threshold)
    assert mean_kept(rule, SCORES) == kept


def test_greedy_keeps_its_own_cut_at_the_threshold_and_lowered_where_nothing_reaches_it() -> None:
    greedy = Greedy()
    assert [greedy.kept(own) for own in (torch.tensor([0.7, 0.65, 0.6]), torch.tensor([0.5, 0.46, 0.44]))] == [2, 2]
    assert least_threshold(greedy, SCORES, 1.5) == pytest.approx(0.7)
    assert [greedy.kept(own) for own in SCORES] == [2, 1]


def test_the_number_is_the_one_whose_mean_comes_nearest() -> None:
    rule = Confidence()
    assert best_number(rule, SCORES, 2.2) == 2
    assert best_number(rule, SCORES, 3.4) == 4, 'of which one image has only three'
    assert mean_kept(rule, SCORES) == 3.5


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=6).map(
    lambda scores: torch.tensor(sorted(scores, reverse=True))), min_size=1, max_size=5), st.floats(1, 6))
def test_any_lower_threshold_would_propose_too_much(scores: list[torch.Tensor], most: float) -> None:
    rule = Confidence()
    threshold = least_threshold(rule, scores, most)
    assert mean_kept(rule, scores) <= most
    if threshold > 0:
        rule.threshold = threshold - 1e-3
        assert mean_kept(rule, scores) > most


# ------------------------------------------------------------------------------------------ who competes

def test_contestants_are_rules_with_options_of_their_own() -> None:
    linear = SoftNMS()
    rules = rules_of({'soft-nms': CONTESTANTS['soft-nms'], 'soft-nms-gaussian': CONTESTANTS['soft-nms-gaussian'],
                   'oracle': CONTESTANTS['oracle']}, {'soft-nms': linear})
    assert {name: rule.method for name, rule in rules.items()} == {'soft-nms': 'linear',
                                                                   'soft-nms-gaussian': 'gaussian'}
    rules['soft-nms'].threshold = 0.25
    assert linear.threshold is None
    assert CONTESTANTS['soft-nms-gaussian'].settings(rules['soft-nms-gaussian']) == (
        '--set soft-nms.method=gaussian --set soft-nms.threshold=None')


def test_other_registered_rules_compete_by_their_threshold_or_as_they_are() -> None:
    assert chosen(['ref-nms-b-100,greedy']) == {'ref-nms-b-100': Contestant('ref-nms-b-100', None),
                                                'greedy': Contestant('greedy', None)}
    with pytest.raises(InputError, match='did you mean soft-nms'):
        chosen(['soft-nsm'])


def test_all_means_all_whose_weights_are_there() -> None:
    for wanted in (None, ['all']):
        assert registered(wanted, chosen(wanted)) == ['all']
    assert registered(['greedy,greedy-swept', 'oracle'], chosen(['greedy,greedy-swept', 'oracle'])) == ['greedy',
                                                                                                     'oracle']


# ------------------------------------------------------------------------------------------ what is surveyed

def expression(gt_xywh: tuple = (0, 0, 10, 10)) -> Expression:
    return Expression('mini', 'val', 7, 0, 'cup', ('cup',), gt_xywh)


def boxes(*lefts: float) -> InstanceData:
    corners = torch.tensor([[left, 0, left + 10, 10] for left in lefts]).reshape(-1, 4)
    return InstanceData(bboxes=corners, scores=torch.ones(len(lefts)))


def test_a_ranking_knows_where_the_referent_and_each_contextual_object_come_first() -> None:
    context = [Annotation(1, 7, (100, 0, 10, 10), 'dog'), Annotation(2, 7, (200, 0, 10, 10), 'dog')]
    # 3 of 17 pixels wide is not enough, 8 of 12 is.
    found = ranking(expression(), boxes(7, 100, 2, 0, 100), context)
    assert (found.referent, found.context) == (2, (1, NOWHERE))
    assert ranking(expression(), boxes(50), None).context is None
    assert ranking(expression(), boxes(), context)[2:] == (NOWHERE, (NOWHERE, NOWHERE))


def test_a_ranking_is_followed_for_a_hundred_boxes() -> None:
    found = ranking(expression(), boxes(*[50.] * 100, 0.), None)
    assert found.referent == NOWHERE and len(found.scores) == 100


def test_every_rule_is_charged_for_what_others_have_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.]
    monkeypatch.setattr(time, 'perf_counter', lambda: clock[0])
    image = TimedFeatures(ImageInfo(7, 100, 100), 1., None, torch.zeros(0, 1, 4), torch.zeros(0, 1), ('cup',), None)

    def wait(seconds: float) -> float:
        clock[0] += seconds
        return seconds

    def relatedness(image: ImageFeatures) -> float:
        return wait(10)

    def fused(image: ImageFeatures, how: str, seconds: float) -> float:
        return image.once(relatedness) + wait(seconds)

    spent: list[float] = []
    for work in (lambda: image.once(fused, 'product', 1),
                 lambda: image.once(fused, 'product', 1),
                 lambda: (image.once(fused, 'sum', 2), wait(0.5)),
                 lambda: wait(3)):
        with image.charged(spent.append):
            work()
    assert spent == [11, 11, 12.5, 3]
    assert clock[0] == 10 + 1 + 2 + 0.5 + 3, 'relatedness was computed once'


# ------------------------------------------------------------------------------------------ the whole study

FEW = ['--proposals', 'greedy,greedy-swept,greedy-top-n,confidence,relatedness,oracle']


@pytest.fixture(scope='module')
def study(tmp_path_factory: pytest.TempPathFactory, small_cache: Path) -> Path:
    out = tmp_path_factory.mktemp('study') / 'fair'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('REFNMS_CACHE', str(small_cache))
        assert main(['fair', *FEW, '--out', str(out)]) == 0
    return out


def choices(out: Path) -> dict:
    return json.loads((out / 'fair.json').read_text())['mini-refcoco']


def test_all_rules_propose_as_many_boxes_on_val_as_ref_nms(study: Path) -> None:
    found = choices(study)
    target = found['ref-nms-b']['proposals']
    assert list(found) == ['greedy', 'greedy-swept', 'greedy-top-n', 'confidence', 'relatedness', 'oracle', 'ref-nms-b']
    for name in ('greedy-swept', 'confidence', 'relatedness', 'oracle'):
        assert found[name]['option'] == 'threshold'
        assert found[name]['proposals'] <= target
    assert abs(found['greedy-top-n']['value'] - target) <= 0.5
    assert found['greedy']['option'] is None and found['greedy']['settings'] == ''


def test_val_has_the_chosen_number_and_every_split_its_recall(study: Path) -> None:
    records = json.loads((study / 'results.json').read_text())['records']
    value = {(r['split'], r['proposals'], r['metric']): r['value'] for r in records}
    for name, choice in choices(study).items():
        assert value['val', name, 'mean_proposals'] == pytest.approx(choice['proposals'])
        for split in ('val', 'testA', 'testB'):
            assert value[split, 'oracle', 'referent_recall'] >= value[split, name, 'referent_recall']
    text = (study / 'fair.md').read_text()
    assert 'mini-refcoco: chosen on val' in text and 'mini-refcoco testB' in text


@pytest.mark.usefixtures('small_benchmark')
def test_nothing_is_chosen_on_a_test_split(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(['fair', *FEW, '--split', 'testB', '--out', str(tmp_path / 'b')]) == 0
    assert {name: c['value'] for name, c in choices(tmp_path / 'b').items()} == {
        name: c['value'] for name, c in choices(study).items()}
    printed = capsys.readouterr().out
    assert 'mini-refcoco testB' in printed and 'mini-refcoco val (' not in printed


def table(text: str, title: str) -> list[dict[str, str]]:
    """The rows of the table under a title, by column."""
    lines = text.partition(title)[2].partition('\n\n')[2].partition('\n\n')[0].splitlines()
    heads, _, *rows = ([cell.strip() for cell in line.strip('|').split('|')] for line in lines)
    return [dict(zip(heads, row, strict=True)) for row in rows]


def test_columns_are_called_what_they_hold(study: Path) -> None:
    records = json.loads((study / 'results.json').read_text())['records']
    value = {(r['proposals'], r['metric']): f'{r["value"]:.2f}' for r in records if r['split'] == 'testB'}
    for row in table((study / 'fair.md').read_text(), 'mini-refcoco testB'):
        assert row == {'proposals': row['proposals'], 'per expression': value[row['proposals'], 'mean_proposals'],
                       'referent recall': value[row['proposals'], 'referent_recall'],
                       'context recall': value[row['proposals'], 'context_recall']}


@pytest.mark.usefixtures('small_benchmark')
def test_without_recall_accuracy_is_not_a_number_of_proposals(tmp_path: Path) -> None:
    assert main(['fair', '--proposals', 'greedy', '--split', 'val', '--grounder', 'chance', '--task', 'rec', '--out',
                 str(tmp_path / 'out')]) == 0
    value = {r['proposals']: f'{r["value"]:.2f}' for r in json.loads(
        (tmp_path / 'out/results.json').read_text())['records'] if r['metric'] == 'accuracy'}
    rows = table((tmp_path / 'out/fair.md').read_text(), 'mini-refcoco val (')
    assert rows == [{'proposals': name, 'REC, chance': value[name]} for name in ('greedy', 'ref-nms-b')]


@pytest.mark.usefixtures('small_benchmark')
def test_the_number_can_be_given_and_grounders_choose_from_it(tmp_path: Path) -> None:
    assert main(['fair', '--proposals', 'confidence,ref-nms-b', '--proposals-per-expression', '3', '--split', 'val',
                 '--grounder', 'chance', '--out', str(tmp_path / 'three')]) == 0
    found = choices(tmp_path / 'three')
    assert found['ref-nms-b']['option'] == found['confidence']['option'] == 'threshold'
    assert all(2 < c['proposals'] <= 3 for c in found.values())
    records = json.loads((tmp_path / 'three/results.json').read_text())['records']
    assert {(r['proposals'], r['grounder']) for r in records if r['metric'] == 'accuracy'} == {
        ('confidence', 'chance'), ('ref-nms-b', 'chance')}


@pytest.mark.parametrize('arguments, said', [
    (['--proposals-per-expression', '0'], '--proposals-per-expression 0.0: must be from 1 to 100'),
    (['--proposals', 'gredy'], 'did you mean greedy'), (['--split', 'testC'], '--split testC'),
    (['--proposals', 'clip-nms'], 'are not shipped; fetch the folder'), (['--limti', '3'], 'did you mean --limit'),
    (['--limit', '0'], '--limit 0: must be from 1'), (['--proposals-per-expression', 'nan'], 'must be from 1 to 100'),
    (['--data-root', '.'], '--data-root .: mini-refcoco is not read from there'),
    (['--set', 'soft-nms.threshold=0.3'], '--set soft-nms.threshold: has no effect'),
    (['--set', 'greedy-top-n.top=3'], '--set greedy-top-n.top: has no effect'),
    (['--device', 'cuda:99'], '--device cuda:99: not available'),
])
@pytest.mark.usefixtures('small_benchmark')
def test_what_is_refused_is_refused_before_anything_is_written(arguments: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        main(['fair', *arguments, '--out', str(tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()


def test_a_folder_with_other_files_is_not_touched(small_benchmark: Path) -> None:
    with pytest.raises(InputError, match='choose an empty or new one'):
        main(['fair', '--proposals', 'greedy', '--out', str(small_benchmark)])


def test_an_unknown_study_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match='study fare: there is no such study, did you mean fair'):
        main(['fare'])


def test_help_names_every_study(capsys: pytest.CaptureFixture) -> None:
    assert main(['--help']) == 0
    assert 'all proposal rules at the same mean number of proposals' in capsys.readouterr().out


def test_a_number_that_nothing_is_set_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='--proposals-per-expression 5: has no effect, greedy compete as they are'):
        main(['fair', '--proposals', 'greedy', '--proposals-per-expression', '5', '--out', str(tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()


# ------------------------------------------------------------------------------------------ at each split's own number

@pytest.mark.usefixtures('small_benchmark')
def test_at_equal_number_every_rule_proposes_on_each_split_what_greedy_does(
        tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'out'
    assert main(['fair', '--proposals', 'greedy,confidence,greedy-top-n', '--at-equal-number', '--out', str(out)]) == 0
    lines = json.loads((out / 'at-equal-number.json').read_text())
    records = json.loads((out / 'results.json').read_text())['records']
    value = {(r['split'], r['proposals'], r['metric']): r['value'] for r in records}
    assert {(line['split'], line['rule']) for line in lines} == {
        (split, rule) for split in ('val', 'testA', 'testB')
        for rule in ('greedy', 'confidence', 'greedy-top-n', 'ref-nms-b')}
    for line in lines:
        key = line['split'], line['rule']
        assert line['on_val']['proposals'] == pytest.approx(value[*key, 'mean_proposals'])
        assert line['on_val']['referent'] == pytest.approx(value[*key, 'referent_recall'])
        assert line['on_val']['context'] == pytest.approx(value[*key, 'context_recall'])
        number = value[line['split'], 'greedy', 'mean_proposals']
        if line['rule'] == 'greedy':
            assert line['own'] == line['on_val']
        elif line['rule'] == 'greedy-top-n':
            assert abs(line['own']['proposals'] - number) <= 0.5
        else:
            assert number - 0.5 <= line['own']['proposals'] <= number
    assert "with one for greedy's number here" in capsys.readouterr().out
    assert 'mini-refcoco testB: with the threshold chosen on val' in (out / 'fair.md').read_text()


def test_at_equal_number_needs_greedy() -> None:
    with pytest.raises(InputError, match='--at-equal-number: is the number of greedy, which does not compete'):
        main(['fair', '--proposals', 'confidence', '--at-equal-number'])
