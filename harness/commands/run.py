"""``run_benchmark.py`` without a command: runs the benchmark, or judges answers from outside, and prints tables.

Libraries that take seconds to import are imported after the options have been read, where they are needed.
"""
from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.arguments import add_data, add_device, add_fresh, add_limit, add_settings, add_vectors, add_weights
from harness.commands import COMMANDS
from harness.commands.judging import add_judging, check_judging, judge_file
from harness.commands.reviewed import reviews_of, show_reviewed
from harness.commands.user_files import check_files, import_plugins
from harness.errors import InputError
from harness.loading import loading
from harness.names import OneLineParser
from harness.program import SCRIPT, program

if TYPE_CHECKING:
    from rich.console import Console

    from harness.evaluation.measure import Measured
    from harness.evaluation.request import Request
    from harness.evaluation.shards import Shard

EPILOG = f"""commands (run_benchmark.py COMMAND --help says more of each):
{chr(10).join(f'  {name:<10}  {what}' for name, (_, what) in COMMANDS.items())}

examples:
  run_benchmark.py                                                    CM-A-E on the whole embedded benchmark
  run_benchmark.py --dataset mini-refcoco --split testB --limit 60    a quick look
  run_benchmark.py --grounder none                                    recall only
  run_benchmark.py --expressions FILE.jsonl.gz --candidates BOXES.json.gz  recall of boxes from outside
  run_benchmark.py --data-root DIR --dataset refcoco                  RefCOCO itself
  run_benchmark.py --predictions FILE.json --answers vlm-r1           another model's answers, by the file's own boxes
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
    p.add_argument('--list', action='store_true',
                   help='print every dataset, split, grounder, rule, detector, metric and form of answers, and stop')
    what = p.add_argument_group('what to run (repeat an option or separate by commas; "all" means every known one)')
    what.add_argument('--grounder', action='append', metavar='NAME', help='grounders (default: cmae), or none')
    what.add_argument('--dataset', action='append', metavar='NAME', help='datasets (default: the three embedded ones)')
    what.add_argument('--split', action='append', metavar='NAME', help='splits (default: all but train)')
    what.add_argument('--task', action='append', metavar='NAME',
                      help='recall, rec, res (default: all that can be measured)')
    what.add_argument('--proposals', action='append', metavar='RULE', help='proposal rules (default: those of Table 1)')
    add_limit(what)
    data = p.add_argument_group('your own files')
    data.add_argument('--data-root', type=Path, metavar='DIR', help='real datasets in REFER\'s layout: '
                      'DIR/refcoco/refs(unc).p, DIR/refcoco/instances.json, DIR/images/train2014/…; or DIR/<any name>/')
    data.add_argument('--split-by', metavar='NAME', help='who made the splits of --data-root: refs(NAME).p '
                      '(default: as published, or the only one there)')
    add_data(data)
    data.add_argument('--expressions', type=Path, metavar='FILE', help='plain expressions, .jsonl or .jsonl.gz; or the '
                      'originals\' data.json, data_dep.json, std_refdb_….json')
    data.add_argument('--images', type=Path, metavar='DIR', help='images of --data, --expressions or --data-root, '
                      'by file_name, COCO\'s names or <id>.jpg')
    data.add_argument('--max-pixels', type=int, metavar='N',
                      help='leave out images of more pixels (default: 50 million)')
    data.add_argument('--candidates', type=Path, metavar='FILE',
                      help='COCO\'s detection results as the candidates of every rule; or boxes as the proposals: '
                      '{image_id: [[x, y, w, h], …]}')
    add_weights(data)
    data.add_argument('--detector', metavar='NAME', default='mmdet-c4',
                      help='the detector (default: mmdet-c4, which takes --weights detector=FILE)')
    add_vectors(data)
    data.add_argument('--import', action='append', type=Path, default=[], metavar='FILE.py', dest='imports',
                      help='your own file that registers a grounder, rule or metric')
    data.add_argument('--detections', type=Path, metavar='FILE',
                      help='the originals\' detections (dets.json, matt_dets_….json) as the proposals')
    data.add_argument('--masks', type=Path, metavar='FILE', help='the originals\' masks of --detections (masks.json)')
    data.add_argument('--features', type=Path, metavar='DIR',
                      help='the originals\' head features (<image_id>.h5) instead of images')
    data.add_argument('--predictions', type=Path, metavar='FILE', help='judge answers from outside: predictions.jsonl, '
                      'COCO results with sent_id, the originals\' result files, or what --answers says')
    add_judging(data)
    data.add_argument('--allow-missing', action='store_true',
                      help='leave out expressions without exactly one answer in --predictions, instead of counting '
                      'them as wrong')
    data.add_argument('--reviews', nargs='+', type=Path, metavar='FILE', help='reviewed labels (Ref-L4, RefCOCO-M): '
                      'every metric also without those that are marked as faulty')
    how = p.add_argument_group('how')
    how.add_argument('--out', type=Path, metavar='DIR', help='where results go (default: results/<time>)')
    add_fresh(how)
    how.add_argument('--workers', type=int, metavar='N',
                     help='processes that share the images (default: one per processor, or one on a GPU)')
    how.add_argument('--shard', metavar='I/N', help='run only shard I of N; merge puts all of '
                     'them together (default: as torchrun, Slurm or Open MPI says)')
    how.add_argument('--store', choices=('boxes', 'maps', 'none'), default='boxes',
                     help='what is kept of detections for later runs (default: boxes)')
    add_device(how)
    how.add_argument('--precision', choices=('fp32', 'bf16'), default='fp32',
                     help='of the detector\'s networks; bf16 counts the choices that it changes (default: fp32)')
    how.add_argument('--seed', type=int, default=0, help='seed of everything random (default: 0)')
    add_settings(how)
    return p


#: The options that have an effect with ``--predictions``, for which nothing is run.
JUDGING = frozenset(
    'predictions answers coordinates input_size dataset split task limit data boxes data_root expressions images '
    'candidates reviews imports allow_missing out'.split())


def main(argv: Sequence[str]) -> int:
    """Parse the options, then list, run or judge."""
    args = parser().parse_args(argv)
    refuse_beside(args)
    check_files(args.imports)
    if args.imports:
        loading()
        import_plugins(args.imports)
    check_judging(args)
    if args.list:
        from harness.commands.listing import listing
        print(listing())
        return 0
    request = checked_request(args)
    loading()
    return benchmark(args, request, f'{program()} {shlex.join(without_shard(argv))}'.rstrip())


def checked_request(args: argparse.Namespace) -> Request:
    """The options as a request whose names and numbers have been checked."""
    from harness.evaluation.asked import check_asked
    from harness.evaluation.result_folder import require_folder
    from harness.evaluation.workers import MOST_WORKERS
    from harness.options import within

    within('--seed', args.seed, 0, 2 ** 32 - 1)
    within('--workers', args.workers, 1, MOST_WORKERS)
    require_folder(args.out)
    request = request_of(args)
    if args.predictions is None:
        asked_shard(args)
        check_asked(request)
    return request


def asked_shard(args: argparse.Namespace) -> Shard | None:
    """The shard that ``--shard`` or a launcher asks for; ``None`` for the whole run.

    Raises:
        InputError: there is no such shard, or ``--out`` is not given.
    """
    from harness.evaluation.shards import parse_shard, shard_of

    shard = shard_of() if args.shard is None else parse_shard(args.shard)
    if shard is not None and args.reviews:
        raise InputError('--reviews: has no effect on a shard; give it to reports reviews once all shards are merged')
    if shard is not None and args.out is None:
        raise InputError(f'--out: shard {shard} needs a folder that all shards share; add --out DIR')
    return shard


def refuse_beside(args: argparse.Namespace) -> None:
    """Refuse options that have no effect with ``--list`` or ``--predictions``."""
    defaults = vars(parser().parse_args([]))
    given = [name for name, value in vars(args).items() if value != defaults[name]]
    for name in given:
        option = '--' + {'settings': 'set', 'imports': 'import'}.get(name, name).replace('_', '-')
        if args.list and name not in ('list', 'imports'):
            raise InputError(f'{option}: --list runs nothing; leave it out')
        if args.predictions is not None and name not in JUDGING:
            raise InputError(f'{option}: has no effect on judging --predictions; leave it out')
    if args.allow_missing and args.predictions is None:
        raise InputError('--allow-missing: has an effect only with --predictions FILE; add that, or leave it out')


def benchmark(args: argparse.Namespace, request: Request, command: str) -> int:
    """Run or judge, then write and print the results."""
    from mmengine.runner import set_random_seed
    from rich.console import Console

    from harness.device import pick_device

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    start = time.perf_counter()
    device = pick_device(args.device)
    set_random_seed(args.seed)
    console.print('reading data and weights …')
    reviews = reviews_of(args.reviews)
    options = {**recorded_options(args), 'device': device}
    if args.predictions is None:
        measured = measure_request(args, request, {'command': command, 'options': options}, console)
    else:
        measured = judge_file(args, request, console)
    if measured.shard is None:
        finish(measured, command, options, time.perf_counter() - start)
        if reviews is not None:
            show_reviewed(measured.out, reviews)
    else:
        print(f'shard {measured.shard}: {measured.outcome.counters.images} images are done, in {measured.out}; when '
              f'all shards are done: {program()} merge {args.out}')
    return 0


#: Options that say how a run is carried out and change no row.
HOW = ('workers', 'shard', 'fresh', 'store')


def recorded_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options that say what is measured, as values for JSON."""
    return {name: recorded(value) for name, value in vars(args).items() if name not in HOW}


