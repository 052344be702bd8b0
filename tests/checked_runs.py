"""Runs, baselines made of them, and the check of one against the other."""
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import command_line
from tests.prediction_files import write

RUN = {'command': 'python run_benchmark.py --out /somewhere', 'options': {'settings': [], 'out': '/somewhere'},
       'seed': 0, 'commit': 'abc', 'versions': {'torch': '2'}, 'data': {'mini-refcoco': '12ab'},
       'weights': {'cmae (mini-refcoco)': {'file': 'cmae.safetensors', 'sha256': '34cd'}},
       'conventions': {'accuracy': 'IoU >= 0.5'}, 'seconds': {'detect': 20.0, 'masks': 0.1}, 'wall_seconds': 21,
       'images': 1, 'expressions': 10, 'notes': []}


def record(metric: str = 'accuracy', value: float = 60.0, **changed: Any) -> dict[str, Any]:
    """A record of CM-A-E on greedy proposals, 10 expressions of mini-refcoco's val."""
    return {'dataset': 'mini-refcoco', 'split': 'val', 'task': 'rec', 'metric': metric, 'grounder': 'cmae',
            'proposals': 'greedy', 'value': value, 'n': 10, **changed}


def results(folder: Path, *records: Mapping[str, Any], predictions: Iterable[Mapping[str, Any]] | None = None,
            **changed: Any) -> Path:
    """A run's folder with these records, its ``run`` part as :data:`RUN` but for what is changed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'results.json').write_text(json.dumps({'records': records, 'run': {**RUN, **changed}}))
    if predictions is not None:
        write(folder / 'predictions.jsonl', predictions)
    return folder


def baseline_of(run: Path, file: Path, tolerances: Mapping[str, float] | None = None) -> Path:
    """A baseline file of a run, as ``--update`` makes it, with tolerances by metric."""
    assert command_line(['check', str(run), '--against', str(file), '--update', '--reason', 'a test']) == 0
    whole = json.loads(file.read_text())
    file.write_text(json.dumps({**whole, 'tolerances': dict(tolerances or {})}))
    return file


def check(capsys: pytest.CaptureFixture[str], run: Path, against: Path, *options: object) -> tuple[int, list[str], str]:
    """Exit code; what moved, as ``'fell by 1.00, tolerance 0.5: accuracy of cmae on greedy, mini-refcoco val'``; and
    all that was printed."""
    capsys.readouterr()
    code = command_line(['check', str(run), '--against', str(against), *map(str, options)])
    printed = ''.join(capsys.readouterr())
    rows = [[cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]] for line in
            printed.partition('| what moved')[2].partition('\n\n')[0].splitlines()[2:]]
    return code, [f'{how}: {what}' for _, what, _, _, how in rows], printed
