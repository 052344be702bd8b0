"""The command line on small files: what it prints, what it writes, and what it refuses in one line."""
from __future__ import annotations

import contextlib
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import harness.device
from harness.errors import InputError
from harness.evaluation.asked import TABLE_1
from harness.evaluation.settings import parse_setting, parse_weight
from harness.registry import GROUNDERS
from reports.rows.results_files import read_runs
from run_benchmark import COMMANDS, command_line

ROW = {'dataset': 'refcoco', 'split': 'val', 'image_id': 7, 'height': 100, 'width': 200, 'bbox': [10, 10, 40, 40],
       'sent': 'left cup'}


def write_rows(path: Path, *rows: dict) -> Path:
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return path


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def expressions(tmp_path: Path) -> Path:
    return write_rows(tmp_path / 'e.jsonl', ROW, {**ROW, 'sent': 'cup'}, {**ROW, 'image_id': 8}, {**ROW, 'image_id': 9})


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    path = tmp_path / 'c.json'
    path.write_text(json.dumps({'7': [[10, 10, 40, 40, 0.2], [150, 50, 60, 20, 0.9]], '8': []}))
    return path


def outside(expressions: Path, candidates: Path, out: Path) -> list[str]:
    return ['--expressions', str(expressions), '--candidates', str(candidates), '--task', 'recall', '--out', str(out)]


def test_recall_of_boxes_from_outside(expressions: Path, candidates: Path, tmp_path: Path,
                                      capsys: pytest.CaptureFixture) -> None:
    assert command_line(outside(expressions, candidates, tmp_path / 'out')) == 0
    printed = capsys.readouterr().out
    # Two sentences on image 7 hit, the one on image 8 has no box and misses, image 9 is not in the file.
    results = json.loads((tmp_path / 'out/results.json').read_text())
    records = {r['metric']: (r['value'], r['n']) for r in results['records']}
    assert records == {'referent_recall': (pytest.approx(200 / 3), 3), 'mean_proposals': (pytest.approx(4 / 3), 3)}
    assert '66.67' in printed
    assert '1 of 4 expressions are left out' in printed
    assert '1 candidates reach outside their image' in printed
    rows = read_rows(tmp_path / 'out/predictions.jsonl')
    assert [r['best_proposal_iou'] for r in rows] == [1.0, 1.0, 0.0]
    assert [r['sent_id'] for r in rows] == [1, 2, 3], 'a row without an id has its line number'
    assert rows[0]['iou'] is None and rows[0]['n_context'] is None, 'null where not available'
    boxes = read_rows(tmp_path / 'out/proposals.jsonl')[0]['boxes']
    assert boxes == [[150, 50, 60, 20], [10, 10, 40, 40]], 'best first, never clipped'


