"""Each answer is in exactly one bin, in the order of the way."""
from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from reports.commands.failures import main
from reports.failure_bins import BINS, NAMES
from reports.failures import bins
from reports.rows.prediction_rows import CHOSEN, read_predictions
from tests.prediction_files import lost, row, write

WRONG = {'iou': 0.2, 'mask_intersection': 0}
UNKNOWN_PROPOSALS = {'best_proposal_iou': None, 'best_candidate_iou': None, 'n_proposals': None, 'context_hits': None}
PLAIN = {'n_same_category': None, 'gt_label': None, **dict.fromkeys(CHOSEN)}


def bin_of(tmp_path: Path, *, mask_at: float = 0.5, **changed: object) -> str:
    frame = read_predictions([write(tmp_path / 'p.jsonl', [row(**changed)])])
    return NAMES[bins(frame, mask_at)[0]]


@pytest.mark.parametrize('changed, expected', [
    ({}, 'right'),
    ({**WRONG, 'best_candidate_iou': 0.5, 'best_proposal_iou': 0.5}, 'no_candidate'),
    ({**WRONG, 'best_candidate_iou': 0.51, 'best_proposal_iou': 0.5}, 'suppressed'),
    ({**WRONG, 'best_proposal_iou': 0.0, 'box': None, 'chosen_ann_id': None}, 'suppressed'),
    ({**WRONG, 'chosen_ann_id': 9, 'chosen_gt_label': 'cup'}, 'other_instance'),
    ({**WRONG, 'chosen_ann_id': 9, 'chosen_gt_label': 'bowl'}, 'other_category'),
    ({**WRONG, 'chosen_ann_id': None, 'chosen_gt_label': None, 'chosen_gt_iou': None}, 'other_category'),
    ({**WRONG, 'chosen_ann_id': 4}, 'box_below'),
    ({'mask_intersection': 49}, 'mask_below'),
    ({'mask_intersection': 50}, 'right'),
    ({'mask_intersection': 0, 'mask_union': 0}, 'mask_below'),
    ({'mask_intersection': None, 'mask_union': None}, 'right'),
    ({'iou': 0.5, 'best_proposal_iou': 0.5}, 'right'),
    ({**WRONG, 'best_candidate_iou': None, 'best_proposal_iou': 0.3}, 'not_proposed'),
    ({**WRONG, **PLAIN}, 'chosen_wrong'),
    ({**WRONG, **PLAIN, 'best_proposal_iou': 0.3}, 'suppressed'),
    ({**WRONG, **UNKNOWN_PROPOSALS, 'chosen_ann_id': 9}, 'other_instance'),
])
def test_the_first_bin_that_holds(tmp_path: Path, changed: dict, expected: str) -> None:
    assert bin_of(tmp_path, **changed) == expected


def test_a_stricter_mask_is_asked_for(tmp_path: Path) -> None:
    assert bin_of(tmp_path, mask_intersection=69, mask_at=0.7) == 'mask_below'
    assert bin_of(tmp_path, mask_intersection=70, mask_at=0.7) == 'right'


SHARE = st.none() | st.sampled_from([0.0, 0.4, 0.5, 0.6, 1.0])


@settings(max_examples=20, deadline=None)
@given(iou=SHARE, best=SHARE, candidate=SHARE, chosen=st.sampled_from([None, 4, 9]),
       label=st.sampled_from(['cup', 'bowl', None]), same=st.sampled_from([None, 2]),
       masks=st.sampled_from([None, 10, 90]))
def test_right_is_right_for_boxes_and_masks_and_the_rest_is_wrong(
        tmp_path_factory: pytest.TempPathFactory, iou: float | None, best: float | None, candidate: float | None,
        chosen: int | None, label: str | None, same: int | None, masks: int | None) -> None:
    name = bin_of(tmp_path_factory.mktemp('rows'), iou=iou, best_proposal_iou=best, best_candidate_iou=candidate,
                  chosen_ann_id=chosen, chosen_gt_label=label, n_same_category=same, mask_intersection=masks,
                  mask_union=masks and 100)
    box_wrong, mask_wrong = iou is not None and iou < 0.5, masks == 10
    assert (name == 'right') == (not box_wrong and not mask_wrong)
    assert (name == 'mask_below') == (not box_wrong and mask_wrong)
    if name in ('no_candidate', 'suppressed', 'not_proposed'):
        assert best is not None and best <= 0.5
    if name == 'chosen_wrong':
        assert same is None


