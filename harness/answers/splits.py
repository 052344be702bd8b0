"""The dataset and split that a name speaks of: a file's, or a column's."""
from __future__ import annotations

import re

_DATASET = re.compile(r'(?i)(?<![a-z0-9])refcoco(\+|_?plus|p|g)?(?![a-z])')
_SPLIT = re.compile(r'(?i)(?<![a-z0-9])(val|test[ab]?)(?![a-z0-9])')
_ENDINGS = {'': '', '+': '+', 'plus': '+', '_plus': '+', 'p': '+', 'g': 'g'}
_SPLITS = {'val': 'val', 'test': 'test', 'testa': 'testA', 'testb': 'testB'}


def split_in(name: str) -> tuple[str, str | None] | None:
    """Dataset, and split where it is told; ``None`` where no dataset of the three is.

    >>> split_in('2026_samples_refcoco_plus_grounding_testA.jsonl'), split_in('RefCOCOg val'), split_in('mine.json')
    (('refcoco+', 'testA'), ('refcocog', 'val'), None)
    """
    found = _DATASET.search(name)
    if found is None:
        return None
    splits = _SPLIT.findall(name, found.end())
    return f'refcoco{_ENDINGS[(found[1] or "").lower()]}', _SPLITS[splits[-1].lower()] if splits else None
