"""``run_benchmark.py paper``: everything from data and a detector to the paper's tables, one step after the other.

The steps are the commands that a person would type, each in a process of its own. A step is done once its command, the
hashes of its inputs and those of its outputs are as they were recorded when it ended; the same command goes on where it
was interrupted, within a training too. ``--dry-run`` lists the steps and what the trainings would take.
"""
from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.arguments import add_device, add_limit, add_settings, add_vectors
from harness.data.known import datasets_in, split_maker
from harness.errors import InputError
from harness.evaluation.datasets import dataset_names
from harness.files.fingerprint import sha256_of
from harness.files.reading import parse_json, read_bytes
from harness.files.writing import write_text
from harness.names import OneLineParser, pick
from harness.options import MOST_SEED, within
from harness.registry import GROUNDERS, names

OUT = Path('results') / 'paper'
#: Of the paper's Tables 1 and 2.
RULES = ('greedy', 'greedy-100', 'ref-nms-b', 'ref-nms-b-100', 'ref-nms-r', 'ref-nms-r-100')
REF_NMS = ('ref-nms-b', 'ref-nms-r')
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Step:
    """One command and the files that it depends on and leaves.

    Attributes:
        name: what it is called in lines and records.
        command: after ``python``.
        inputs: files whose hashes decide whether it is done.
        outputs: files that it leaves.
        into: a file that what it prints goes into.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    into: Path | None = None


def main(argv: Sequence[str]) -> int:
    """Parse the options, then run each step that is not done."""
    parser = OneLineParser(prog='run_benchmark.py paper', description=__doc__.split('\n')[0].partition(': ')[2])
    parser.add_argument('--data-root', type=Path, required=True, metavar='DIR', help='datasets in REFER\'s layout')
    parser.add_argument('--detector', type=Path, required=True, metavar='FILE',
                        help='the converted detector ("convert --as detector")')
    parser.add_argument('--dataset', action='append', metavar='NAME', help='datasets (default: all that are there)')
    parser.add_argument('--grounder', action='append', metavar='NAME', help='grounders (default: all three)')
    parser.add_argument('--recipe', metavar='NAME', help='of all trainings: released (default) or embedded')
    add_settings(parser, 'an option of a recipe, for instance cmae.batch_size=8', 'NAME.OPTION=VALUE')
    add_vectors(parser)
    add_limit(parser)
    parser.add_argument('--seed', type=int, default=1, help='of the trainings (default: 1)')
    add_device(parser)
    parser.add_argument('--out', type=Path, default=OUT, metavar='DIR',
                        help=f'weights, runs and tables (default: {OUT})')
    parser.add_argument('--dry-run', action='store_true', help='list the steps, and what the trainings would take')
    args = parser.parse_args(argv)
    within('--seed', args.seed, 0, MOST_SEED)
    if not args.detector.is_file():
        raise InputError(f'--detector {args.detector}: there is no such file; make one by "convert CHECKPOINT.pth '
                         'detector.safetensors --as detector --config NAME"')
    steps = list(plan(args))
    _check_settings(args, steps)
    return _estimate(steps) if args.dry_run else _run(steps, args.out)


def plan(args: Namespace) -> Iterator[Step]:
    """The steps, each after those that it needs."""
    datasets = dataset_names(args.dataset, args.data_root, None)[0]
    grounders = _grounders(args.grounder)
    data = ('--data-root', str(args.data_root))
    yield Step('check-data', ('run_benchmark.py', 'check-data', *data, '--weights', f'detector={args.detector}'),
               (args.detector, *(file for name in datasets for file in _annotation_files(args.data_root, name))),
               (args.out / 'data.txt',), args.out / 'data.txt')
    runs = []
    for name in datasets:
        weights: dict[str, Path] = {'detector': args.detector}
        for part in (*REF_NMS, *grounders):
            step = _training(args, part, name, weights)
            weights[part], = step.outputs
            yield step
        folder = args.out / 'runs' / name
        runs.append(folder)
        yield Step(f'run {name}', (
            'run_benchmark.py', *data, '--dataset', name, '--proposals', ','.join(RULES), '--grounder',
            ','.join(grounders), *(f'--weights={key}={path}' for key, path in weights.items()),
            *_optional(args, 'vectors', 'limit', 'device'), '--out', str(folder)),
            (*weights.values(), *_annotation_files(args.data_root, name)), (folder / 'results.json',))
    results = tuple(folder / 'results.json' for folder in runs)
    tables = args.out / 'tables.md'
    yield Step('tables', ('-m', 'reports', 'tables', *map(str, runs), '--like', 'paper', '--ci', '--format',
                          'markdown'), results, (tables,), tables)
    yield Step('report', ('-m', 'reports', 'html', *map(str, runs), '-o', str(args.out / 'report.html')), results,
               (args.out / 'report.html',))


def _grounders(asked: Sequence[str] | None) -> list[str]:
    """The grounders to train, those that others need before them."""
    known = [name for name in names(GROUNDERS) if GROUNDERS.attribute(name, 'recipe') is not None]
    wanted = pick('--grounder', asked, known, known)
    needed = [need for name in wanted for need in GROUNDERS.attribute(name, 'needs') or ()]
    return list(dict.fromkeys([*needed, *wanted]))


def _training(args: Namespace, part: str, dataset: str, weights: dict[str, Path]) -> Step:
    out = args.out / 'weights'
    given = {key: weights[key] for key in ('detector', *(_needs(part))) if key in weights}
    settings = [s.removeprefix(f'{part}.') for s in args.settings if s.partition('.')[0] == part]
    return Step(f'train {part} {dataset}', (
        'run_benchmark.py', 'train', part, '--data-root', str(args.data_root), '--dataset', dataset,
        *(f'--weights={key}={path}' for key, path in given.items()), *(f'--set={s}' for s in settings),
        *_optional(args, 'recipe', 'vectors', 'device'), '--seed', str(args.seed), '--out', str(out), '--work',
        str(args.out / 'work')),
        (*given.values(), *_annotation_files(args.data_root, dataset)), (out / f'{part}-{dataset}.safetensors',))


def _needs(part: str) -> tuple[str, ...]:
    return () if part in REF_NMS else tuple(GROUNDERS.attribute(part, 'needs') or ())


def _optional(args: Namespace, *options: str) -> list[str]:
    return [text for option in options if (value := getattr(args, option)) is not None
            for text in (f'--{option}', str(value))]


def _annotation_files(root: Path, name: str) -> tuple[Path, ...]:
    """The files of a dataset that decide what is learned and measured."""
    maker = split_maker(name, root)
    refs = next((path for ending in ('p', 'json') if (path := root / name / f'refs({maker}).{ending}').is_file()),
                root / name / f'refs({maker}).p')
    return refs, root / name / 'instances.json'


def _check_settings(args: Namespace, steps: Sequence[Step]) -> None:
    """Refuse settings of parts that are not trained."""
    parts = [step.name.split()[1] for step in steps if step.name.startswith('train ')]
    for setting in args.settings:
        if setting.partition('.')[0] not in parts:
            raise InputError(f'--set {setting}: write NAME.OPTION=VALUE with one of {", ".join(dict.fromkeys(parts))}')
    if not datasets_in(args.data_root):
        raise InputError(f'--data-root {args.data_root}: holds no dataset; check-data says what there is')


# Running.

def _run(steps: Sequence[Step], out: Path) -> int:
    record = out / 'steps.json'
    done: dict[str, Any] = {}
    if record.is_file():
        loaded = parse_json(read_bytes(record), str(record))
        done = loaded if isinstance(loaded, dict) else {}
    for number, step in enumerate(steps, start=1):
        said = f'[{number}/{len(steps)}] {step.name}'
        key = {'command': list(step.command), 'inputs': _hashes(step.inputs)}
        known = done.get(step.name)
        if isinstance(known, dict) and known.get('key') == key and known.get('outputs') == _hashes(step.outputs):
            _say(f'{said}: done before')
            continue
        _say(f'{said}: python {shlex.join(step.command)}')
        start = time.monotonic()
        if code := _execute(step):
            _say(f'{said}: stopped with code {code}; fix what it says, then repeat the command: it goes on from here')
            return code
        done[step.name] = {'key': key, 'outputs': _hashes(step.outputs), 'seconds': round(time.monotonic() - start)}
        write_text(record, json.dumps(done, indent=1) + '\n')
    _say(f'tables: {out / "tables.md"}; page: {out / "report.html"}')
    return 0


def _execute(step: Step) -> int:
    for path in step.outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
    if step.into is None:
        return subprocess.run([sys.executable, *_absolute(step.command)], check=False).returncode
    ended = subprocess.run([sys.executable, *_absolute(step.command)], check=False, stdout=subprocess.PIPE, text=True)
    if ended.returncode == 0:
        write_text(step.into, ended.stdout)
    return ended.returncode


def _absolute(command: Sequence[str]) -> list[str]:
    """With the path of this program, wherever it is called from."""
    return [str(_ROOT / command[0]) if command[0].endswith('.py') else command[0], *command[1:]]


def _hashes(paths: Sequence[Path]) -> dict[str, str | None]:
    return {str(path): sha256_of(path) if path.is_file() else None for path in paths}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _estimate(steps: Sequence[Step]) -> int:
    """List the steps; the trainings say what they would take."""
    for number, step in enumerate(steps, start=1):
        print(f'[{number}/{len(steps)}] {step.name}: python {shlex.join(step.command)}', flush=True)
        if not step.name.startswith('train '):
            continue
        ended = subprocess.run([sys.executable, *_absolute(step.command), '--dry-run'], check=False,
                               stdout=subprocess.PIPE, text=True)
        if ended.returncode:
            return ended.returncode
        print(''.join(f'  {line}\n' for line in ended.stdout.splitlines()), flush=True)
    return 0
