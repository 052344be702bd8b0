"""Result files are read strictly: what can't stand in one table is refused in one line."""
from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.results import RunRecord, as_json, key_of
from harness.errors import InputError
from reports.drawing.rendering import written
from reports.rows.metrics import METRICS
from reports.rows.results_files import read_results, read_runs
from reports.statistics.outcomes import OUTCOMES
from reports.tables.layout import Tables
from reports.tables.paper_tables import paper_tables

RUN = {
    'command': 'python run_benchmark.py', 'seed': 0, 'commit': 'abc', 'options': {'settings': []},
    'versions': {'python': '3.11.7', 'torch': '2.13.0'}, 'conventions': {'accuracy': 'IoU >= 0.5'},
    'data': {'refcoco': 'aa', 'mini': 'bb'}, 'weights': {'detector': {'sha256': 'cc'}}, 'notes': [],
}


def record(value: Any = 80.0, metric: str = 'accuracy', grounder: str = 'cmae', rule: str = 'greedy', n: Any = 10,
           dataset: str = 'refcoco', split: str = 'val') -> dict:
    return {'dataset': dataset, 'split': split, 'task': 'rec', 'metric': metric, 'grounder': grounder,
            'proposals': rule, 'value': value, 'n': n}


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, records: Any, **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / 'results.json').write_text(json.dumps({'records': records, 'run': {**deepcopy(RUN), **changes}}))
        return folder
    return write


def refused(paths: list[Path], *parts: str) -> None:
    with pytest.raises(InputError) as error:
        read_runs(paths)
    message = str(error.value)
    assert '\n' not in message and len(message) < 600
    for part in (str(paths[0]), *parts):
        assert part in message


def test_a_folder_and_its_file_are_the_same_run(write: Any) -> None:
    folder = write('a', [record()])
    assert read_results(folder) == read_results(folder / 'results.json')
    results = read_runs([folder, folder / 'results.json'])
    assert len(results.runs) == 1 and results.records == [record()]


def test_runs_of_one_make_add_up(write: Any) -> None:
    a = write('a', [record(metric='referent_recall', grounder='-'), record()])
    b = write('b', [record(metric='referent_recall', grounder='-'), record(70.0, grounder='mattnet')])
    assert [key_of(r)[2:4] for r in read_runs([a, b]).records] == [
        ('referent_recall', '-'), ('accuracy', 'cmae'), ('accuracy', 'mattnet')], 'what both measured is there once'


@pytest.mark.parametrize(('content', 'part'), [
    (b'', 'no JSON'), (b'\xff\xfe', 'no JSON'), (b'{"records": [', 'no JSON'), (b'[' * 100_000, 'no JSON'),
    (b'[]', 'lacks "records" or "run"'), (b'{"records": []}', 'lacks "records" or "run"'),
    (b'{"records": {}, "run": {}}', 'lacks "records" or "run"'),
    (b'{"records": [], "run": {}}', 'holds no records'),
    (b'{"records": [1], "run": {}}', 'record 1 lacks'),
    (b'{"records": [{"metric": "accuracy"}], "run": {}}', 'record 1 lacks'),
])
def test_not_a_results_file(tmp_path: Path, content: bytes, part: str) -> None:
    file = tmp_path / 'results.json'
    file.write_bytes(content)
    refused([file], part)


def test_not_there(tmp_path: Path) -> None:
    refused([tmp_path], 'results.json: there is no such file')


@pytest.mark.parametrize('value', [float('nan'), float('inf'), '80', None, True, [1]])
def test_a_value_is_a_finite_number(write: Any, value: Any) -> None:
    refused([write('a', [record(value)])], 'accuracy of cmae on greedy, refcoco val', 'not a finite number')


def test_a_number_too_large_for_a_float(write: Any) -> None:
    refused([write('a', [record(10**400)])], 'not a finite number')


@pytest.mark.parametrize('n', [0, -1, 2.5, None, True])
def test_a_record_counts_expressions(write: Any, n: Any) -> None:
    refused([write('a', [record(n=n)])], 'not 1 or more')