def test_an_earlier_run_in_the_same_folder_is_gone_on_with_or_by_fresh_moved_aside(
        expressions: Path, candidates: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert command_line(outside(expressions, candidates, tmp_path / 'out')) == 0
    assert not (tmp_path / 'out.1').exists()
    assert command_line([*outside(expressions, candidates, tmp_path / 'out'), '--fresh']) == 0
    assert (tmp_path / 'out/results.json').exists() and (tmp_path / 'out.1/results.json').exists()


def test_list_names_every_kind_of_plugin(capsys: pytest.CaptureFixture) -> None:
    assert command_line(['--list']) == 0
    printed = capsys.readouterr().out
    for name in ('mini-refcoco+', 'refcocog', 'cmae', 'ref-nms-b', 'ground-truth', 'context_recall', 'pr@0.5'):
        assert name in printed


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--grounder', 'cmea'], 'did you mean cmae?'),
    (['--dataset', 'mini-refcoc'], 'did you mean mini-refcoco'),
    (['--split', 'testC'], '--split testC: unknown'),
    (['--task', 'rex'], '--task rex: unknown'),
    (['--proposals', 'gredy'], 'did you mean greedy?'),
    (['--proposals', 'given'], 'add --candidates'),
    (['--grounder', 'none', '--task', 'rec'], 'need a grounder'),
    (['--limit', '0'], '--limit 0'),
    (['--limit', 'few'], '--limit'),
    (['--grouder', 'cmae'], 'did you mean --grounder?'),
    (['--device', 'tpu'], '--device tpu'),
    (['--set', 'greedy'], '--set greedy: write NAME.OPTION=VALUE'),
    (['--set', 'greedy.treshold=1'], 'did you mean threshold?'),
    (['--set', 'gredy.threshold=1'], 'did you mean greedy?'),
    (['--weights', 'cmae'], '--weights cmae: write NAME=FILE'),
    (['--weights', 'detector=none.safetensors'], 'none.safetensors: there is no such weight file'),
    (['--images', 'somewhere'], 'add --expressions'),
    (['--expressions', 'none.jsonl'], 'none.jsonl'),
    (['--dataset', 'refcoco'], '--data-root'),
    (['--dataset', 'refcoco', '--data-root', 'nowhere'], 'nowhere'),
    (['--vectors', 'none.txt'], 'none.txt'),
])
def test_what_is_refused_is_refused_in_one_line(arguments: list[str], said: str, small_benchmark: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture) -> None:
    assert command_line([*arguments, '--out', str(tmp_path / 'out')]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('error: ') and said in error
    assert not (tmp_path / 'out').exists(), 'nothing is written'


@pytest.mark.parametrize(('row', 'said'), [
    ({**ROW, 'bbox': [0, 0, -1, 5]}, 'bbox'), ({**ROW, 'bbox': [0, 0, float('nan'), 5]}, 'NaN'),
    ({k: v for k, v in ROW.items() if k != 'sent'}, 'sent'), ({**ROW, 'height': 'tall'}, 'height'),
    ({**ROW, 'sent_id': 1}, 'sent_id'),
])
def test_a_bad_row_is_named_by_its_line(row: dict, said: str, candidates: Path, tmp_path: Path,
                                        capsys: pytest.CaptureFixture) -> None:
    bad = write_rows(tmp_path / 'bad.jsonl', {**ROW, 'sent_id': 1}, row)
    assert command_line(outside(bad, candidates, tmp_path / 'out')) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'bad.jsonl' in error and said in error
    assert not (tmp_path / 'out').exists()


def test_a_truncated_gzip_is_refused(candidates: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    whole = gzip.compress(json.dumps(ROW).encode() * 100)
    (tmp_path / 'cut.jsonl.gz').write_bytes(whole[:len(whole) // 2])
    assert command_line(outside(tmp_path / 'cut.jsonl.gz', candidates, tmp_path / 'out')) == 2
    assert 'cut.jsonl.gz' in capsys.readouterr().err


def test_a_folder_with_other_files_is_not_touched(expressions: Path, candidates: Path, tmp_path: Path) -> None:
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/thesis.tex').write_text('years of work')
    assert command_line(outside(expressions, candidates, tmp_path / 'mine')) == 2
    assert [p.name for p in (tmp_path / 'mine').iterdir()] == ['thesis.tex']


def test_ctrl_c_keeps_the_rows_and_exits_with_130(expressions: Path, candidates: Path, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    import harness.evaluation.run
    evaluate, images = harness.evaluation.run.evaluate, iter('ab')

    def stop_at_the_second(*of: Any) -> Any:
        if next(images) == 'b':
            raise KeyboardInterrupt
        return evaluate(*of)
    monkeypatch.setattr(harness.evaluation.run, 'evaluate', stop_at_the_second)
    assert command_line(outside(expressions, candidates, tmp_path / 'out')) == 130
    assert len(read_rows(tmp_path / 'out/predictions.jsonl')) == 2, 'the first image\'s rows'


def test_the_whole_way_on_a_small_benchmark(small_benchmark: Path, tmp_path: Path,
                                            capsys: pytest.CaptureFixture) -> None:
    assert command_line(['--grounder', 'cmae', '--out', str(tmp_path / 'out')]) == 0
    assert 'REC accuracy' in capsys.readouterr().out
    results = json.loads((tmp_path / 'out/results.json').read_text())
    found = {(r['task'], r['metric'], r['grounder'], r['proposals']) for r in results['records']}
    for rule in ('greedy', 'ref-nms-b', 'ref-nms-r'):
        for task, metrics in (('rec', ('accuracy', 'accuracy_strict')), ('res', ('overall_iou', 'pr@0.5', 'pr@0.9'))):
            assert all((task, metric, 'cmae', rule) in found for metric in metrics)
    for rule in TABLE_1:
        for metric in ('referent_recall', 'context_recall', 'mean_proposals'):
            assert ('recall', metric, '-', rule) in found
    splits = {(r['dataset'], r['split']) for r in results['records']}
    assert splits >= {('mini-refcoco', 'testB'), ('mini-refcoco+', 'testA'), ('mini-refcocog', 'test')}
    assert set(results['run']['weights']) >= {'detector', 'cmae (mini-refcoco)', 'ref-nms-b (mini-refcocog)'}
    rows = read_rows(tmp_path / 'out/predictions.jsonl')
    keys = {(r['dataset'], r['sent_id'], r['proposals'], r['grounder']) for r in rows}
    assert len(keys) == len(rows), 'one row an expression, rule and grounder'
    grounded = [r for r in rows if r['grounder'] == 'cmae']
    assert all(r['n_proposals'] > 0 and r['box'] and r['mask_union'] > 0 and 0 <= r['iou'] <= 1 for r in grounded)
    assert len(read_rows(tmp_path / 'out/proposals.jsonl')) == len({k[:3] for k in keys})


def test_the_ground_truth_is_the_ceiling(small_benchmark: Path, tmp_path: Path) -> None:
    assert command_line(['--proposals', 'ground-truth', '--task', 'recall', '--out', str(tmp_path / 'out')]) == 0
    records = json.loads((tmp_path / 'out/results.json').read_text())['records']
    assert {r['value'] for r in records if r['metric'] in ('referent_recall', 'context_recall')} == {100.0}


def test_real_layout_counts_and_missing_images(small_benchmark: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture) -> None:
    """The same files under a real dataset's name: its published counts are checked, absent images are counted."""
    shutil.copytree(small_benchmark / 'mini-refcoco', tmp_path / 'refcoco')
    (tmp_path / 'images').mkdir()
    shutil.copytree(small_benchmark / 'images/train2014', tmp_path / 'images/train2014')
    lost = sorted((tmp_path / 'images/train2014').iterdir())
    lost[0].unlink()
    lost[1].write_bytes(b'no picture')
    arguments = ['--dataset', 'refcoco', '--data-root', str(tmp_path), '--split', 'val', '--proposals', 'greedy',
                 '--out', str(tmp_path / 'out')]
    assert command_line(arguments) == 0
    printed = capsys.readouterr().out
    assert '2 images that are not there or cannot be decoded' in printed
    assert 'refcoco' in printed and '10,834' in printed.replace('10834', '10,834'), 'the published count is named'


def plain_with_images(expressions: Path, images: Path) -> list[str]:
    return ['--expressions', str(expressions), '--images', str(images), '--proposals', 'greedy']


def test_a_run_of_which_nothing_comes_leaves_all_as_it_was(expressions: Path, candidates: Path, tmp_path: Path,
                                                           capsys: pytest.CaptureFixture) -> None:
    (tmp_path / 'images').mkdir()
    weights = ['--grounder', 'none', '--out', str(tmp_path / 'new/out')]
    arguments = [*plain_with_images(expressions, tmp_path / 'images'), *weights]
    assert command_line(arguments) == 2 and 'none of the 3 images can be used' in capsys.readouterr().err
    assert not (tmp_path / 'new').exists()
    assert command_line(outside(expressions, candidates, tmp_path / 'new/out')) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / 'new/out').iterdir()}
    assert command_line(arguments) == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / 'new/out').iterdir()} == before
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['out']


@pytest.mark.parametrize(('options', 'said'), [
    (['--task', 'res'], '--task res: refcoco has no masks of the referents; leave res out'),
    (['--proposals', 'ground-truth', '--task', 'recall'], 'ground-truth: refcoco has no annotated boxes'),
    (['--task', 'rec', '--grounder', 'none'], 'need a grounder'),
])
def test_what_cannot_be_met_is_refused_and_an_earlier_run_stays(
        options: list[str], said: str, expressions: Path, candidates: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture) -> None:
    assert command_line(outside(expressions, candidates, tmp_path / 'out')) == 0
    (tmp_path / 'images').mkdir()
    start = ['--expressions', str(expressions), '--images', str(tmp_path / 'images'), '--out', str(tmp_path / 'out')]
    assert command_line([*start, *options]) == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / 'out/results.json').exists() and not (tmp_path / 'out.1').exists()


