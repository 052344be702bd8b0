"""Datasets in REFER's layout under ``--data-root``: the published ones by name, and those of the user's own.

A dataset is a folder with ``refs(<split maker>).p`` (or ``.json``) and ``instances.json``. The published ones are
counted against the published numbers where they are divided as those are.
"""
from __future__ import annotations

import os
import re
from pathlib import Path

from harness.data.counts import SPLIT_BY, counts_note
from harness.data.refer import load_refer
from harness.data.rehearsal_mark import NOTE, is_rehearsal
from harness.errors import InputError, shown
from harness.names import nearest
from harness.registry import DATASETS
from harness.types import Dataset

_REFS = re.compile(r'refs\((.+)\)\.(?:p|json)')


def split_makers(folder: Path) -> list[str]:
    """Who divided the refs in a dataset's folder: ``'unc'`` of ``refs(unc).p``; none of a folder that can't be read."""
    try:
        found = [_REFS.fullmatch(name) for name in os.listdir(folder)]
    except OSError:
        return []
    return sorted({match[1] for match in found if match and match[1].isprintable()})


def datasets_in(root: Path) -> dict[str, list[str]]:
    """The datasets of a data root, the published ones first, and who divided the refs of each."""
    names = sorted(name for name in os.listdir(root) if name.isprintable())
    names.sort(key=lambda name: [*SPLIT_BY, name].index(name))
    return {name: makers for name in names if (makers := split_makers(root / name))}


def split_maker(name: str, root: Path, asked: str | None = None) -> str:
    """Whose splits of a dataset are meant: the one asked for, who made the published ones, or the only one there.

    Raises:
        InputError: it is not there, or there are several.
    """
    folder, usual = root / name, SPLIT_BY.get(name, 'unc')
    makers = split_makers(folder)
    choices = ', '.join(makers)
    if asked is not None and makers and asked not in makers:
        raise InputError(f'--split-by {shown(asked)}: {folder} has no such refs{nearest(asked, makers)}; there are '
                         f'those of {choices}')
    if asked is not None or not makers:
        return asked or usual
    if len(makers) > 1 and not (name in SPLIT_BY and usual in makers):
        raise InputError(f'--split-by: {folder} has the refs of {choices}; choose one')
    return usual if usual in makers else makers[0]


def load_known(name: str, root: Path | None, split_by: str | None = None, images: Path | None = None) -> Dataset:
    """A dataset of a data root; what its counts differ in, or that it is a rehearsal, stands in ``notes``.

    Args:
        name: of its folder.
        root: the folder that holds it.
        split_by: who made the splits, by default as :func:`split_maker` says.
        images: the image folder; by default one of those that ``root`` has.

    Raises:
        InputError: ``root`` is not given, or as :func:`split_maker` and :func:`~harness.data.refer.load_refer`.
    """
    usual = SPLIT_BY.get(name)
    if root is None:
        raise InputError(f'--data-root: {name} needs it, give the folder that holds {name}/refs({usual}).p, '
                         f'{name}/instances.json and images/train2014/')
    maker = split_maker(name, Path(root), split_by)
    dataset = load_refer(Path(root), name, maker, images)
    if is_rehearsal(dataset.name):
        dataset.notes.append(f'{dataset.name}: {NOTE}')
    elif maker == usual:
        dataset.notes += counts_note(dataset)
    elif usual is not None:
        dataset.notes.append(f'{name}: divided by {maker}, not {usual}: not comparable with published numbers')
    return dataset


@DATASETS.register_module(name='refcoco')
def refcoco(root: Path | None = None) -> Dataset:
    """RefCOCO (UNC): train, val, testA (people), testB (other objects)."""
    return load_known('refcoco', root)


@DATASETS.register_module(name='refcoco+')
def refcoco_plus(root: Path | None = None) -> Dataset:
    """RefCOCO+ (UNC): without location words; train, val, testA, testB."""
    return load_known('refcoco+', root)


@DATASETS.register_module(name='refcocog')
def refcocog(root: Path | None = None) -> Dataset:
    """RefCOCOg (UMD): long expressions; train, val, test."""
    return load_known('refcocog', root)