def test_a_name_is_printable(write: Any) -> None:
    refused([write('a', [record(rule='greedy\x1b[31m')])], 'record 1 has a name that cannot be printed')


def test_an_unknown_metric_is_named_with_the_nearest(write: Any) -> None:
    refused([write('a', [record(metric='acuracy')])], 'unknown metric acuracy, did you mean accuracy?')


def test_a_metric_of_one_s_own_is_known_once_the_run_describes_it(write: Any) -> None:
    described = {**RUN['conventions'], 'top3': 'share of expressions whose best three boxes hold the referent'}
    assert read_runs([write('a', [record(metric='top3')], conventions=described)]).records[0]['metric'] == 'top3'


def test_the_same_record_twice_with_different_values(write: Any) -> None:
    a, b = write('a', [record(80.0)]), write('b', [record(80.5)])
    refused([a, b], str(b), 'accuracy of cmae on greedy, refcoco val is there twice, as 80 (10 expressions) and 80.5')
    refused([write('c', [record(80.0), record(81.0)])], 'is there twice, as 80')


@pytest.mark.parametrize(('changes', 'part'), [
    ({'versions': {'python': '3.11.7', 'torch': '2.12.0'}}, 'versions cannot be mixed (torch: 2.13.0 and 2.12.0)'),
    ({'conventions': {'accuracy': 'IoU > 0.5'}}, 'conventions cannot be mixed (accuracy: IoU >= 0.5 and IoU > 0.5)'),
    ({'data': {'refcoco': 'zz', 'mini': 'bb'}}, 'data cannot be mixed (refcoco: aa and zz)'),
    ({'weights': {'detector': {'sha256': 'zz'}}}, 'weights cannot be mixed (detector: cc and zz)'),
    ({'options': {'settings': ['greedy.threshold=0.5']}}, '--set options cannot be mixed'),
])
def test_runs_made_differently_are_not_mixed(write: Any, changes: dict, part: str) -> None:
    a, b = write('a', [record()]), write('b', [record(grounder='mattnet')], **changes)
    refused([a, b], str(b), part)


def test_runs_on_fewer_expressions_are_not_mixed_with_whole_ones(write: Any) -> None:
    a, b = write('a', [record()]), write('b', [record(grounder='mattnet', n=5)])
    refused([a, b], 'different numbers of expressions', 'refcoco val, accuracy: 10 and 5')


def test_runs_on_other_data_may_be_made_otherwise(write: Any) -> None:
    a = write('a', [record()])
    b = write('b', [record(dataset='mini')], versions={'python': '3.11.9'}, conventions={'accuracy': 'IoU > 0.5'})
    assert len(read_runs([a, b]).records) == 2


def test_a_package_that_only_one_run_needs_does_not_matter(write: Any) -> None:
    a = write('a', [record()])
    b = write('b', [record(grounder='clip')], versions={**RUN['versions'], 'transformers': '5.0'})
    assert len(read_runs([a, b]).records) == 2


def test_weights_that_only_one_run_has_do_not_matter(write: Any) -> None:
    a = write('a', [record()])
    b = write('b', [record(grounder='mattnet')], weights={'detector': {'sha256': 'cc'}, 'mattnet': {'sha256': 'dd'}})
    assert len(read_runs([a, b]).records) == 2


#: What a run says of itself, in the writer's order.
WRITTEN = {
    'command': 'python run_benchmark.py', 'options': {'limit': None, 'settings': ['greedy.step=0.2'], 'out': 'a'},
    'seed': 0, 'commit': 'abc', 'versions': {'python': '3.11.7'}, 'machine': 'x86_64', 'data': {'refcoco': 'aa'},
    'images_in': {'refcoco': '/images'}, 'weights': {'cmae': {'file': 'c', 'sha256': 'cc', 'seed': 1}},
    'conventions': {'accuracy': 'IoU >= 0.5'}, 'seconds': {'detect': 2.0, 'masks': 0.0},
    'throughput': {'detect': {'images': 4, 'expressions': 0, 'images_per_second': 2.0}}, 'wall_seconds': 3.25,
    'images': 4, 'expressions': 10, 'counts': {'empty masks': 1}, 'notes': ['a note']}