def test_expressions_without_images_are_refused_before_the_run(expressions: Path, tmp_path: Path,
                                                               capsys: pytest.CaptureFixture) -> None:
    assert command_line(['--expressions', str(expressions), '--out', str(tmp_path / 'out')]) == 2
    assert 'does not say where its images are; add --images DIR' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_boxes_from_outside_are_for_recall_unless_more_is_asked_for(expressions: Path, candidates: Path,
                                                                    tmp_path: Path) -> None:
    asked = outside(expressions, candidates, tmp_path / 'out')
    asked.remove('--task'), asked.remove('recall')
    assert command_line(asked) == 0
    assert {r['task'] for r in json.loads((tmp_path / 'out/results.json').read_text())['records']} == {'recall'}


def test_reports_know_the_settings_of_a_run(small_benchmark: Path, tmp_path: Path) -> None:
    """They are recorded as a list: a check refuses another one, and every table says what a run was made with."""
    assert command_line(['--dataset', 'mini-refcoco', '--split', 'val', '--limit', '2', '--grounder', 'none', '--set',
                         'greedy.threshold=0.5', '--set', 'greedy.step=0.2', '--out', str(tmp_path / 'out')]) == 0
    (run,) = read_runs([tmp_path / 'out']).runs
    assert run.run.settings == ['greedy.threshold=0.5', 'greedy.step=0.2']
    written = json.loads((tmp_path / 'out/results.json').read_text())
    assert written['run']['options']['settings'] == ['greedy.threshold=0.5', 'greedy.step=0.2']
    written['run']['options']['settings'] = "['greedy.threshold=0.5']"  # as earlier versions wrote it
    (tmp_path / 'out/results.json').write_text(json.dumps(written))
    assert read_runs([tmp_path / 'out']).runs[0].run.settings == ['greedy.threshold=0.5']


