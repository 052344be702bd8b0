"""``run_benchmark.py paper``: everything from data and a detector to the paper's tables, one step after the other.

The steps are commands that a person could type, each in a process of its own (:mod:`harness.commands.steps`): what is
done is not done again, and the same command goes on where it was interrupted, within a training too. ``--dry-run``
lists the steps and what the trainings would take.
"""
from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.arguments import add_device, add_limit, add_settings, add_vectors
from harness.commands.one_training import REF_NMS, options_of
from harness.commands.steps import Step, list_steps, run_steps
from harness.data.known import datasets_in, split_maker
from harness.errors import InputError
from harness.evaluation.datasets import dataset_names
from harness.files.reading import require_file
from harness.names import OneLineParser, nearest, pick
from harness.options import MOST_SEED, within
from harness.registry import GROUNDERS, names

OUT = Path('results') / 'paper'
#: The rules that are trained.
TRAINED_RULES = ('ref-nms-b', 'ref-nms-r')
#: The rules of the paper's tables; those of 100 proposals are in Table 1 alone, and no grounder looks at them.
RULES = ('greedy', *TRAINED_RULES)
HUNDRED = tuple(f'{rule}-100' for rule in RULES)


def main(argv: Sequence[str]) -> int:
    """Parse the options, then run each step that is not done."""
    args = _parser().parse_args(argv)
    within('--seed', args.seed, 0, MOST_SEED)
    within('--limit', args.limit, 1, 10 ** 9)
    require_file(args.detector, 'make one by "convert CHECKPOINT.pth detector.safetensors --as detector --config NAME"')
    if args.vectors is not None:
        require_file(args.vectors)
    if args.out.exists() and not args.out.is_dir():
        raise InputError(f'--out {args.out}: is a file; choose a folder')
    datasets, grounders = _datasets(args), _grounders(args.grounder)
    _check_settings(args, [*TRAINED_RULES, *grounders])
    steps = list(plan(args, datasets, grounders))
    if args.dry_run:
        return list_steps(steps, args.out)
    code = run_steps(steps, args.out)
    if code == 0:
        print(f'tables: {args.out / "tables.md"}\npage:   {args.out / "report.html"}')
    return code


def _parser() -> OneLineParser:
    parser = OneLineParser(prog='run_benchmark.py paper', description='Everything from data and a detector to the '
                           'paper\'s tables. What is done is not done again: the same command goes on.')
    parser.add_argument('--data-root', type=Path, required=True, metavar='DIR', help='datasets in REFER\'s layout')
    parser.add_argument('--detector', type=Path, required=True, metavar='FILE',
                        help='the converted detector ("convert --as detector")')
    parser.add_argument('--dataset', action='append', metavar='NAME', help='datasets (default: all that are there)')
    parser.add_argument('--split-by', metavar='NAME', help='whose splits, where there are several refs files')
    parser.add_argument('--images', type=Path, metavar='DIR', help='the image folder, if not in the data root')
    parser.add_argument('--grounder', action='append', metavar='NAME', help='grounders (default: all three)')
    parser.add_argument('--recipe', choices=('released', 'embedded'),
                        help='of all trainings: the originals\' own (released, the default), or small ones')
    add_settings(parser, 'an option of a recipe, for instance cmae.erase_epochs=8')
    add_vectors(parser)
    add_limit(parser)
    parser.add_argument('--seed', type=int, default=1, help='of the trainings (default: 1)')
    add_device(parser)
    parser.add_argument('--out', type=Path, default=OUT, metavar='DIR',
                        help=f'weights, runs and tables (default: {OUT})')
    parser.add_argument('--dry-run', action='store_true',
                        help='list the steps and what the trainings would take, write nothing')
    return parser


# What is asked for.

def _datasets(args: Namespace) -> list[str]:
    """The names of the datasets, which all lie in the data root.

    Raises:
        InputError: one does not, or is unknown.
    """
    asked, notes = dataset_names(args.dataset, args.data_root, args.split_by)
    there = datasets_in(args.data_root)
    for name in asked:
        if name not in there:
            raise InputError(f'--dataset {name}: {args.data_root} has none of that name; it has {", ".join(there)}')
    for note in notes:
        print(f'note: {note}', file=sys.stderr)
    return asked


def _grounders(asked: Sequence[str] | None) -> list[str]:
    """The grounders to train, those that others learn with before them."""
    known = [name for name in names(GROUNDERS) if GROUNDERS.attribute(name, 'recipe') is not None]
    wanted = pick('--grounder', asked, known, known)
    return list(dict.fromkeys(one for name in wanted for one in (*_needs(name), name)))


def _needs(part: str) -> tuple[str, ...]:
    """The parts whose weights a training takes, beside the detector."""
    return () if part in REF_NMS else tuple(GROUNDERS.attribute(part, 'needs'))


