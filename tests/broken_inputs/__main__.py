"""``python -m tests.broken_inputs``: broken inputs for every entry point, a table, and 1 where one ends wrongly."""
from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tabulate import tabulate

from tests.broken_inputs import data_files, form_files, model_files, options, pictures, result_files
from tests.broken_inputs.trials import SECONDS, Trial, tried

ENTRY_POINTS: dict[str, Callable[[], Iterator[Trial]]] = {
    'expressions': data_files.expressions, 'excerpts': data_files.excerpts, 'candidates': data_files.candidates,
    'detections': data_files.detections, 'masks of detections': data_files.detected_masks,
    'predictions': data_files.answers, 'predictions with masks': data_files.answers_with_masks,
    'answers of models': data_files.answers_of_models,
    'predictions.jsonl': data_files.own_rows, 'refs.json': data_files.refs, 'refs.p': data_files.pickled_refs,
    'instances.json': data_files.instances, 'instances.json in a run': data_files.instances_run,
    'check-data': data_files.looked_through, 'forms of the data': form_files.forms,
    'data.json': data_files.mattnet_data, 'data_dep.json': data_files.nmtree_data,
    'std_refdb': data_files.refdb, 'other readers': data_files.readers,
    **{f'weights of {name}': lambda name=name: model_files.weights(name)  # type: ignore[misc]
       for name in ('detector', 'ref-nms-b', 'mattnet', 'cmae', 'nmtree')},
    'head features': model_files.head_features, 'vectors': model_files.vectors, 'convert': model_files.checkpoints,
    'words to convert': model_files.checkpoint_words, 'trees and features': model_files.trees,
    'images': pictures.images, 'results.json': result_files.results, 'reports of rows': result_files.rows,
    'proposals.jsonl': result_files.proposals, 'baselines': result_files.baselines, 'settings': options.settings,
    'command line': options.command_line, 'trainings': options.trainings, 'studies': options.studies}


def chosen(name: str, most: int | None) -> list[Trial]:
    """The sound trials of an entry point and ``most`` of the others, the same ones each time; ``None``: all of them."""
    every = list(ENTRY_POINTS[name]())
    if most is None or len(every) <= most:
        return every
    others = set(random.Random(name).sample(range(len(every)), most))
    return [trial for i, trial in enumerate(every) if trial.sound or i in others]


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line of every wrong trial and a table; 1 where there is one."""
    parser = argparse.ArgumentParser(prog='python -m tests.broken_inputs', description=__doc__)
    parser.add_argument('entries', nargs='*', metavar='ENTRY', help=f'of {", ".join(ENTRY_POINTS)} (default: all)')
    parser.add_argument('--most', type=int, default=150, metavar='N', help='of each entry point (default: %(default)s)')
    parser.add_argument('--all', action='store_true', help='all of each entry point: tens of thousands, hours')
    parser.add_argument('--seconds', type=float, default=SECONDS, help='that a trial may take (default: %(default)s)')
    parser.add_argument('--refusals', action='store_true', help='also print what each one was refused with')
    args = parser.parse_args(argv)
    if unknown := set(args.entries) - set(ENTRY_POINTS):
        parser.error(f'unknown: {", ".join(sorted(unknown))}')
    table, wrong = [], 0
    for name in args.entries or ENTRY_POINTS:
        start, ends = time.monotonic(), Counter[str]()
        for trial in chosen(name, None if args.all else args.most):
            verdict = tried(trial, args.seconds)
            ends[verdict.kind] += 1
            if verdict.kind == 'wrong' or (args.refusals and verdict.kind == 'refused'):
                print(f'{verdict.kind}: {name}: {trial.what}: {verdict.why}', flush=True)
        table.append((name, ends.total(), ends['refused'], ends['accepted'], ends['wrong'],
                      f'{time.monotonic() - start:.0f}'))
        wrong += ends['wrong']
        print(f'{name}: {dict(ends)}', file=sys.stderr, flush=True)
    print(tabulate([*table, ('all', *(sum(row[i] for row in table) for i in range(1, 5)), '')],
                   ('entry point', 'tried', 'refused', 'accepted', 'wrong', 's'), tablefmt='pipe'))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
