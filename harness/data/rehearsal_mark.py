"""The mark of a rehearsal: generated data laid out as RefCOCO is (``python -m harness.embedded rehearsal``).

``info`` of its ``instances.json`` says so, and its datasets are called ``rehearsal-refcoco`` and so on wherever they
are read, so that no table can take one for the real thing.
"""
from __future__ import annotations

from typing import Any

PREFIX = 'rehearsal-'
INFO = {'description': 'a rehearsal on generated scenes, not RefCOCO', 'rehearsal': True}
NOTE = 'a rehearsal on generated scenes, laid out as the real dataset is: its figures say nothing about that one'


def dataset_name(folder: str, instances: Any) -> str:
    """What a dataset is called: as its folder, with the prefix if its ``instances.json`` has the mark."""
    info = instances.get('info') if isinstance(instances, dict) else None
    marked = isinstance(info, dict) and info.get('rehearsal') is True
    return PREFIX + folder if marked else folder


def rehearsed(name: str) -> str:
    """The name of the dataset that one of a rehearsal stands for; that of any other itself."""
    return name.removeprefix(PREFIX)


def is_rehearsal(name: str) -> bool:
    """Whether a dataset of that name is one of a rehearsal."""
    return name.startswith(PREFIX)
