"""What referents are said to be like: the attribute words that MAttNet and CM-A-E learn to predict from a box.

The originals take them from a syntax parser of their own (``tools/prepro.py: build_att_vocab``, types r1, r2 and r7 of
lichengunc/refer-parser2), whose output :mod:`adapters.modular.parsed_sentences` reads. Without it an attribute is a
word that spaCy mostly tags as an adjective (neither comparative nor superlative) and that says what an object is like,
not where it is or which of several.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.types import Expression
from harness.words.language import english

Tagger = Callable[[Sequence[Sequence[str]]], list[list[str]]]

NOT_ATTRIBUTES = frozenset((
    # where
    'left right top bottom upper lower middle center centre central front back rear side inner outer far near close '
    'high low further farther furthest farthest nearest closest nearer closer leftmost rightmost topmost uppermost '
    'lowermost bottommost inside outside behind above below under next beside visible hidden '
    # which
    'first second third fourth fifth last other another same only single sole main whole half full more most less '
    'least many few several all each one two three own certain such different '
    # no property of an object
    'good bad nice able sure facing looking').split())


@dataclass(frozen=True)
class Attributes:
    """Attribute words, the most frequent first, and how many training referents each is said of."""

    words: tuple[str, ...]
    counts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.words)

    def to_json(self) -> dict[str, Any]:
        return {'words': list(self.words), 'counts': list(self.counts)}

    @classmethod
    def choose(cls, said: Iterable[Iterable[str]], top: int = 50) -> Attributes:
        """The ``top`` words that are said of the most referents; ``said`` holds the words of each referent."""
        counts = Counter(word for words in said for word in set(words))
        chosen = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top]
        return cls(tuple(word for word, _ in chosen), tuple(n for _, n in chosen))

    def labels(self, said: Sequence[Iterable[str]]) -> Tensor:
        """``(r, A)`` float, 1 where the word is said of the referent."""
        index = {word: i for i, word in enumerate(self.words)}
        labels = torch.zeros(len(said), len(self.words))
        for row, words in enumerate(said):
            labels[row, [index[word] for word in words if word in index]] = 1
        return labels


def referent(expression: Expression) -> Hashable:
    """What an expression refers to: its ``ref_id``, or its annotation where the file has none."""
    return expression.ann_id if expression.ref_id is None else expression.ref_id


def said_of_referents(expressions: Sequence[Expression], categories: Iterable[str],
                      tag: Tagger | None = None) -> Mapping[Hashable, tuple[str, ...]]:
    """The adjectives in each referent's expressions, category names and :data:`NOT_ATTRIBUTES` left out.

    A short sentence misleads a tagger now and then ("puppy" alone): a word counts if it is an adjective in at least
    half of the sentences that have it.

    Args:
        expressions: any; equal sentences are tagged once.
        categories: category names.
        tag: gives the Penn Treebank tags of tokenised sentences; by default spaCy's small English model.
    """
    forbidden = NOT_ATTRIBUTES | {word for name in categories for word in name.split()}
    sentences = sorted({e.tokens for e in expressions if e.tokens})
    heard: Counter[str] = Counter()
    as_adjective: Counter[str] = Counter()
    for tokens, tags in zip(sentences, (tag or _spacy_tags)(sentences), strict=True):
        heard.update(tokens)
        as_adjective.update(word for word, one in zip(tokens, tags, strict=True) if one == 'JJ')
    adjectives = {word for word, n in as_adjective.items() if 2 * n >= heard[word] and word not in forbidden}
    said: dict[Hashable, dict[str, None]] = {}
    for e in expressions:
        said.setdefault(referent(e), {}).update(dict.fromkeys(word for word in e.tokens if word in adjectives))
    return {key: tuple(words) for key, words in said.items()}


def parsed_of_referents(expressions: Sequence[Expression], categories: Iterable[str],
                        parsed: Mapping[int, Sequence[str]]) -> Mapping[Hashable, tuple[str, ...]]:
    """The words that a parser found in each referent's expressions, category names and :data:`NOT_ATTRIBUTES` left out.

    As in the originals only a whole category name is left out, not each word of it. They also leave out about a hundred
    words that somebody chose.

    Args:
        expressions: any; those that were not parsed say nothing.
        categories: category names.
        parsed: the words of each sentence, by ``sent_id``.
    """
    forbidden = NOT_ATTRIBUTES | set(categories)
    said: dict[Hashable, dict[str, None]] = {}
    for e in expressions:
        found = parsed.get(e.sent_id, ())
        said.setdefault(referent(e), {}).update(dict.fromkeys(word for word in found if word not in forbidden))
    return {key: tuple(words) for key, words in said.items()}


def _spacy_tags(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    from spacy.tokens import Doc
    model = english('parser')
    documents = (Doc(model.vocab, words=list(tokens)) for tokens in sentences)
    return [[word.tag_ for word in document] for document in model.pipe(documents, batch_size=256)]
