"""The published numbers as data: Tables 1 to 4 of the paper, and what the originals' repositories print.

One CSV a table, one row a number; ``README.md`` beside them says what the columns hold. Percent throughout.
"""
from __future__ import annotations

#: The paper's own tables.
PAPER = ('1', '2', '3', '4')
#: What the repositories of the originals and of the paper's authors print beside them.
ORIGINALS = ('mattnet', 'cmae', 'ref-nms-logs')
COLUMNS = ('table', 'method', 'venue', 'backbone', 'proposals', 'dataset', 'split', 'task', 'metric', 'value',
           'n_proposals', 'dagger', 'convention', 'source')
#: The convention of a number whose program nobody can read.
UNKNOWN = 'unknown'