def test_cmae_grounds_where_nobody_says_who_and_the_plan_says_so(small_benchmark: Path, tmp_path: Path,
                                                                 capsys: pytest.CaptureFixture) -> None:
    look = ['--dataset', 'mini-refcoco', '--split', 'val', '--limit', '2', '--fresh', '--out', str(tmp_path / 'out')]
    assert command_line(look) == 0
    assert ('2 expressions on 1 images: recall of greedy-100, ref-nms-b-100, ref-nms-r-100, greedy, ref-nms-b, '
            'ref-nms-r; REC and RES by cmae on greedy, ref-nms-b, ref-nms-r') in capsys.readouterr().err
    results = json.loads((tmp_path / 'out/results.json').read_text())
    assert {r['grounder'] for r in results['records']} == {'-', 'cmae'}
    assert results['run']['options']['device'] in ('cpu', 'cuda'), 'what was chosen'
    assert command_line([*look, '--grounder', 'none']) == 0
    assert f'images: recall of {", ".join(TABLE_1)}\n' in capsys.readouterr().err
    assert command_line([*look, '--proposals', 'ground-truth', '--task', 'rec']) == 0
    assert 'REC by cmae, chance, cmae-shuffled on ground-truth' in capsys.readouterr().err


def test_help_names_every_command_and_a_misspelt_one_is_known(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        command_line(['--help'])
    told = capsys.readouterr().out
    assert all(f'\n  {name} ' in told for name in COMMANDS)
    assert command_line(['trian']) == 2
    assert 'trian: there is no such command, did you mean train?' in capsys.readouterr().err


@pytest.mark.parametrize('command', [*COMMANDS, 'train ref-nms', 'study seeds', 'study fair', 'study number',
                                     'study gamma', '--list', ''])
def test_no_help_shows_the_marks_of_docstrings(command: str, capsys: pytest.CaptureFixture) -> None:
    with contextlib.suppress(SystemExit):
        command_line([*command.split(), *['--help'] * (command != '--list')])
    told = capsys.readouterr().out
    assert told and '``' not in told


def test_names_that_cannot_be_printed_are_refused_at_the_border(small_benchmark: Path, tmp_path: Path,
                                                                capsys: pytest.CaptureFixture) -> None:
    mine = tmp_path / 'mine.py'
    mine.write_text('from harness.registry import GROUNDERS\n@GROUNDERS.register_module(name="a\\nb")\nclass A: pass\n')
    try:
        assert command_line(['--import', str(mine), '--out', str(tmp_path / 'out')]) == 2
    finally:
        GROUNDERS.module_dict.pop('a\nb', None)
    assert 'a name that cannot be printed' in capsys.readouterr().err.splitlines()[-1]
    for name in ('a\nb', 'a\x00b', '\x1b[31m'):
        for option in ('--grounder', '--proposals', '--dataset', '--split', '--task', name):
            assert command_line([option, name, '--out', str(tmp_path / 'out')]) == 2
            error = capsys.readouterr().err.splitlines()
            assert error[-1].startswith('error: ') and error[-1].isprintable()
            assert all(line.startswith('loading') or 'reading' in line for line in error[:-1])
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('there', 'built', 'wanted', 'got'), [
    (False, '12.8', None, 'cpu'), (True, '12.8', None, 'cuda'), (True, 'not available', None, 'cpu'),
    (True, '12.8', 'cpu', 'cpu'), (True, '12.8', 'cuda:1', 'cuda:1')])