def test_a_run_is_written_as_it_is_read_to_the_byte(write: Any) -> None:
    records = [record(), record(7, metric='mean_proposals', grounder='-')]
    file = write('a', records, **WRITTEN) / 'results.json'
    text = as_json(records, WRITTEN)
    file.write_text(text)
    read = read_results(file)
    assert as_json([*read.records], read.run.model_dump(exclude_unset=True)) == text


def test_a_part_that_is_only_shown_counts_as_not_there_where_it_is_wrong_unless_it_is_needed(write: Any) -> None:
    folder = write('a', [record()], **{**WRITTEN, 'seconds': {'detect': 'long'}, 'seed': 'zero', 'machine': [1]})
    run = read_results(folder).run
    assert (run.seconds, run.seed, run.machine, run.wall_seconds) == ({}, None, '', 3.25)
    with pytest.raises(InputError, match="results.json: 'run.seconds.detect' must be a number, not text; give"):
        read_results(folder, needed=('seconds',))


@pytest.mark.parametrize(('settings', 'read'), [
    (['a.b=1'], ['a.b=1']), ("['a.b=1', 'c.d=2']", ['a.b=1', 'c.d=2']), ('a.b=1', ['a.b=1']), (None, []), (3, [])])
def test_settings_are_a_list_or_its_text(settings: Any, read: list[str], write: Any) -> None:
    assert read_results(write('a', [record()], options={'settings': settings})).run.settings == read


def test_what_an_earlier_version_did_not_write_is_not_missed(write: Any) -> None:
    folder = write('a', [{name: value for name, value in record().items() if name != 'task'}])
    (folder / 'results.json').write_text(json.dumps({'records': read_results(folder).records, 'run': {}}))
    assert read_results(folder).run == RunRecord()


@pytest.mark.parametrize(('part', 'value', 'said'), [
    ('versions', [], "'run.versions' must be a record, not a list"),
    ('notes', {}, "'run.notes' must be a list, not a record"),
    ('weights', None, "'run.weights' must be a record, not null"),
    ('options', 'x' * 5000, "must be a record, not text")])
def test_a_part_that_decides_is_refused_by_its_name(part: str, value: Any, said: str, write: Any) -> None:
    refused([write('a', [record()], **{part: value})], said, 'give the file as it was written')


ANY = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
                   lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                       st.sampled_from(['metric', 'value', 'n', 'dataset', 'refcoco', 'settings', 'limit', 'sha256'])
                       | st.text(), inner, max_size=4), max_leaves=10)


@settings(deadline=None)
@given(ANY)
def test_whatever_the_json_it_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory,
                                                             content: Any) -> None:
    file = tmp_path_factory.mktemp('any') / 'results.json'
    for whole in (content, {'records': [content], 'run': {}}, {'records': [{**record(), 'value': content}], 'run': {}}):
        file.write_text(json.dumps(whole))
        try:
            read_runs([file])
        except InputError as error:
            assert '\n' not in str(error)


@settings(max_examples=25, deadline=None)
@given(st.fixed_dictionaries({}, optional={name: ANY | st.dictionaries(st.text(), ANY, max_size=2) for name in RUN}))
def test_whatever_a_run_says_of_itself_the_tables_are_printed_or_it_is_refused(
        tmp_path_factory: pytest.TempPathFactory, run: dict) -> None:
    folder = tmp_path_factory.mktemp('any')
    for name, grounder in (('a', 'cmae'), ('b', 'mattnet')):
        (folder / name).write_text(json.dumps({'records': [record(grounder=grounder)], 'run': run}))
    try:
        results = read_runs([folder / 'a', folder / 'b'])
    except InputError as error:
        assert '\n' not in str(error)
    else:
        assert '80.00* (78.35, +1.65)' in written(Tables(paper_tables(results)), 'markdown')


def test_reports_and_their_tests_of_significance_know_the_same_metrics() -> None:
    assert set(METRICS) == set(OUTCOMES)