def rules(tmp_path: Path) -> Path:
    """Four expressions with two rules: the second rule finds two of three that the first suppressed, one in vain."""
    found = {'sent_id': 1}, {'sent_id': 2, **WRONG, 'chosen_ann_id': 9}, {'sent_id': 3}
    rows = [row(sent_id=0), *(lost(sent_id=i) for i in (1, 2, 3)), row(sent_id=0, proposals='ref-nms-b'),
            row(proposals='ref-nms-b', **found[0]), row(proposals='ref-nms-b', **found[1]),
            lost(sent_id=3, proposals='ref-nms-b'), row(sent_id=0, proposals='greedy-100', grounder='-', iou=None,
                                                        box=None, mask_intersection=None, mask_union=None)]
    return write(tmp_path / 'predictions.jsonl', rows)


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main([*map(str, arguments), '--format', 'json']) == 0
    return json.loads(capsys.readouterr().out)


def test_counts_by_rule_and_grounder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {(r['proposals'], r['bin']): r['expressions'] for r in printed(capsys, rules(tmp_path))['rows']}
    assert len(found) == 2 * len(BINS), 'proposals without a grounder chose nothing wrongly'
    assert {key: n for key, n in found.items() if n} == {
        ('greedy', 'right'): 1, ('greedy', 'suppressed'): 3,
        ('ref-nms-b', 'right'): 2, ('ref-nms-b', 'other_instance'): 1, ('ref-nms-b', 'suppressed'): 1}


def test_where_the_gain_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed(capsys, rules(tmp_path), '--from', 'greedy', '--to', 'ref-nms-b')['rows']
    assert sum(r['expressions'] for r in rows) == 4
    assert {(r['from'], r['to']): r['expressions'] for r in rows if r['expressions']} == {
        ('right', 'right'): 1, ('suppressed', 'right'): 1, ('suppressed', 'other_instance'): 1,
        ('suppressed', 'suppressed'): 1}
    main([str(tmp_path), '--from', 'greedy', '--to', 'ref-nms-b'])
    text = capsys.readouterr().out
    assert '**cmae: from greedy (down) to ref-nms-b (across)**' in text and 'all with ref-nms-b' in text


def test_a_table_shows_the_bins_that_have_something(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(rules(tmp_path))])
    head = capsys.readouterr().out.splitlines()[2]
    assert [cell.strip() for cell in head.strip('|').split('|')] == [
        'dataset', 'grounder', 'proposals', 'right', 'suppressed or thresholded out',
        'another instance of the same category', 'all']


@pytest.mark.parametrize('changed, said', [
    ({'best_candidate_iou': None}, '"not proposed" is the first two bins together'),
    (PLAIN, "the image's objects are not annotated"),
    (UNKNOWN_PROPOSALS, 'the proposals are not known'),
    ({'mask_intersection': None, 'mask_union': None}, 'only boxes are judged'),
])
def test_what_cannot_be_told_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict,
                                     said: str) -> None:
    (only,) = [n for n in printed(capsys, write(tmp_path / 'p.jsonl', [row(**changed)]))['notes'][1:]]
    assert said in only


def test_rows_of_an_earlier_version_merge_three_bins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = {key: value for key, value in row(**WRONG).items() if key not in CHOSEN}
    found = printed(capsys, write(tmp_path / 'p.jsonl', [old]))
    assert [r['bin'] for r in found['rows'] if r['expressions']] == ['chosen_wrong']
    assert 'of a version without' in found['notes'][1]


