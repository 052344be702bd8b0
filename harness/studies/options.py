"""The options that studies share."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.arguments import add_device, add_limit, add_settings, add_vectors, add_weights
from harness.errors import InputError
from harness.evaluation.datasets import EMBEDDED, STAND_IN
from harness.evaluation.request import Request
from harness.evaluation.settings import parse_settings, parse_weights
from harness.names import OneLineParser
from harness.options import within

DEFAULT = 'mini-refcoco'


def study_parser(name: str, what: str) -> OneLineParser:
    """A parser with the options for the data, the word vectors and the output folder."""
    parser = OneLineParser(prog=f'run_benchmark.py study {name}', allow_abbrev=False, description=what)
    parser.add_argument('--dataset', action='append', metavar='NAME', help='datasets (default: mini-refcoco)')
    parser.add_argument('--split', action='append', metavar='NAME', help='splits (default: all but train)')
    add_limit(parser)
    parser.add_argument('--data-root', type=Path, metavar='DIR', help='real datasets in REFER\'s layout')
    add_vectors(parser)
    parser.add_argument('--out', type=Path, metavar='DIR', help=f'default: results/study-{name}-<time>')
    return parser


def with_rules(parser: OneLineParser) -> OneLineParser:
    """Add the options of a study that runs proposal rules."""
    parser.add_argument('--proposals', action='append', metavar='RULE', help='default: all whose weights are there')
    add_weights(parser, 'weights instead of the shipped ones, or such as are not shipped')
    add_settings(parser)
    parser.add_argument('--split-by', metavar='NAME', help='who made the splits of --data-root: refs(NAME).p')
    add_device(parser)
    return parser


def check_shared(args: argparse.Namespace) -> None:
    """Refuse options that are invalid or have no effect in any study.

    Raises:
        InputError: an option is invalid or has no effect.
    """
    within('--limit', args.limit, 1, 10 ** 9)
    wanted = [name.strip() for given in args.dataset or [DEFAULT] for name in given.split(',')]
    if args.data_root is not None and all(name in EMBEDDED for name in wanted):
        raise InputError(f'--data-root {args.data_root}: {", ".join(wanted)} is not read from there; '
                         f'leave the option out, or add --dataset {", ".join(STAND_IN)}')


def request_of(args: argparse.Namespace, **more: Any) -> Request:
    """The options of both parsers, and ``more``, as a request."""
    check_shared(args)
    wanted: dict[str, Any] = dict(
        datasets=args.dataset or [DEFAULT], splits=args.split, limit=args.limit, data_root=args.data_root,
        vectors=args.vectors, weights=parse_weights(args.weights), settings=parse_settings(args.settings),
        device=args.device, split_by=args.split_by)
    return Request(**(wanted | more))
