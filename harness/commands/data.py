"""``run_benchmark.py data``: ``export`` writes datasets in other tools' forms, ``candidates`` finds boxes in them."""
from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.commands import data_candidates
from harness.commands.data_sources import add_sources, check_sources, chosen_of, datasets_of
from harness.data.export import export, lost
from harness.evaluation.datasets import joined
from harness.names import OneLineParser, pick
from harness.registry import FORM_WRITERS, names


def main(argv: Sequence[str]) -> int:
    """Do what the subcommand says."""
    parser = OneLineParser(prog='run_benchmark.py data', allow_abbrev=False,
                           description='The forms that people have the data in; docs/forms.md describes them.')
    subcommands = parser.add_subparsers(dest='subcommand', required=True, metavar='SUBCOMMAND')
    for name, (summary, add_options, _) in SUBCOMMANDS.items():
        add_options(subcommands.add_parser(name, prog=f'run_benchmark.py data {name}', allow_abbrev=False, help=summary,
                                           description=f'{summary[0].upper()}{summary[1:]}.'))
    args = parser.parse_args(argv)
    return SUBCOMMANDS[args.subcommand][2](args)


def export_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``data export``."""
    parser.add_argument('--as', dest='form', metavar='FORM', required=True,
                        help=f'the form: {", ".join(names(FORM_WRITERS))}')
    parser.add_argument('--out', type=Path, required=True, metavar='PATH',
                        help='a folder for the files, or the file itself where there is only one')
    add_sources(parser)


def run_export(args: argparse.Namespace) -> int:
    """Write the files, print their paths and what the form could not hold."""
    form, = pick('--as', [args.form], names(FORM_WRITERS), ())
    check_sources(args)
    datasets = datasets_of(args)
    chosen = chosen_of(datasets, args.split, args.limit)
    writer = FORM_WRITERS.get(form)()
    for path in export(datasets, chosen, writer, args.out):
        print(path)
    expressions = {name: [e for es in splits.values() for e in es] for name, splits in chosen.items()}
    said = [*(note for name in chosen for note in datasets[name].notes),
            *filter(None, (lost(datasets[name], expressions[name], writer) for name in chosen))]
    for note in joined(said):
        print(f'note: {note}')
    images = sum(len({e.image_id for e in es}) for es in expressions.values())
    print(f'{sum(map(len, expressions.values()))} expressions on {images} images')
    return 0


#: What each subcommand does, what adds its options, and what runs it.
SUBCOMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]] = {
    'export': ('write datasets in other tools\' forms', export_options, run_export),
    'candidates': (data_candidates.SUMMARY, data_candidates.add_options, data_candidates.run),
}
