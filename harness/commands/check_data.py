"""``run_benchmark.py check-data``: lists what ``--data-root`` or ``--data`` holds, what lacks, and what can be run.

A data root is looked through by :mod:`harness.commands.data_root`, files of any form by
:mod:`harness.commands.check_forms`.
"""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from harness.arguments import add_data, add_weights
from harness.commands.check_forms import check_forms
from harness.commands.data_root import converted_detector, look
from harness.errors import InputError
from harness.evaluation.settings import parse_weights
from harness.names import OneLineParser
from harness.program import program


def main(argv: Sequence[str]) -> int:
    """Print the table and the command lines; return 0 if anything can be run, else 1.

    Raises:
        InputError: the folder does not exist, or ``--weights`` names no converted detector.
    """
    parser = OneLineParser(prog='run_benchmark.py check-data', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('--data-root', type=Path, metavar='DIR', help='the folder to look through')
    add_data(parser)
    parser.add_argument('--images', type=Path, metavar='DIR', help='images of --data')
    parser.add_argument('--split-by', metavar='NAME', help='who made the splits: refs(NAME).p (default: as published, '
                        'or the only one there)')
    add_weights(parser, 'a converted detector, of which it is said how many evaluation images it was trained on '
                        '(default: those in DIR)', 'detector=FILE')
    args = parser.parse_args(argv)
    if (args.data_root is None) == (not args.data):
        raise InputError('--data-root DIR or --data FILE: give one of the two')
    if args.data:
        for option in ('split_by', 'weights'):
            if getattr(args, option):
                raise InputError(f'--{option.replace("_", "-")}: has no effect on --data; leave it out')
        return check_forms(args.data, args.images, args.boxes)
    for option in ('boxes', 'images'):
        if getattr(args, option):
            raise InputError(f'--{option}: has no effect on --data-root; leave it out')
    if not args.data_root.is_dir():
        raise InputError(f'--data-root {args.data_root}: there is no such folder; check the path')
    found = look(args.data_root, args.split_by, converted_detector(parse_weights(args.weights)))
    print(f'there: {"; ".join(found.datasets) or "no annotations that can be read"}')
    print(f'run: {_first(found.commands) or "nothing, the table below says what is missing"}\n')
    print(tabulate(found.rows, ('dataset', 'what', 'state', 'where'), tablefmt='simple', disable_numparse=True))
    if found.refused:
        print('', *found.refused, sep='\n')
    print('\nwhat can be run with it:' if found.commands else '\nnothing can be run with it: at least '
          'refcoco/refs(unc).p, refcoco/instances.json and its images are needed')
    for line in found.commands:
        print(f'  {line}')
    return 0 if found.commands else 1


def _first(commands: Sequence[str]) -> str | None:
    """The most useful command: a run, rather than a conversion of weights."""
    runs = [line for line in commands if not line.startswith(f'{program()} convert ')]
    return next(iter([*runs, *commands]), None)
