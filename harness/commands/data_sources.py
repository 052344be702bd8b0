"""The data that the subcommands of ``data`` are given: options that name them, and the datasets themselves."""
from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.arguments import add_data, add_limit, check_boxes
from harness.data.form_files import Splits
from harness.errors import InputError
from harness.evaluation.datasets import find_datasets
from harness.names import pick
from harness.types import Dataset

#: Options that say where the data are; at most one of them is given.
SOURCES = ('data', 'data_root', 'expressions')


def add_sources(parser: argparse.ArgumentParser) -> None:
    """The options that name data."""
    parser.add_argument('--dataset', action='append', metavar='NAME',
                        help='datasets (default: all of the files, or the three embedded ones)')
    parser.add_argument('--split', action='append', metavar='NAME', help='splits (default: all)')
    add_limit(parser)
    add_data(parser)
    parser.add_argument('--data-root', type=Path, metavar='DIR', help='datasets in REFER\'s layout')
    parser.add_argument('--split-by', metavar='NAME', help='who made the splits of --data-root: refs(NAME).p')
    parser.add_argument('--expressions', type=Path, metavar='FILE', help='plain expressions')
    parser.add_argument('--images', type=Path, metavar='DIR', help='the folder of the images')


def check_sources(args: argparse.Namespace) -> None:
    """Refuse options that exclude each other or have no effect.

    Raises:
        InputError: as said.
    """
    given = [f'--{name.replace("_", "-")}' for name in SOURCES if getattr(args, name)]
    if len(given) > 1:
        raise InputError(f'{given[1]}: the data are already named by {given[0]}; leave one of the two out')
    if args.images is not None and not given:
        raise InputError('--images: the embedded benchmark has images of its own; leave it out')
    if args.images is not None and not args.images.is_dir():
        raise InputError(f'--images {args.images}: there is no such folder')
    check_boxes(args.boxes, args.data)
    if args.split_by is not None and args.data_root is None:
        raise InputError('--split-by: chooses among the refs files of --data-root; add --data-root DIR, or leave '
                         '--split-by out')
    if args.limit is not None and args.limit < 1:
        raise InputError(f'--limit {args.limit}: must be at least 1')


def datasets_of(args: argparse.Namespace) -> dict[str, Dataset]:
    """The datasets asked for, by name."""
    if not args.data and args.expressions is None:
        return find_datasets(args.dataset, args.data_root, args.split_by, args.images)[0]
    if args.data:
        from harness.data.assembly.datasets import load_data
        loaded = load_data(args.data, args.images, args.boxes)
    else:
        from harness.commands.readers import READERS
        loaded = READERS.expressions(args.expressions, args.images)
    return {name: loaded[name] for name in pick('--dataset', args.dataset, loaded, tuple(loaded))}


def chosen_of(datasets: Mapping[str, Dataset], asked: Sequence[str] | None, limit: int | None) -> dict[str, Splits]:
    """The expressions asked for, by dataset and split; of each split the first ``limit``."""
    known = list(dict.fromkeys(split for dataset in datasets.values() for split in dataset.splits))
    wanted = pick('--split', asked, known, known)
    chosen = {name: {split: dataset.split(split)[:limit] for split in dataset.splits if split in wanted}
              for name, dataset in datasets.items()}
    return {name: splits for name, splits in chosen.items() if splits}
