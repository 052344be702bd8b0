"""``run_benchmark.py check-data --data FILE``: what files of any form hold, and which published partition that is."""
from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from tabulate import tabulate

from harness.data.assembly.datasets import load_data
from harness.data.assembly.files import DataFiles, data_files
from harness.data.passport import Passport, passports, said
from harness.program import program
from harness.types import Dataset, Expression


def check_forms(given: Sequence[Path], images: Path | None, boxes: str | None) -> int:
    """Print what the files hold; returns 0.

    Args:
        given: files and folders.
        images: folder of their images.
        boxes: how they write a box.

    Raises:
        InputError: as of :func:`harness.data.assembly.datasets.load_data`.
    """
    files = data_files(given)
    datasets = load_data(given, images, boxes, files)
    splits = {(name, split): dataset.split(split) for name, dataset in datasets.items() for split in dataset.splits}
    found = passports(datasets, splits)
    for (name, split), members in splits.items():
        passport = found[name][split]
        print(f'{name} {split}: {said(passport)}')
        for line in (*_counted(passport), *_shared(passport), *_available(datasets[name], members)):
            print(f'  {line}')
    for dataset in datasets.values():
        for note in dataset.notes:
            print(f'note: {note}')
    print()
    print(tabulate(_files(files), ('file', 'form', 'boxes'), tablefmt='simple'))
    options = [word for path in given for word in ('--data', str(path))]
    options += ['--images', str(images)] * (images is not None) + ['--boxes', str(boxes)] * (boxes is not None)
    print('\nwhat can be done with it:')
    run = ['--grounder cmae'] * any(_has_images(dataset) for dataset in datasets.values())
    for more in (*run, '--predictions ANSWERS --answers FORM', '--candidates BOXES --task recall'):
        print(f'  {program()} {shlex.join(options)} {more}')
    return 0


def _has_images(dataset: Dataset) -> bool:
    """Whether the images are in the file itself, or the first of them is where it should be."""
    first = next(iter(dataset.images.values()), None)
    return dataset.unpack is not None or (first is not None and first.path is not None and os.path.isfile(first.path))


def _counted(passport: Passport) -> Iterator[str]:
    yield (f'{passport["expressions"]:,} expressions of {passport["referents"]:,} referents on '
           f'{passport["images"]:,} images')
    for part in passport['parts']:
        if missing := part['of_expressions'] - part['expressions']:
            yield f'missing of {part["dataset"]} {part["split"]}: {missing:,} expressions'


def _shared(passport: Passport) -> Iterator[str]:
    if passport['shared_images']:
        told = ', '.join(f'{name} {n:,}' for name, n in passport['shared_images'].items())
        yield f'images that other partitions evaluate too: {told}'


def _available(dataset: Dataset, members: Sequence[Expression]) -> Iterator[str]:
    """What is there and what is not."""
    images = [dataset.images[i] for i in dict.fromkeys(e.image_id for e in members)]
    there = {'ref_id': all(e.ref_id is not None for e in members), 'ann_id': all(e.ann_id is not None for e in members),
             'category': all(e.category is not None for e in members), 'masks': bool(dataset.with_masks()),
             'other objects': dataset.annotations is not None, 'image sizes': all(info.height for info in images)}
    for said_, wanted in (('available', True), ('not available', False)):
        if names := [name for name, is_there in there.items() if is_there == wanted]:
            yield f'{said_}: {", ".join(names)}'
    if dataset.unpack is not None:
        yield 'images: in the file itself'
    else:
        found = sum(info.path is not None and os.path.isfile(info.path) for info in images)
        yield f'images: {found:,} of {len(images):,} found'


def _files(files: DataFiles) -> list[tuple[str, str, str]]:
    rows = [(str(file.path), file.form.name, file.form.boxes or 'settled by the file') for file in files.files]
    return rows + ([(str(files.instances), 'COCO instances', 'xywh')] if files.instances else [])
