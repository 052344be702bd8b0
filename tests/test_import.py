"""A user's own grounder, in one file of their own: ``--grounder mine --import my_grounder.py``."""
from __future__ import annotations

import json
import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import harness.evaluation.measure
from harness.evaluation.journal import Journal
from harness.evaluation.one_image import Evaluated
from harness.evaluation.plan import Plan
from harness.evaluation.run import evaluate_images
from harness.registry import GROUNDERS
from run_benchmark import command_line

README = Path(__file__).parents[1] / 'README.md'
WIDEST = '''from harness.registry import GROUNDERS
@GROUNDERS.register_module(name='mine')
class Mine:
    def __call__(self, image, expressions, proposals):
        return [p.bboxes[:, 2] - p.bboxes[:, 0] for p in proposals]
'''
LOOK = ('--dataset', 'mini-refcoco', '--split', 'testB', '--task', 'rec', '--proposals', 'ground-truth')


@pytest.fixture(autouse=True)
def forget_the_user_s_own_grounder():
    yield
    GROUNDERS.module_dict.pop('mine', None)


def imported(path: Path, text: str, *options: str) -> int:
    file = path / 'my_grounder.py'
    file.write_text(text)
    return command_line(['--import', str(file), '--out', str(path / 'out'), *LOOK, *options])


def test_the_readme_s_grounder_as_it_stands_there(small_benchmark: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r'```python\n(# my_grounder\.py\n.*?)```', README.read_text(), flags=re.S)
    assert len(text.splitlines()) <= 40
    assert imported(tmp_path, text, '--grounder', 'mine') == 0
    records = json.loads((tmp_path / 'out/results.json').read_text())['records']
    accuracy = {r['grounder']: r['value'] for r in records if r['metric'] == 'accuracy'}
    assert set(accuracy) == {'mine', 'mine-shuffled', 'chance'}
    assert accuracy['mine'] > accuracy['chance']


def first_image(rebuild: Callable[[int], Callable[[int], Evaluated]]) -> bytearray:
    return rebuild(0)(0).predictions


def test_a_spawned_worker_of_a_gpu_knows_it_too(small_benchmark: Path, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor, which only the first process takes for a GPU."""
    spawned = []

    def one_worker(plan: Plan, work: Any, journal: Journal, progress: Any, number: int, rebuild: Any) -> None:
        with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
            spawned.append(pool.submit(first_image, rebuild).result())
        evaluate_images(plan, work, journal)

    monkeypatch.setattr(harness.evaluation.measure, 'pick_device', lambda wanted: 'cuda')
    monkeypatch.setattr(harness.evaluation.measure, 'evaluate_images', one_worker)
    assert imported(tmp_path, WIDEST, '--grounder', 'mine', '--limit', '8') == 0
    assert b'"mine"' in spawned[0] and (tmp_path / 'out/predictions.jsonl').read_bytes().startswith(spawned[0])


@pytest.mark.parametrize(('text', 'line'), [
    ('def f(:\n', 'SyntaxError'),
    ('x = 1\nraise KeyError("a")\n', "my_grounder.py:2: KeyError: 'a'; fix the file"),
    ('import not_there_at_all\n', "my_grounder.py:1: ModuleNotFoundError: No module named 'not_there_at_all'"),
    ('from harness.registry import GROUNDERS\n@GROUNDERS.register_module(name="chance")\nclass A: pass\n',
     'chance is already registered'),
    ('pass\n', '--grounder mine: unknown'),
    ('from harness.registry import GROUNDERS\n@GROUNDERS.register_module(name="mine")\nclass Mine:\n'
     '    def __call__(self, image, expressions, proposals):\n        return [1 / 0]\n',
     'my_grounder.py:5: ZeroDivisionError: division by zero; fix the file'),
    ('from harness.registry import GROUNDERS\n@GROUNDERS.register_module(name="mine")\nclass Mine:\n'
     '    def __call__(self, image, expressions, proposals):\n        return []\n',
     'grounder mine: must return one score a proposal for each expression'),
    ('from harness.registry import GROUNDERS\n@GROUNDERS.register_module(name="mine")\nclass Mine:\n'
     '    def __call__(self, image, expressions, proposals):\n'
     '        return [float("nan") * p.scores for p in proposals]\n',
     'grounder mine: returned scores that are not finite numbers'),
])
def test_what_is_wrong_with_the_file_is_said_in_one_line(
        text: str, line: str, small_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert imported(tmp_path, text, '--grounder', 'mine') == 2
    assert line in capsys.readouterr().err.splitlines()[-1]


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert command_line(['--import', str(tmp_path / 'none.py'), '--grounder', 'mine']) == 2
    assert 'none.py: there is no such Python file' in capsys.readouterr().err
