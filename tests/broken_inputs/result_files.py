"""What a run leaves, broken, in reports and in ``export``."""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import run_benchmark
from tests.broken_inputs import sound
from tests.broken_inputs.damage import Content, dumped
from tests.broken_inputs.sound import lines, trials_of
from tests.broken_inputs.trials import Trial

_REPORTS = {
    'tables': ('tables', 'run'), 'like paper': ('tables', 'run', '--like', 'paper', '--ci'),
    'latex': ('tables', 'run', '--format', 'latex'), 'failures': ('failures', 'run'),
    'compare': ('compare', 'run:given:chance', 'run:given:mattnet'), 'html': ('html', 'run', '-o', 'page.html'),
    'check': ('check', 'run', '--against', 'sound'),
    'significant': ('check', 'run', '--against', 'sound', '--significant')}


@cache
def sound_run() -> dict[str, bytes]:
    """The files of a run of two grounders on boxes from outside."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()), redirect_stderr(StringIO()) as said:
        os.chdir(folder)
        try:
            for name, content in {**sound.refer(), 'd.json': dumped(sound.MATTNET)}.items():
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(name).write_bytes(content)  # type: ignore[arg-type]  # all of them are bytes
            code = run_benchmark.command_line(['--data-root', '.', '--dataset', 'refcoco', '--detections', 'd.json',
                                               '--grounder', 'chance,mattnet', '--out', 'out'])
            assert code == 0, said.getvalue()
            return {path.name: path.read_bytes() for path in Path('out').iterdir()}
        finally:
            os.chdir(home)


def _files(but: str) -> dict[str, Content]:
    return {**{f'sound/{name}': content for name, content in sound_run().items()},
            **{f'run/{name}': content for name, content in sound_run().items() if name != but}}


def results() -> Iterator[Trial]:
    """``results.json``, in each report."""
    record = json.loads(sound_run()['results.json'])
    record['records'] = record['records'][:2] + record['records'][-1:]
    files = {**_files('results.json'), 'sound/results.json': dumped(record)}
    for argv in _REPORTS.values():
        yield from trials_of('run/results.json', record, argv, files, program='reports')
    yield from trials_of('run/results.json', record, ('export', '--as', 'ctxdb', 'run', '--out', 'out'),
                         {**files, **sound.refer()})


def rows() -> Iterator[Trial]:
    """``predictions.jsonl``, in each report that reads it."""
    first, *others = [json.loads(line) for line in sound_run()['predictions.jsonl'].splitlines()]
    for argv in _REPORTS.values():
        yield from trials_of('run/predictions.jsonl', first, argv, _files('predictions.jsonl'), program='reports',
                             write=lambda row: lines(row, *others))


def proposals() -> Iterator[Trial]:
    """``proposals.jsonl``, on the page and in ``export``."""
    first, *others = [json.loads(line) for line in sound_run()['proposals.jsonl'].splitlines()]
    files = _files('proposals.jsonl')
    yield from trials_of('run/proposals.jsonl', first, _REPORTS['html'], files, program='reports',
                         write=lambda row: lines(row, *others))
    yield from trials_of('run/proposals.jsonl', first, ('export', '--as', 'matt-dets', 'run', '--out', 'out'),
                         {**files, **sound.refer()}, write=lambda row: lines(row, *others))


def baselines() -> Iterator[Trial]:
    """A baseline that is a file of records."""
    record = json.loads(sound_run()['results.json'])
    return trials_of('baseline.json', record, ('check', 'run', '--against', 'baseline.json'), _files(''),
                     program='reports')
