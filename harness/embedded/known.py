"""The embedded datasets by name: built if missing, then read like any other REFER dataset."""
from __future__ import annotations

from pathlib import Path

from harness.data.embedded_names import SPLIT_BY
from harness.data.refer import load_refer
from harness.embedded.build import part_folder
from harness.registry import DATASETS
from harness.types import Dataset


def load_embedded(name: str, part: str = 'eval', cache: Path | None = None) -> Dataset:
    """One of the embedded datasets: ``'eval'`` has its evaluation splits, ``'train'`` its training split.

    It is built in ``cache`` if it is missing, by default in ``build.cache_root()``.
    """
    dataset = load_refer(part_folder(part, cache), name, SPLIT_BY[name])
    dataset.embedded = True
    return dataset


@DATASETS.register_module(name='mini-refcoco')
def mini_refcoco(root: Path | None = None) -> Dataset:
    """Embedded: short expressions with places (val, testA: people, testB: other objects)."""
    return load_embedded('mini-refcoco')


@DATASETS.register_module(name='mini-refcoco+')
def mini_refcoco_plus(root: Path | None = None) -> Dataset:
    """Embedded: short expressions without places, on the images of mini-refcoco (val, testA, testB)."""
    return load_embedded('mini-refcoco+')


@DATASETS.register_module(name='mini-refcocog')
def mini_refcocog(root: Path | None = None) -> Dataset:
    """Embedded: long expressions with contextual objects (val, test)."""
    return load_embedded('mini-refcocog')
