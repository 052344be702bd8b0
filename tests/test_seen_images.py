"""Splits of which the detector was trained on evaluation images are marked in every table, with one footnote."""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.data.results import ResultsFile, RunRecord
from harness.errors import InputError
from harness.files.weights import load_weights, save_weights, shipped_path
from reports.commands.tables import main
from reports.html.report import html_report
from reports.rows.results_files import read_results, read_runs
from reports.tables.paper_tables import paper_tables
from reports.tables.plain_tables import printed, tables
from reports.tables.seen_images import seen_in
from run_benchmark import command_line

SEEN = {'refcoco': {'val': {'seen': 1500, 'images': 1500}, 'testA': {'seen': 0, 'images': 750},
                    'testB': {'seen': None, 'images': 750}}}
MARKED = '‡ the detector was trained on 1,500 of 1,500 images of refcoco val.'
UNKNOWN = 'It is not known whether the detector was trained on images of refcoco testB.'


def record(split: str, dataset: str = 'refcoco', metric: str = 'accuracy') -> dict:
    return {'dataset': dataset, 'split': split, 'task': 'rec', 'metric': metric, 'grounder': 'cmae',
            'proposals': 'greedy', 'value': 80.0, 'n': 10}


RECORDS = [record(split) for split in ('val', 'testA', 'testB')]


def results(seen: Any) -> ResultsFile:
    return ResultsFile.model_validate({'records': RECORDS, 'run': {'detector_seen': seen}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / 'results.json').write_text(json.dumps({'records': RECORDS, 'run': {'detector_seen': SEEN}}))
    return tmp_path


def test_markdown_has_a_mark_at_the_split_and_a_footnote_under_the_table() -> None:
    table, = tables(results(SEEN))
    assert '**val‡**' in table and '**testA**' in table and '**testB**' in table
    assert table.splitlines()[-3:] == [MARKED, '', UNKNOWN]
    assert MARKED in printed(results(SEEN))


def test_results_of_earlier_versions_have_none() -> None:
    old = ResultsFile.model_validate({'records': RECORDS, 'run': {}})
    table, = tables(old)
    assert '‡' not in table and 'not known' not in table


def test_what_was_not_seen_needs_no_word() -> None:
    table, = tables(results({'refcoco': {'val': {'seen': 0, 'images': 1500}}}))
    assert '‡' not in table and 'detector' not in table


@pytest.mark.parametrize('form', ['markdown', 'latex', 'csv', 'json', 'terminal'])
def test_every_form_of_the_tables(form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), '--format', form]) == 0
    text = capsys.readouterr().out
    if form == 'csv':
        assert ',val,' in text and '‡' not in text
    elif form == 'json':
        said = json.loads(text)['tables'][0]
        assert said['notes'] == [MARKED, UNKNOWN] and said['columns'][0]['split'] == 'val'
    else:
        assert ('val$\\ddagger$' if form == 'latex' else 'val‡') in text
        assert '1,500 of 1,500 images of refcoco val' in text


def test_tables_like_the_paper_s_keep_its_dagger_for_its_own_use(folder: Path) -> None:
    table = next(table for table in paper_tables(read_runs([folder])) if table.name == '2')
    heads = [head.text for head in table.sheet().heads]
    assert heads.count('val‡') == 2 and 'testA' in heads, 'REC and RES'
    assert MARKED in table.notes and UNKNOWN in table.notes
    assert '‡ the detector was trained on images of this split.' in table.note


def test_the_page_marks_all_tables(folder: Path) -> None:
    html = html_report([folder]).html
    assert html.count('val‡</th>') >= 3 and html.count(MARKED) >= 3


def test_of_several_runs_the_one_whose_detector_saw_most_counts() -> None:
    runs = [RunRecord.model_validate({'detector_seen': {'a': {'val': {'seen': seen, 'images': 9}}}})
            for seen in (0, None, 3, 2)]
    assert seen_in(runs)['a', 'val']['seen'] == 3
    assert seen_in(runs[:2])['a', 'val']['seen'] is None
    assert seen_in([RunRecord(), runs[0]]) == {('a', 'val'): {'seen': 0, 'images': 9}}


@pytest.mark.parametrize('wrong', [
    {'refcoco': {'val': {'seen': -1, 'images': 2}}}, {'refcoco': {'val': {'images': 2}}}, {'refcoco': 3}, [],
    {'ref\x1bcoco': {'val': {'seen': 1, 'images': 2}}}])
def test_a_field_that_no_run_writes_is_refused(wrong: Any, folder: Path) -> None:
    (folder / 'results.json').write_text(json.dumps({'records': RECORDS, 'run': {'detector_seen': wrong}}))
    with pytest.raises(InputError, match='detector_seen'):
        read_results(folder)


# ------------------------------------------------------------------------------------------ as runs write it

Runs = Callable[..., dict[str, Any]]


@pytest.fixture
def root(small_benchmark: Path, tmp_path: Path) -> Path:
    """The small benchmark under the name of RefCOCO."""
    shutil.copytree(small_benchmark / 'mini-refcoco', tmp_path / 'root/refcoco')
    (tmp_path / 'root/images').symlink_to(small_benchmark / 'images')
    return tmp_path / 'root'


def detector(path: Path, trained_on: Any) -> Path:
    """The shipped detector, which says that it was trained on these images."""
    shipped = load_weights(shipped_path('detector'))
    save_weights(path, shipped.tensors, {**shipped.meta, 'trained_on': trained_on})
    return path


def ran(out: Path, *options: object) -> dict[str, Any]:
    assert command_line([*map(str, options), '--grounder', 'none', '--proposals', 'greedy', '--out', str(out)]) == 0
    run: dict[str, Any] = json.loads((out / 'results.json').read_text())['run']
    return run


def test_a_run_tells_it_of_each_split(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refs = json.loads((root / 'refcoco/instances.json').read_text())['images']
    one = refs[0]['id']
    weights = detector(tmp_path / 'detector.safetensors', [one])
    run = ran(tmp_path / 'out', '--data-root', root, '--weights', f'detector={weights}')
    seen = run['detector_seen']['refcoco']
    assert sum(split['seen'] for split in seen.values()) == 1
    assert '‡ the detector was trained on 1 of ' in capsys.readouterr().out
    assert '‡ the detector was trained on 1 of ' in (tmp_path / 'out/tables.md').read_text()


def test_merged_shards_tell_what_the_whole_run_tells(root: Path, tmp_path: Path) -> None:
    options = ['--data-root', root, '--split', 'val']
    whole = ran(tmp_path / 'whole', *options)
    assert whole['detector_seen']['refcoco']['val']['seen'] is None
    for shard in ('1/2', '2/2'):
        assert command_line([*map(str, options), '--grounder', 'none', '--proposals', 'greedy', '--out',
                             str(tmp_path / 'merged'), '--shard', shard]) == 0
    assert command_line(['merge', str(tmp_path / 'merged')]) == 0
    assert json.loads((tmp_path / 'merged/results.json').read_text())['run']['detector_seen'] == whole['detector_seen']


def test_the_embedded_benchmark_says_nothing_of_it(small_benchmark: Path, tmp_path: Path) -> None:
    assert 'detector_seen' not in ran(tmp_path / 'out', '--dataset', 'mini-refcoco', '--split', 'val')
    text = (tmp_path / 'out/tables.md').read_text()
    assert '‡' not in text and 'not known' not in text