@pytest.mark.parametrize('name', ['bars.png', 'bars.svg'])
def test_the_picture_has_a_bar_a_rule_and_its_bins(tmp_path: Path, name: str) -> None:
    main([str(rules(tmp_path)), '--plot', str(tmp_path / name)])
    first = (tmp_path / name).read_bytes()
    main([str(rules(tmp_path)), '--plot', str(tmp_path / name)])
    assert first and (tmp_path / name).read_bytes() == first, 'the same bytes every time'
    if name.endswith('.png'):
        import cv2
        picture = cv2.imread(str(tmp_path / name)).reshape(-1, 3)[:, ::-1]
        for b in BINS:
            seen = (np.abs(picture - np.array([int(b.color[i:i + 2], 16) for i in (1, 3, 5)])).max(1) < 3).sum()
            assert (seen > 500) == (b.name in ('suppressed', 'other_instance')), b.name


def refused(*arguments: object) -> str:
    with pytest.raises(InputError) as error:
        main([*map(str, arguments)])
    return str(error.value)


def test_what_makes_no_sense_is_refused_in_one_line(tmp_path: Path) -> None:
    file = rules(tmp_path)
    assert 'give both' in refused(file, '--from', 'greedy')
    assert '--to ref-nms: unknown, did you mean ref-nms-b?' in refused(file, '--from', 'greedy', '--to', 'ref-nms')
    assert '--grounder mattnet: unknown' in refused(file, '--grounder', 'mattnet')
    assert 'name it .png or .svg' in refused(file, '--plot', tmp_path / 'bars.xyz')
    assert 'cannot be written' in refused(file, '--plot', tmp_path / 'nowhere' / 'bars.png')
    assert 'give a number from 0 to 1' in refused(file, '--mask-iou', '50')
    assert '--mask-iou' in refused(file, '--mask-iou', 'half')
    boxes = write(tmp_path / 'boxes.jsonl', [row(mask_intersection=None, mask_union=None)])
    assert 'has no masks of what was asked for' in refused(boxes, '--mask-iou', '0.7')
    only_proposals = write(tmp_path / 'p.jsonl', [row(grounder='-', iou=None, box=None)])
    assert 'no grounder answered' in refused(only_proposals)
    apart = write(tmp_path / 'apart.jsonl', [row(), row(proposals='other', grounder='mattnet')])
    assert 'no grounder answered with both rules' in refused(apart, '--from', 'greedy', '--to', 'other')


def test_the_expressions_of_a_bin_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = rules(tmp_path)
    found = printed(capsys, folder, '--list', 'suppressed,other_instance')['rows']
    assert [(r['bin'], r['proposals'], r['sent_id']) for r in found] == [
        ('suppressed', 'greedy', 1), ('suppressed', 'greedy', 2), ('suppressed', 'greedy', 3),
        ('suppressed', 'ref-nms-b', 3), ('other_instance', 'ref-nms-b', 2)]
    assert {key: found[0][key] for key in ('dataset', 'split', 'grounder', 'image_id', 'sent')} == {
        'dataset': 'mini-refcoco', 'split': 'val', 'grounder': 'cmae', 'image_id': 7, 'sent': 'left cup'}
    main([str(folder), '--list', 'suppressed'])
    text = capsys.readouterr().out
    assert '**suppressed or thresholded out: cmae on greedy, mini-refcoco val (3)**' in text
    assert re.search(r'\| +1 \| +7 \| left cup', text)


def test_a_bin_that_holds_nothing_is_said_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = rules(tmp_path)
    assert printed(capsys, folder, '--list', 'mask_below')['rows'] == []
    for form in ('markdown', 'csv', 'latex', 'terminal'):
        assert main([str(folder), '--list', 'mask_below', '--format', form]) == 0
        assert ('No expression is in mask_below.' in capsys.readouterr().out) == (form != 'csv')
    assert '--list supressed: unknown, did you mean suppressed?' in refused(folder, '--list', 'supressed')
    assert 'leave one out' in refused(folder, '--list', 'right', '--from', 'greedy', '--to', 'ref-nms-b')
