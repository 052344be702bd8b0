#!/usr/bin/env python
"""The command line: expressions in, tables out."""
from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shlex
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before torch is imported. Threads that wait by spinning without end take the processors from each other where there is
# other work too: a few times as slow here. A short spin costs next to nothing on an idle machine.
os.environ.setdefault('GOMP_SPINCOUNT', '20000')
warnings.filterwarnings('ignore', category=UserWarning)
warnings.filterwarnings('ignore', category=FutureWarning)

from harness.errors import InputError, exit_code  # noqa: E402 (the filters above silence the libraries imported below)
from harness.files.reading import require_regular  # noqa: E402
from harness.names import OneLineParser, nearest  # noqa: E402
from harness.program import SCRIPT, program  # noqa: E402

if TYPE_CHECKING:
    from rich.console import Console

    from harness.evaluation.plan import Request
    from harness.evaluation.run import Outcome

#: Subcommands, each a module with ``main(argv)``, and what it does.
COMMANDS = {
    'show': ('harness.commands.show', 'one picture and one sentence: the grounded box and mask, drawn'),
    'train': ('harness.commands.train', 'train weights: the shipped ones again, or Ref-NMS with any option'),
    'study': ('harness.studies', 'what could explain the gain away: fair, number, gamma, seeds'),
    'convert': ('harness.commands.convert', 'an original\'s checkpoint to weights for --weights'),
    'export': ('harness.commands.export', 'a run\'s proposals and choices in the originals\' layouts'),
    'check-data': ('harness.commands.check_data', 'what of --data-root is there, and what can be run with it'),
}

EPILOG = f"""commands (run_benchmark.py COMMAND --help says more of each):
{chr(10).join(f'  {name:<10}  {what}' for name, (_, what) in COMMANDS.items())}

examples:
  run_benchmark.py                                                    CM-A-E on the whole embedded benchmark
  run_benchmark.py --dataset mini-refcoco --split testB --limit 60    a look
  run_benchmark.py --grounder none                                    recall alone
  run_benchmark.py --expressions FILE.jsonl.gz --candidates BOXES.json.gz  recall of boxes from outside
  run_benchmark.py --data-root DIR --dataset refcoco                  RefCOCO itself
  run_benchmark.py convert IN.pth OUT.safetensors --as mattnet        an original checkpoint to weights for --weights
  run_benchmark.py train all                                          the shipped weights anew, into results/weights
  run_benchmark.py train all --overwrite                              the same over the shipped ones, in a checkout
"""


