"""The datasets of the embedded benchmark, each with the name of its splits' maker, as in the names of REFER's files."""
from __future__ import annotations

SPLIT_BY = {'mini-refcoco': 'unc', 'mini-refcoco+': 'unc', 'mini-refcocog': 'umd'}
