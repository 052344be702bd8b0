"""Where the points are: losses add up to what is missing; what mending one step brings can be worked out by hand."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from reports.commands.headroom import main
from reports.headroom import STEPS, Waterfall, waterfalls
from reports.rows.prediction_rows import read_predictions
from tests.prediction_files import lost, row, write

#: One answer of each kind.
RIGHT = {}
NO_CANDIDATE = {'best_candidate_iou': 0.4, 'best_proposal_iou': 0.3}
BY_RULE = {'best_candidate_iou': 0.8, 'best_proposal_iou': 0.3}
NOT_CHOSEN = {'best_candidate_iou': 0.8, 'best_proposal_iou': 0.8}
BOX = {**NOT_CHOSEN, 'chosen_ann_id': 4, 'chosen_gt_label': 'cup'}
MASK = {'mask_intersection': 10}


def answers(*kinds: dict) -> list[dict]:
    """An answer an expression, each on an image of its own."""
    return [(row if kind in (RIGHT, MASK) else lost)(**kind, sent_id=i, image_id=i) for i, kind in enumerate(kinds)]


def waterfall(path: Path, *kinds: dict) -> Waterfall:
    (found,) = waterfalls(read_predictions([write(path / 'p.jsonl', answers(*kinds))]))
    return found


def test_every_step_by_hand(tmp_path: Path) -> None:
    found = waterfall(tmp_path, *[RIGHT] * 3, NO_CANDIDATE, BY_RULE, *[NOT_CHOSEN] * 3, BOX, MASK)
    assert found.right.estimate == 30
    assert [(loss.step.name, loss.points.estimate, loss.left) for loss in found.losses] == [
        ('no_candidate', 10, 90), ('lost_by_the_rule', 10, 80), ('not_chosen', 30, pytest.approx(50)),
        ('box_below', 10, pytest.approx(40)), ('mask_below', 10, pytest.approx(30))]
    assert [loss.at_best.estimate for loss in found.losses] == [40, 40, 60, 40, 40]
    # Of 10 expressions 9, 8, 5, 4 and 3 pass: each step's rate is left out of 0.9 · 8/9 · 5/8 · 4/5 · 3/4.
    assert [loss.onward.estimate for loss in found.losses] == pytest.approx(
        [100 * 0.3 / rate for rate in (9 / 10, 8 / 9, 5 / 8, 4 / 5, 3 / 4)])


def test_nothing_lost(tmp_path: Path) -> None:
    found = waterfall(tmp_path, RIGHT, RIGHT)
    assert (found.right.estimate, found.losses) == (100, [])


def test_everything_lost_at_one_step_says_nothing_of_how_others_go_on(tmp_path: Path) -> None:
    (loss,) = waterfall(tmp_path, NO_CANDIDATE, NO_CANDIDATE).losses
    assert loss.at_best.estimate == 100 and np.isnan(loss.onward.estimate)


@settings(max_examples=40, deadline=None)
@given(kinds=st.lists(st.sampled_from([RIGHT, NO_CANDIDATE, BY_RULE, NOT_CHOSEN, BOX, MASK]), min_size=1, max_size=12))
def test_losses_add_up_and_mending_never_costs(tmp_path_factory: pytest.TempPathFactory, kinds: list[dict]) -> None:
    found = waterfall(tmp_path_factory.mktemp('rows'), *kinds)
    assert found.right.estimate + sum(loss.points.estimate for loss in found.losses) == pytest.approx(100)
    for loss in found.losses:
        assert loss.at_best.estimate >= found.right.estimate - 1e-9
        if found.right.estimate > 0:
            assert found.right.estimate - 1e-9 <= loss.onward.estimate <= loss.at_best.estimate + 1e-9
        if len(kinds) > 1:
            assert loss.points.low <= loss.points.estimate <= loss.points.high


def test_without_candidates_the_first_two_steps_are_one(tmp_path: Path) -> None:
    found = waterfall(tmp_path, RIGHT, {**BY_RULE, 'best_candidate_iou': None})
    assert [loss.step.name for loss in found.losses] == ['not_proposed']


def test_the_steps_have_every_bin_of_failures_once() -> None:
    from reports.failure_bins import WRONG
    names = [name for step in STEPS for name in step.bins]
    assert sorted([*names, 'label_faulty']) == sorted(b.name for b in WRONG)


def test_answers_from_outside_beside_candidates(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    outside = {'best_proposal_iou': None, 'n_proposals': None, 'context_hits': None}
    rows = [row(**outside, sent_id=1, image_id=1), row(**outside, best_candidate_iou=0.5, sent_id=2, image_id=2),
            lost(**{**outside, 'best_candidate_iou': 0.6}, sent_id=3, image_id=3),
            lost(**{**outside, 'best_candidate_iou': 0.1}, sent_id=4, image_id=4)]
    assert main([str(write(tmp_path / 'p.jsonl', rows)), '--format', 'json']) == 0
    shares = {r['answer']: r['share'] for r in json.loads(capsys.readouterr().out)['rows'] if 'answer' in r}
    assert len(shares) == 4 and set(shares.values()) == {25.0}


def test_answers_from_outside_alone_say_nothing_of_steps(tmp_path: Path) -> None:
    rows = [row(best_proposal_iou=None, best_candidate_iou=None, n_proposals=None, context_hits=None)]
    with pytest.raises(InputError, match='judge them with --candidates FILE'):
        main([str(write(tmp_path / 'p.jsonl', rows))])


@pytest.mark.parametrize('form', ['markdown', 'latex', 'csv', 'json', 'terminal'])
def test_the_command_prints_every_format(tmp_path: Path, form: str, capsys: pytest.CaptureFixture) -> None:
    file = write(tmp_path / 'p.jsonl', answers(RIGHT, NO_CANDIDATE, BY_RULE))
    assert main([str(file), '--format', form]) == 0
    assert 'no candidate' in capsys.readouterr().out


def test_by_split_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [*answers(RIGHT, BOX), *({**one, 'split': 'testA', 'sent_id': 9} for one in answers(BY_RULE))]
    file = write(tmp_path / 'p.jsonl', rows)
    assert main([str(file), '--by-split', '--plot', str(tmp_path / 'p.png')]) == 0
    out = capsys.readouterr().out
    assert 'mini-refcoco · val · cmae · greedy' in out and 'mini-refcoco · testA · cmae · greedy' in out
    assert (tmp_path / 'p.png').read_bytes().startswith(b'\x89PNG')
    with pytest.raises(InputError, match='name it .png or .svg'):
        main([str(file), '--plot', str(tmp_path / 'p.xyz')])


def test_a_run_without_a_grounder_is_refused(tmp_path: Path) -> None:
    rows = [row(grounder='-', box=None, iou=None, mask_intersection=None, mask_union=None, chosen_ann_id=None,
                chosen_gt_label=None, chosen_gt_iou=None)]
    with pytest.raises(InputError, match='no grounder answered here'):
        main([str(write(tmp_path / 'p.jsonl', rows))])


def test_the_page_has_a_waterfall_for_each_grounder_and_rule(tmp_path: Path) -> None:
    from reports.html.report import html_report
    from tests.html_run import write_run

    html = html_report([write_run(tmp_path / 'run')]).html
    figures = json.loads(html.partition('id="figures">')[2].partition('</script>')[0])
    assert [(one['dataset'], one['grounder'], one['rule']) for one in figures['headroom']] == [
        ('mini-refcoco', 'cmae', 'greedy'), ('mini-refcoco', 'cmae', 'ref-nms-b')]
    for one in figures['headroom']:
        assert sum(step['points'] for step in one['steps']) == pytest.approx(100, abs=0.01)
        assert {step['title'] for step in one['steps']} <= set(figures['headroomSteps'])
    assert 'id="headroom-plot"' in html
