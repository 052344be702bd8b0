"""``from harness import …``: what notebooks call gives what the command line gives."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness import load_dataset, read_predictions, read_results, run
from harness.errors import InputError
from run_benchmark import command_line

LOOK = dict(dataset='mini-refcoco', split='testB', proposals='greedy', limit=6, seed=3, device='cpu')
OPTIONS = ('--dataset', 'mini-refcoco', '--split', 'testB', '--proposals', 'greedy', '--limit', '6', '--seed', '3',
           '--device', 'cpu')


def test_a_run_writes_what_the_command_line_writes(small_benchmark: Path, tmp_path: Path) -> None:
    results = run(grounder='cmae', out=tmp_path / 'python', **LOOK)
    assert command_line(['--grounder', 'cmae', *OPTIONS, '--out', str(tmp_path / 'typed')]) == 0
    for file in ('predictions.jsonl', 'proposals.jsonl'):
        assert (tmp_path / 'python' / file).read_bytes() == (tmp_path / 'typed' / file).read_bytes()
    mine, typed = (json.loads((tmp_path / name / 'results.json').read_text()) for name in ('python', 'typed'))
    assert mine['records'] == typed['records'] == results.records.to_dict('records')
    for part in ('data', 'weights', 'conventions', 'versions', 'images_in', 'seed'):
        assert mine['run'][part] == typed['run'][part]
    assert mine['run']['command'].startswith("harness.run(grounder=['cmae'], dataset=['mini-refcoco'], ")


def test_what_a_run_wrote_is_read_as_tables(small_benchmark: Path, tmp_path: Path) -> None:
    results = run(grounder='none', out=tmp_path / 'out', settings={'greedy': {'threshold': 0.5}}, **LOOK)
    pd.testing.assert_frame_equal(read_results(results.folder), results.records)
    rows = read_predictions(results.folder)
    pd.testing.assert_frame_equal(rows, results.predictions())
    assert len(rows) == 6 and set(rows['proposals']) == {'greedy'} and len(rows['gt_box'][0]) == 4
    options = json.loads((tmp_path / 'out/results.json').read_text())['run']['options']
    assert options['settings'] == ['greedy.threshold=0.5'] and options['limit'] == 6


def test_a_dataset_by_its_name(small_benchmark: Path, tmp_path: Path) -> None:
    assert load_dataset('mini-refcocog').splits == ('val', 'test')
    for name, root, said in (('all', None, 'one dataset'), ('mini-refcoc', None, 'did you mean'),
                             ('refcoco', tmp_path / 'nowhere', 'no such folder')):
        with pytest.raises(InputError, match=said):
            load_dataset(name, root)


def test_what_cannot_be_met_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for wrong in (dict(grounder='cmaee'), dict(limit=0), dict(seed=-1), dict(settings={'greedy': {'treshold': 1}})):
        with pytest.raises(InputError):
            run(out=tmp_path / 'out', **wrong)
    assert not any(tmp_path.iterdir())


def test_what_no_run_wrote_is_refused(tmp_path: Path) -> None:
    for read in (read_results, read_predictions):
        with pytest.raises(InputError, match='there is no such file'):
            read(tmp_path)
    (tmp_path / 'results.json').write_text('[]')
    (tmp_path / 'predictions.jsonl').write_text('{"a": 1}\n{"a"')
    with pytest.raises(InputError, match='records'):
        read_results(tmp_path)
    with pytest.raises(InputError, match='line 2'):
        read_predictions(tmp_path)


def test_importing_the_package_loads_nothing() -> None:
    code = ('import sys; before = set(sys.modules); import harness.errors; '
            'print(not {"torch", "pandas", "mmengine", "harness.api"} & (set(sys.modules) - before))')
    done = subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parents[1], capture_output=True, text=True,
                          check=True)
    assert done.stdout.strip() == 'True'


def test_the_package_has_the_names_that_it_lists() -> None:
    assert set(harness.__all__) <= set(dir(harness)) and all(hasattr(harness, name) for name in harness.__all__)
    with pytest.raises(AttributeError, match='no attribute'):
        harness.nothing_of_this_name  # noqa: B018