def parser() -> argparse.ArgumentParser:
    p = OneLineParser(
        allow_abbrev=False, prog=SCRIPT, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
        description='Measure two-stage referring expression grounding: recall of critical objects, REC accuracy, '
                    'RES overall IoU and Pr@X. Without options it runs on the embedded benchmark.')
    p.add_argument('--list', action='store_true', help='print datasets, splits, grounders, rules and metrics, and stop')
    what = p.add_argument_group('what to run (repeat an option or separate by commas; "all" means every known one)')
    what.add_argument('--grounder', action='append', metavar='NAME', help='grounders (default: cmae), or none')
    what.add_argument('--dataset', action='append', metavar='NAME', help='datasets (default: the three embedded ones)')
    what.add_argument('--split', action='append', metavar='NAME', help='splits (default: all but train)')
    what.add_argument('--task', action='append', metavar='NAME', help='recall, rec, res (default: all that can be)')
    what.add_argument('--proposals', action='append', metavar='RULE', help='proposal rules (default: those of Table 1)')
    what.add_argument('--limit', type=int, metavar='N', help='only the first N expressions of each split, for a look')
    data = p.add_argument_group('your own files')
    data.add_argument('--data-root', type=Path, metavar='DIR', help='real datasets in REFER\'s layout: '
                      'DIR/refcoco/refs(unc).p, DIR/refcoco/instances.json, DIR/images/train2014/…; or DIR/<any name>/')
    data.add_argument('--split-by', metavar='NAME', help='who made the splits of --data-root: refs(NAME).p '
                      '(default: as published, or the only one there)')
    data.add_argument('--expressions', type=Path, metavar='FILE', help='plain expressions, .jsonl or .jsonl.gz; or the '
                      'originals\' data.json, data_dep.json, std_refdb_….json')
    data.add_argument('--images', type=Path, metavar='DIR', help='images of --expressions or --data-root, by '
                      'file_name, COCO\'s names or <id>.jpg')
    data.add_argument('--max-pixels', type=int, metavar='N',
                      help='leave out images of more pixels (default: 50 million)')
    data.add_argument('--candidates', type=Path, metavar='FILE', help='outside boxes: {image_id: [[x, y, w, h], …]}')
    data.add_argument('--weights', action='append', default=[], metavar='NAME=FILE',
                      help='weights of detector, ref-nms-b, cmae, … instead of the shipped ones')
    data.add_argument('--detector', metavar='NAME', default='mmdet-c4',
                      help='what detects (default: mmdet-c4, with the weights of its name)')
    data.add_argument('--vectors', type=Path, metavar='FILE', help='word vectors, for instance glove.840B.300d.txt')
    data.add_argument('--import', action='append', type=Path, default=[], metavar='FILE.py', dest='imports',
                      help='your own file that registers a grounder, rule or metric')
    data.add_argument('--detections', type=Path, metavar='FILE',
                      help='the originals\' detections (dets.json, matt_dets_….json) as the proposals')
    data.add_argument('--masks', type=Path, metavar='FILE', help='the originals\' masks of --detections (masks.json)')
    data.add_argument('--features', type=Path, metavar='DIR',
                      help='the originals\' head features (<image_id>.h5) in the place of images')
    data.add_argument('--predictions', type=Path, metavar='FILE', help='judge answers from outside: predictions.jsonl, '
                      'COCO results with sent_id, or the originals\' result files')
    data.add_argument('--allow-missing', action='store_true',
                      help='leave out expressions that --predictions answers not once, instead of counting them wrong')
    how = p.add_argument_group('how')
    how.add_argument('--out', type=Path, metavar='DIR', help='where results go (default: results/<time>)')
    how.add_argument('--device', help='cpu or cuda (default: cuda where there is one)')
    how.add_argument('--seed', type=int, default=0, help='seed of whatever is random (default: 0)')
    how.add_argument('--set', action='append', default=[], metavar='NAME.OPTION=VALUE', dest='settings',
                     help='an option of a rule or grounder, for instance ref-nms-b.threshold=0.2')
    return p


#: What has a part in judging ``--predictions``; nothing is run for it.
JUDGING = frozenset(
    'predictions dataset split task limit data_root expressions images imports allow_missing out'.split())


#: What the modules of a user's own files are called by.
IMPORTED = 'imported_'


def import_plugins(files: Sequence[Path] = ()) -> None:
    """Let the adapters, and a user's own files, register their grounders, rules and metrics."""
    from harness.registry import GROUNDERS
    GROUNDERS.import_from_location()
    for file in files:
        import_file(file)


def import_file(file: Path) -> None:
    """Run a user's own Python file, for what it registers."""
    require_regular(file)
    spec = importlib.util.spec_from_file_location(f'{IMPORTED}{file.stem}', file)
    if spec is None or spec.loader is None or not file.is_file():
        raise InputError(f'--import {file}: there is no such Python file')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(own_fault(error) or f'--import {file}: {said(error)}; fix the file') from error
    from harness.registry import DATASETS
    for name in DATASETS.module_dict:
        if not name.isprintable():
            raise InputError(f'--import {file}: registers {name!r}, a name that cannot be printed; choose another')


def own_fault(error: Exception) -> str | None:
    """Where in a user's own file an exception came up, and what it says; ``None`` where none of them took part."""
    lines = [f'{frame.f_code.co_filename}:{number}' for frame, number in traceback.walk_tb(error.__traceback__)
             if str(frame.f_globals.get('__name__')).startswith(IMPORTED)]
    return f'{lines[-1]}: {said(error)}; fix the file' if lines else None