def recorded(value: Any) -> Any:
    """The value of an option as a value for JSON."""
    if isinstance(value, list):
        return [recorded(one) for one in value]
    return value if isinstance(value, str | int | bool | None) else str(value)


def without_shard(argv: Sequence[str]) -> list[str]:
    """The command line of the whole run that a shard belongs to."""
    return [word for before, word in zip(['', *argv], argv, strict=False)
            if word != '--shard' and before != '--shard' and not word.startswith('--shard=')]


def measure_request(args: argparse.Namespace, request: Request, about: Mapping[str, Any], console: Console) -> Measured:
    """Run what the options ask for."""
    from harness.commands.readers import READERS
    from harness.evaluation.announcement import announcement
    from harness.evaluation.measure import Execution, measure
    from harness.progress import track

    execution = Execution(args.out, args.workers, asked_shard(args), args.fresh, partial(import_plugins, args.imports))
    return measure(request, execution, lambda work: track(work, 'images', console), about, READERS, console.print,
                   lambda plan: console.print(announcement(plan), markup=False))


def request_of(args: argparse.Namespace) -> Request:
    """The options as a request."""
    from harness.evaluation.request import Request
    from harness.evaluation.settings import parse_settings, parse_weights

    return Request(
        grounders=args.grounder, datasets=args.dataset, splits=args.split, tasks=args.task, rules=args.proposals,
        limit=args.limit, device=args.device, precision=args.precision, seed=args.seed, data_root=args.data_root,
        expressions=args.expressions, data=tuple(args.data), boxes=args.boxes, split_by=args.split_by,
        max_pixels=args.max_pixels, detector=args.detector,
        candidates=args.candidates, images=args.images, vectors=args.vectors, detections=args.detections,
        masks=args.masks, features=args.features, store=args.store,
        weights=parse_weights(args.weights), settings=parse_settings(args.settings))


def finish(measured: Measured, command: str, options: Mapping[str, Any], wall: float) -> None:
    """Write ``results.json`` and ``tables.md``, and print tables and notes."""
    from harness.evaluation.results import write_results, write_text
    from reports.rows.results_files import read_results
    from reports.tables.plain_tables import document, printed

    out, outcome = measured.out, measured.outcome
    record = measured.record(command, options, options['seed'], wall)
    results = read_results(write_results(out, outcome, record))
    write_text(out / 'tables.md', document(results, 'Results'))
    print(printed(results))
    print()
    for note in record['notes']:
        print(f'note: {note}')
    for what, n in record['counts'].items():
        print(f'counted: {n} {what}')
    print(f'{outcome.counters.expressions} expressions on {outcome.counters.images} images in '
          f'{record["wall_seconds"]:.0f} s; all tables: {out / "tables.md"}')
