"""``python -m reports conventions RESULTS…``: how it would count elsewhere."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness.data.run_files import predictions_file
from harness.errors import InputError
from harness.names import OneLineParser, pick
from reports.drawing.formats import add_format


def main(argv: Sequence[str]) -> int:
    """``python -m reports conventions RESULTS…``."""
    parser = OneLineParser(prog='python -m reports conventions', allow_abbrev=False, description=(
        'Count the same answers by every rule in use: figure, difference to ours, and which expressions change. '
        'docs/conventions.md explains the rules.'),
        epilog='example: conventions runs/new --dataset refcoco --split val --format csv')
    parser.add_argument('results', nargs='+', type=Path, help='run folders or predictions.jsonl files')
    for name in ('dataset', 'split', 'grounder', 'proposals'):
        parser.add_argument(f'--{name}', action='append', metavar='NAME', help='only these')
    parser.add_argument('--batch-size', type=_positive, default=8, metavar='N', help=(
        'of the loader that drops its last batch (default: 8, as Qwen-VL\'s evaluation)'))
    parser.add_argument('--examples', type=_count, default=3, metavar='N', help=(
        'how many expressions that change are named for each rule (default: 3)'))
    add_format(parser)
    args: argparse.Namespace = parser.parse_args(argv)
    for path in args.results:
        predictions_file(path)
    from reports.compare import only
    from reports.conventions.blocks import blocks, notes
    from reports.conventions.ledger import ledgers
    from reports.drawing.listing import Listing
    from reports.drawing.rendering import written
    from reports.rows.prediction_rows import NO_GROUNDER, read_predictions
    rows = only(read_predictions(args.results), args.dataset, args.split)
    rows = rows[rows['grounder'] != NO_GROUNDER]
    for name in ('grounder', 'proposals'):
        if getattr(args, name) is not None and len(rows):
            rows = rows[rows[name].isin(pick(f'--{name}', getattr(args, name), rows[name].unique(), ()))]
    try:
        found = ledgers(rows, args.batch_size, args.examples)
    except InputError as error:
        raise InputError(f'{args.results[0]}: {error}') from None
    drawn = args.format not in ('csv', 'json')
    print(written(Listing(blocks(found, drawn), notes(found, args.batch_size)), args.format))
    return 0


def _positive(text: str) -> int:
    number = _count(text)
    if number == 0:
        raise argparse.ArgumentTypeError('0 is no size of a batch; give 1 or more')
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 6:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number up to 999999; give 0 or more')
    return int(text)