def said(error: Exception) -> str:
    """An exception on one line."""
    return str(error) if isinstance(error, InputError) else f'{type(error).__name__}: {" ".join(str(error).split())}'


def main(argv: list[str]) -> int:
    if argv and not argv[0].startswith('-'):
        return command(argv[0], argv[1:])
    args = parser().parse_args(argv)
    refuse_beside(args)
    loading()
    import_plugins(args.imports)
    if args.list:
        from harness.commands.listing import listing
        print(listing())
        return 0
    return benchmark(args, f'{program()} {shlex.join(argv)}'.rstrip())


def command(name: str, argv: list[str]) -> int:
    """Run a subcommand."""
    if name not in COMMANDS:
        raise InputError(f'{name}: there is no such command{nearest(name, COMMANDS)}; known are {", ".join(COMMANDS)}; '
                         'see --help')
    loading()
    import_plugins()
    return importlib.import_module(COMMANDS[name][0]).main(argv)


def loading() -> None:
    """Import what takes seconds, and say so."""
    for what, module in (('torch', 'torch'), ('mmdet', 'mmdet.registry'), ('spaCy', 'spacy')):
        if module not in sys.modules:
            print(f'loading {what} …', file=sys.stderr, flush=True)
            importlib.import_module(module)


def refuse_beside(args: argparse.Namespace) -> None:
    """Refuse what has no effect beside ``--list`` or ``--predictions``."""
    defaults = vars(parser().parse_args([]))
    given = [name for name, value in vars(args).items() if value != defaults[name]]
    for name in given:
        option = '--' + {'settings': 'set', 'imports': 'import'}.get(name, name).replace('_', '-')
        if args.list and name not in ('list', 'imports'):
            raise InputError(f'{option}: --list runs nothing; leave it out')
        if args.predictions is not None and name not in JUDGING:
            raise InputError(f'{option}: has no part in judging --predictions; leave it out')
    if args.allow_missing and args.predictions is None:
        raise InputError('--allow-missing: goes with --predictions FILE')


def benchmark(args: argparse.Namespace, command: str) -> int:
    """Run or judge, write and print."""
    from mmengine.runner import set_random_seed
    from rich.console import Console

    from harness.device import pick_device

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    start = time.perf_counter()
    if not 0 <= args.seed < 2 ** 32:
        raise InputError(f'--seed {args.seed}: must be from 0 to 4294967295')
    device = pick_device(args.device)
    set_random_seed(args.seed)
    console.print('reading data and weights …')
    measured = (measure if args.predictions is None else judge_file)(args, console)
    options = {name: recorded(value) for name, value in vars(args).items()}
    finish(measured, command, {**options, 'device': device}, time.perf_counter() - start)
    return 0


def recorded(value: Any) -> Any:
    """An option as JSON keeps it, a list as a list."""
    if isinstance(value, list):
        return [recorded(one) for one in value]
    return value if isinstance(value, str | int | bool | None) else str(value)


@dataclass
class Measured:
    """What a run or a judgement leaves: its folder, its outcome, and where that comes from."""

    out: Path
    outcome: Outcome
    data: dict[str, str]
    notes: list[str]
    weights: dict[str, Any] = field(default_factory=dict)
    images_in: dict[str, str] = field(default_factory=dict)


def measure(args: argparse.Namespace, console: Console) -> Measured:
    """Run what the options ask for."""
    from harness.evaluation.announcement import announcement
    from harness.evaluation.datasets import image_folders
    from harness.evaluation.plan import prepare
    from harness.evaluation.result_folder import result_folder
    from harness.evaluation.run import run
    from harness.progress import track

    start = time.perf_counter()
    prepared = prepare(request_of(args), console.print)
    console.print(announcement(prepared.plan), markup=False)
    loaded = time.perf_counter() - start
    with result_folder(args.out, console.print) as out:
        outcome = run(prepared.plan, out, lambda work: track(work, 'images', console))
    outcome.stages['read data and weights'].seconds = loaded
    return Measured(out, outcome, prepared.data, prepared.notes, prepared.weights,
                    image_folders(prepared.plan.datasets))