def test_the_device_is_a_gpu_where_there_is_one_of_use(there: bool, built: str, wanted: str | None, got: str,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.device.torch.cuda, 'is_available', lambda: there)
    monkeypatch.setattr(harness.device.torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(harness.device, 'get_compiling_cuda_version', lambda: built)
    assert harness.device.pick_device(wanted) == got
    refused = {'cuda:2': 'not available', 'cuda:x': 'not available'}
    if there and built == 'not available':
        refused['cuda'] = 'without CUDA'
    for device, why in refused.items():
        with pytest.raises(InputError, match=why):
            harness.device.pick_device(device)


def test_parse_setting_reads_numbers_and_names() -> None:
    assert parse_setting('ref-nms-b.threshold=0.2') == ('ref-nms-b', 'threshold', 0.2)
    assert parse_setting('a.b=c d') == ('a', 'b', 'c d')
    assert parse_setting('a.b=[1, 2]') == ('a', 'b', [1, 2])


@pytest.mark.parametrize('text', ['', 'a', 'a.b', 'a=b', '.b=1', 'a.=1'])
def test_parse_setting_refuses_the_rest(text: str) -> None:
    with pytest.raises(InputError, match=f'--set {text}: write NAME.OPTION=VALUE'):
        parse_setting(text)


def test_parse_weight() -> None:
    assert parse_weight('cmae=dir/x=y.safetensors') == ('cmae', Path('dir/x=y.safetensors'))
    with pytest.raises(InputError, match='--weights cmae=: write NAME=FILE'):
        parse_weight('cmae=')
