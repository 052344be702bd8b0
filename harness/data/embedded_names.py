"""The embedded datasets by name, each with the maker of the splits that it imitates: ``refs(<maker>).p`` is its file.

Reports and readers of files need the names, and not what draws the images.
"""
from __future__ import annotations

SPLIT_BY = {'mini-refcoco': 'unc', 'mini-refcoco+': 'unc', 'mini-refcocog': 'umd'}
EMBEDDED = tuple(SPLIT_BY)
#: The splits that a run evaluates.
SPLITS = {'mini-refcoco': ('val', 'testA', 'testB'), 'mini-refcoco+': ('val', 'testA', 'testB'),
          'mini-refcocog': ('val', 'test')}