def judge_file(args: argparse.Namespace, console: Console) -> Measured:
    """Judge the answers of ``--predictions``."""
    from adapters.originals.outside import read_predictions
    from harness.evaluation.datasets import image_folders, joined
    from harness.evaluation.judge import check_answers, judge
    from harness.evaluation.plan import prepare_judgement
    from harness.evaluation.result_folder import result_folder

    sets = read_predictions(args.predictions)
    datasets, expressions, tasks = prepare_judgement(request_of(args), sets)
    judgement = check_answers(sets, datasets, expressions, tasks, args.allow_missing)
    notes = [*judgement.notes, *joined(note for dataset in datasets.values() for note in dataset.notes)]
    with result_folder(args.out, console.print) as out:
        outcome = judge(judgement, datasets, expressions, out)
    return Measured(out, outcome, {d.name: d.data_hash for d in datasets.values()}, notes, {}, image_folders(datasets))


def request_of(args: argparse.Namespace) -> Request:
    """The options as a request; files in the originals' layouts are read here, by their adapters."""
    from adapters.originals.outside import read_expressions
    from harness.evaluation.plan import Request
    from harness.evaluation.settings import parse_settings, parse_weights

    request = Request(
        grounders=args.grounder, datasets=args.dataset, splits=args.split, tasks=args.task, rules=args.proposals,
        limit=args.limit, device=args.device, seed=args.seed, data_root=args.data_root, expressions=args.expressions,
        split_by=args.split_by, max_pixels=args.max_pixels, detector=args.detector,
        read_expressions=read_expressions, candidates=args.candidates, images=args.images, vectors=args.vectors,
        weights=parse_weights(args.weights), settings=parse_settings(args.settings))
    if args.detections is not None:
        from adapters.originals.detections import read_detections
        request.detections = read_detections(args.detections)
    if args.masks is not None:
        from adapters.originals.masks import read_masks
        request.masks = read_masks(args.masks).rle
    if args.features is not None:
        from adapters.originals.features import read_head_features
        request.features = read_head_features(args.features)
    return request


def finish(measured: Measured, command: str, options: Mapping[str, Any], wall: float) -> None:
    """Write ``results.json`` and ``tables.md``, and print."""
    from harness.evaluation.results import run_record, write_results, write_text
    from reports.tables.command import document, printed, read_results

    out, outcome = measured.out, measured.outcome
    record = run_record(outcome, command=command, options=options, seed=options['seed'], data=measured.data,
                        weights=measured.weights, notes=measured.notes, wall=wall, images_in=measured.images_in)
    results = read_results(write_results(out, outcome, record))
    write_text(out / 'tables.md', document(results, 'Results'))
    print(printed(results))
    print()
    for note in record['notes']:
        print(f'note: {note}')
    for what, n in record['counts'].items():
        print(f'counted: {n} {what}')
    print(f'{outcome.expressions} expressions on {outcome.images} images in {record["wall_seconds"]:.0f} s; '
          f'all tables: {out / "tables.md"}')


def command_line(argv: list[str]) -> int:
    """Run, and turn what goes wrong into one line and an exit code: 2 for bad input, 130 for Ctrl-C."""
    return exit_code(lambda: blaming(argv), 'interrupted: the rows written so far are kept',
                     'free some space or check permissions')


def blaming(argv: list[str]) -> int:
    """Run; what comes up in a user's own file is bad input like any other."""
    try:
        return main(argv)
    except (InputError, OSError):
        raise
    except Exception as error:
        fault = own_fault(error)
        if fault is None:
            raise
        raise InputError(fault) from error


def console() -> int:
    """``ref-nms-benchmark``, the command of an installed package."""
    return command_line(sys.argv[1:])


if __name__ == '__main__':
    sys.exit(console())
