"""Two runs or rules, paired by expression."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.errors import InputError
from reports.commands.compare import main
from reports.compare import compare, groups, pair_up
from reports.rows.prediction_rows import read_predictions
from tests.prediction_files import lost, row, write


def run(folder: Path, ious: Sequence[float], rule: str = 'greedy', **changed: object) -> Path:
    """A run that answers expressions 0, 1, … with these IoUs, an image each."""
    write(folder / 'predictions.jsonl', [row(sent_id=i, image_id=i, iou=iou, proposals=rule, **changed)
                                         for i, iou in enumerate(ious)])
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict]:
    """The rows of the command's JSON."""
    assert main([*map(str, arguments), '--format', 'json']) == 0
    return json.loads(capsys.readouterr().out)['rows']


def test_values_difference_wins_losses_and_ties(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = run(tmp_path / 'a', [1, 1, 0.2, 0.2, 0.2] * 10)
    b = run(tmp_path / 'b', [1, 0.2, 1, 1, 0.2] * 10)
    (found,) = printed(capsys, a, b, '--metric', 'accuracy', '--no-groups')
    assert (found['a'], found['b'], found['difference']) == (40, 60, 20)
    assert (found['expressions'], found['images']) == (50, 50)
    assert (found['wins'], found['losses'], found['ties']) == (20, 10, 20)
    assert found['low'] <= 0 <= 20 <= found['high'] and found['verdict'] == 'too wide to tell'
    assert found['p'] == pytest.approx(0.0987, abs=1e-4), 'McNemar: 10 against 20'


def test_swapping_turns_everything_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = run(tmp_path / 'a', [1] * 30 + [0.1] * 10), run(tmp_path / 'b', [1] * 12 + [0.1] * 28)
    (one,) = printed(capsys, a, b, '--metric', 'accuracy', '--no-groups')
    (other,) = printed(capsys, b, a, '--metric', 'accuracy', '--no-groups')
    assert (one['a'], one['wins'], one['difference']) == (other['b'], other['losses'], -other['difference'])
    assert (one['low'], one['high'], one['p']) == pytest.approx((-other['high'], -other['low'], other['p']))
    assert one['verdict'] == 'A higher' and other['verdict'] == 'B higher'


def test_overall_iou_compares_sums_of_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = [(10, 10), (0, 90)]
    for name, factor in (('a', 0.5), ('b', 1)):
        write(tmp_path / name, [row(sent_id=i, image_id=i, mask_intersection=int(intersection * factor),
                                    mask_union=union) for i, (intersection, union) in enumerate(masks)])
    (found,) = printed(capsys, tmp_path / 'a', tmp_path / 'b', '--metric', 'overall_iou', '--no-groups')
    assert (found['a'], found['b'], found['wins'], found['ties']) == (5, 10, 1, 1)
    assert found['verdict'] == 'too few images'


def test_two_rules_of_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [r for i in range(4) for r in (lost(sent_id=i), row(sent_id=i, proposals='ref-nms-b'),
                                          row(sent_id=i, proposals='ref-nms-b', grounder='mattnet'))]
    file = write(tmp_path / 'p.jsonl', rows)
    found = {r['metric']: r for r in printed(capsys, f'{file}:greedy', ':ref-nms-b', '--no-groups')}
    assert set(found) == {'referent_recall', 'accuracy', 'overall_iou'}
    assert found['referent_recall']['grounder_a'] == '-' and found['accuracy']['grounder_b'] == 'cmae'
    assert (found['referent_recall']['a'], found['referent_recall']['b']) == (0, 100)
    assert (found['referent_recall']['low'], found['referent_recall']['images']) == (None, 1)
    (other,) = printed(capsys, f'{file}:greedy:cmae', ':ref-nms-b:mattnet', '--metric', 'accuracy', '--no-groups')
    assert (other['grounder_a'], other['grounder_b'], other['wins']) == ('cmae', 'mattnet', 4)


def test_what_both_have_is_compared_rule_by_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, rules in (('a', ['x', 'y', 'z']), ('b', ['z', 'y'])):
        write(tmp_path / name, [row(proposals=rule) for rule in rules])
    found = printed(capsys, tmp_path / 'a', tmp_path / 'b', '--metric', 'accuracy', '--no-groups')
    assert [(r['proposals_a'], r['proposals_b']) for r in found] == [('y', 'y'), ('z', 'z')]
    found = printed(capsys, tmp_path / 'a', tmp_path / 'b', '--metric', 'accuracy', '--no-groups', '--proposals', 'z')
    assert [r['proposals_a'] for r in found] == ['z']


def test_a_path_may_have_colons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = run(tmp_path / 'at:12:30', [1])
    assert printed(capsys, f'{a}:greedy', f'{a}:greedy:cmae', '--metric', 'accuracy', '--no-groups')[0]['ties'] == 1
    assert printed(capsys, a, '', '--metric', 'accuracy', '--no-groups')[0]['ties'] == 1


def labels(tmp_path: Path, *rows: dict) -> dict[str, dict[str, list[int]]]:
    """Grouping, group and the ``sent_id`` in it."""
    frame = read_predictions([write(tmp_path / 'p.jsonl', rows)])
    found: dict[str, dict[str, list[int]]] = {}
    for grouping, group, mask in groups(frame):
        found.setdefault(grouping, {})[group] = frame['sent_id'][mask].tolist()
    return found


def test_groups_by_what_is_said_and_what_is_meant(tmp_path: Path) -> None:
    found = labels(
        tmp_path, row(sent_id=1, sent='cup', n_same_category=1, gt_box=[0, 0, 31, 33], split='val'),
        row(sent_id=2, sent='cup, left!', n_same_category=2, gt_box=[0, 0, 32, 32], split='testB'),
        row(sent_id=3, sent='the red cup', n_same_category=3, gt_box=[0, 0, 96, 95], split='val'),
        row(sent_id=4, sent='the leftover cup there', n_same_category=4, gt_box=[0, 0, 96, 96]),
        row(sent_id=5, sent='a b c d e', n_same_category=9), row(sent_id=6, sent='a b c d e f g', n_same_category=None),
        row(sent_id=7, sent='a b c d e f g h', dataset='other'))
    assert found['all'] == {'all': [1, 2, 3, 4, 5, 6, 7]}
    assert found['split'] == {'mini-refcoco val': [1, 3, 4, 5, 6], 'mini-refcoco testB': [2], 'other val': [7]}
    assert found['words'] == {'1 word': [1], '2 words': [2], '3–4 words': [3, 4], '5–7 words': [5, 6], '8+ words': [7]}
    assert found['size'] == {'small, under 32²': [1, 5, 6, 7], 'medium, under 96²': [2, 3], 'large': [4]}
    assert found['same category'] == {'1 of its category': [1], '2': [2, 7], '3': [3], '4 or more': [4, 5]}
    assert found['location word'] == {'with a location word': [2], 'without': [1, 3, 4, 5, 6, 7]}


def test_groups_add_up_and_small_ones_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sents = [{'sent': 'cup' if i < 45 else 'the left cup'} for i in range(60)]
    files = [write(tmp_path / name, [row(sent_id=i, image_id=i, iou=iou(i), **sents[i]) for i in range(60)])
             for name, iou in (('a', lambda i: 0.2), ('b', lambda i: 1.0))]
    found = {r['group']: r for r in printed(capsys, *files, '--metric', 'accuracy')
             if r['grouping'] in ('all', 'words')}
    assert {g: r['expressions'] for g, r in found.items()} == {'all': 60, '1 word': 45, '3–4 words': 15}
    assert {g: r['verdict'] for g, r in found.items()} == {'all': 'B higher', '1 word': 'B higher',
                                                          '3–4 words': 'too few images'}


def test_a_wide_interval_that_holds_zero_tells_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = (read_predictions([run(tmp_path / name, rng.integers(0, 2, 40).tolist())]) for name in 'ab')
    (found,) = compare('accuracy', pair_up(a, b), by_group=False)
    assert found.low < 0 < found.high and found.high - found.low > 10 and found.verdict == 'too wide to tell'


def test_what_has_no_twin_is_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = run(tmp_path / 'a', [1] * 9), run(tmp_path / 'b', [1, 1])
    main([str(a), str(b), '--metric', 'accuracy'])
    text = capsys.readouterr().out
    assert '7 expressions are only in A and left out: mini-refcoco 2, mini-refcoco 3,' in text and ', ….' in text
    assert 'only in B' not in text


def test_the_order_of_rows_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(sent_id=i, image_id=i // 3, iou=i % 5 / 5) for i in range(30)]
    a = write(tmp_path / 'a', [row(sent_id=i, image_id=i // 3, iou=i % 4 / 4) for i in range(30)])
    one, other = write(tmp_path / 'b', rows), write(tmp_path / 'c', rows[::-1])
    assert printed(capsys, a, one) == printed(capsys, a, other)


def test_a_metric_that_one_lacks_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = run(tmp_path / 'a', [1]), run(tmp_path / 'b', [1], mask_intersection=None, mask_union=None)
    main([str(a), str(b), '--no-groups'])
    text = capsys.readouterr().out
    assert '**accuracy: ' in text and 'Not measured in both: overall_iou.' in text


@pytest.mark.parametrize('form', ['md', 'csv'])
def test_names_do_not_break_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    a = run(tmp_path / 'a', [1, 1], 'a|b', split='x|y')
    assert main([str(a), str(a), '--metric', 'accuracy', '--format', form]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if 'mini-refcoco x' in line]
    bar, bars = ('|', 14) if form == 'md' else (',', 18)
    assert line.replace('\\|', '').count(bar) == bars


def refused(*arguments: object) -> str:
    with pytest.raises(InputError) as error:
        main([*map(str, arguments)])
    assert '\n' not in str(error.value)
    return str(error.value)


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path: Path) -> None:
    a, b = run(tmp_path / 'a', [1, 1]), run(tmp_path / 'b', [1, 1], 'ref-nms-b')
    c = write(tmp_path / 'c', [row(sent_id=99)])
    other_box = run(tmp_path / 'd', [1, 1], gt_box=[10, 10, 20, 21])
    other_words = run(tmp_path / 'e', [1, 1], sent='right cup')
    assert 'no expression in common' in refused(a, c)
    assert 'nothing in common to compare' in refused(a, b)
    assert 'sent_id 0 of mini-refcoco is another expression in each (gt_h differs)' in refused(a, other_box)
    assert '(sent differs)' in refused(a, other_words)
    assert 'greedy-100: unknown, did you mean greedy?' in refused(f'{a}:greedy-100', b)
    assert ':mattnet: grounder mattnet: unknown' in refused(f'{a}:greedy:mattnet', b)
    assert 'there is no such file' in refused(tmp_path / 'missing', a)
    assert '--metric acuracy: unknown, did you mean accuracy' in refused(a, a, '--metric', 'acuracy')
    assert '--split train: unknown' in refused(a, a, '--split', 'train')
    assert '--grounder nmtree: unknown' in refused(a, a, '--grounder', 'nmtree')
    assert 'begin with a path' in refused(':greedy', a)
    assert '--proposals: A or B names one already' in refused(f'{a}:greedy', ':greedy', '--proposals', 'greedy')
    assert '--grounder: A or B names one already' in refused(f'{a}:greedy:cmae', a, '--grounder', 'cmae')
    recall = ('--metric', 'referent_recall')
    assert '--grounder: has no effect on referent_recall' in refused(a, a, *recall, '--grounder', 'cmae')


def test_the_help_says_how_to_name_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(['--help'])
    assert 'PATH[:RULE[:GROUNDER]]' in capsys.readouterr().out