def _check_settings(args: Namespace, parts: Sequence[str]) -> None:
    """Refuse at once what a training would refuse after days of other trainings.

    Raises:
        InputError: a setting is of no part that is trained, its option is unknown, or its value is wrong.
    """
    for setting in args.settings:
        name = setting.partition('=')[0].partition('.')[0]
        if name not in parts:
            raise InputError(f'--set {setting}: write NAME.OPTION=VALUE with one of {", ".join(parts)}'
                             f'{nearest(name, parts)}')
    for part in parts:
        if settings := _settings_of(part, args.settings):
            options_of(part, args.recipe, 'released', settings)


def _settings_of(part: str, settings: Sequence[str]) -> list[str]:
    return [setting.removeprefix(f'{part}.') for setting in settings if setting.startswith(f'{part}.')]


# The steps.

def plan(args: Namespace, datasets: Sequence[str], grounders: Sequence[str]) -> Iterator[Step]:
    """The steps, each after those that it needs."""
    annotations = {name: _annotation_files(args, name) for name in datasets}
    data = args.out / 'data.txt'
    yield Step('check-data', (
        'run_benchmark.py', 'check-data', *_given(args, 'data_root', 'split_by'),
        *_weights({'detector': args.detector})),
        (args.detector, *(file for files in annotations.values() for file in files)), (data,), into=data)
    runs = []
    for name in datasets:
        weights = {'detector': args.detector}
        for part in (*TRAINED_RULES, *grounders):
            step = _training(args, part, name, weights, annotations[name])
            weights[part], = step.outputs
            yield step
        for looking in (grounders, ()):
            step = _run(args, name, looking, weights, annotations[name])
            runs.append(step.outputs[0].parent)
            yield step
    measured = tuple(folder / file for folder in runs for file in ('results.json', 'predictions.jsonl'))
    tables, page = args.out / 'tables.md', args.out / 'report.html'
    yield Step('tables', ('-m', 'reports', 'tables', *map(str, runs), '--like', 'paper', '--ci', '--format',
                          'markdown'), measured, (tables,), into=tables)
    yield Step('page', ('-m', 'reports', 'html', *map(str, runs), '-o', str(page)), measured, (page,))


def _training(args: Namespace, part: str, dataset: str, weights: Mapping[str, Path],
              annotations: Sequence[Path]) -> Step:
    """Train a part on a dataset, with the detector and what else it learns with."""
    taken = {name: weights[name] for name in ('detector', *_needs(part))}
    folder = args.out / 'weights'
    return Step(f'train {part} {dataset}', (
        'run_benchmark.py', 'train', part, '--dataset', dataset, *_given(args, 'data_root', 'split_by', 'images'),
        *_weights(taken), *(f'--set={setting}' for setting in _settings_of(part, args.settings)),
        *_given(args, 'recipe', 'vectors', 'seed', 'device'), '--out', str(folder), '--work', str(args.out / 'work')),
        (*taken.values(), *annotations, *_vectors(args)), (folder / f'{part}-{dataset}.safetensors',), estimates=True)


def _run(args: Namespace, dataset: str, grounders: Sequence[str], weights: Mapping[str, Path],
         annotations: Sequence[Path]) -> Step:
    """Run grounders on a dataset, or without any the rules of 100 proposals; a finished run of other weights or options
    is moved aside."""
    what, rules, ending = ('run', RULES, '') if grounders else ('recall', HUNDRED, '-100')
    folder = args.out / 'runs' / f'{dataset}{ending}'
    taken = {name: weights[name] for name in ('detector', *TRAINED_RULES, *grounders)}
    return Step(f'{what} {dataset}', (
        'run_benchmark.py', '--dataset', dataset, *_given(args, 'data_root', 'split_by', 'images'), '--proposals',
        ','.join(rules), '--grounder', ','.join(grounders) or 'none', *_weights(taken),
        *_given(args, 'vectors', 'limit', 'device'), '--out', str(folder)),
        (*taken.values(), *annotations, *_vectors(args)),
        (folder / 'results.json', folder / 'predictions.jsonl'), into=folder.with_name(f'{folder.name}.txt'),
        anew=('--fresh',))


def _weights(files: Mapping[str, Path]) -> list[str]:
    return [f'--weights={name}={path}' for name, path in files.items()]


def _given(args: Namespace, *options: str) -> list[str]:
    """The options that were given, as they are typed."""
    return [text for option in options if (value := getattr(args, option)) is not None
            for text in (f'--{option.replace("_", "-")}', str(value))]


def _annotation_files(args: Namespace, name: str) -> tuple[Path, ...]:
    """The files of a dataset that decide what is learned and measured."""
    folder = args.data_root / name
    maker = split_maker(name, args.data_root, args.split_by)
    return *(path for ending in ('p', 'json') if (path := folder / f'refs({maker}).{ending}').is_file()), \
        folder / 'instances.json'


def _vectors(args: Namespace) -> tuple[Path, ...]:
    return () if args.vectors is None else (args.vectors,)
