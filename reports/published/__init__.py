"""The published numbers as data: Tables 1 to 4 of the paper, what the originals' repositories print, today's models.

One CSV a table, one row a number; ``README.md`` beside them says what the columns hold. Percent throughout.
"""
from __future__ import annotations

#: The paper's own tables.
PAPER = ('1', '2', '3', '4')
#: What the repositories of the originals and of the paper's authors print beside them.
ORIGINALS = ('mattnet', 'cmae', 'ref-nms-logs')
COLUMNS = ('table', 'method', 'venue', 'backbone', 'proposals', 'dataset', 'split', 'task', 'metric', 'value',
           'n_proposals', 'dagger', 'convention', 'source')
#: REC of today's models, from their own sources or a third party's.
TODAY = 'today'
#: ``measured_by`` is one of :data:`MEASURED_BY`; ``trained_on`` says what is known of training on evaluation images.
TODAY_COLUMNS = (*COLUMNS, 'measured_by', 'trained_on')
MEASURED_BY = ('own', 'third party')
#: Whether the first box is right, or one of the first five or ten: how a line of the table calls each.
TODAY_METRICS = {'accuracy': '@1', 'accuracy@5': '@5', 'accuracy@10': '@10'}
#: The convention of a number whose program nobody can read.
UNKNOWN = 'unknown'
