"""The real datasets by name, read from where ``--data-root`` says and counted against the published numbers."""
from __future__ import annotations

from pathlib import Path

from harness.data.counts import check_counts
from harness.data.refer import load_refer
from harness.errors import InputError
from harness.registry import DATASETS
from harness.types import Dataset


def load_known(name: str, split_by: str, root: Path | None) -> Dataset:
    """A real dataset; what its counts differ in stands in ``notes``.

    Raises:
        InputError: ``root`` is not given, or as :func:`~harness.data.refer.load_refer`.
    """
    if root is None:
        raise InputError(f'--data-root: {name} needs it, give the folder that holds {name}/refs({split_by}).p, '
                         f'{name}/instances.json and images/train2014/')
    dataset = load_refer(Path(root), name, split_by)
    dataset.notes += check_counts(dataset)
    return dataset


@DATASETS.register_module(name='refcoco')
def refcoco(root: Path | None = None) -> Dataset:
    """RefCOCO (UNC): train, val, testA (people), testB (other objects)."""
    return load_known('refcoco', 'unc', root)


@DATASETS.register_module(name='refcoco+')
def refcoco_plus(root: Path | None = None) -> Dataset:
    """RefCOCO+ (UNC): without location words; train, val, testA, testB."""
    return load_known('refcoco+', 'unc', root)


@DATASETS.register_module(name='refcocog')
def refcocog(root: Path | None = None) -> Dataset:
    """RefCOCOg (UMD): long expressions; train, val, test."""
    return load_known('refcocog', 'umd', root)
