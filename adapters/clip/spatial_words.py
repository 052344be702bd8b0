"""Left, right, above, bigger, …: what a sentence says of places and sizes, and the boxes that it fits.

Source: allenai/reclip ``heuristics.py`` (the words), ``interpreter.py: Environment`` (what they mean) and
``methods/parse.py: Parse.execute_entity`` (how probabilities are combined). ReCLIP finds what a word belongs to in a
dependency tree; here it is told from the order of the words:

- a phrase is a run of nouns, articles, adjectives and numbers, which spatial words and "side", "part", … end;
- the first phrase is the head, which names the referent;
- a spatial word with a later phrase right behind it, save for "of", "to", "from" and "than", relates the head to that
  phrase, the landmark: "the cup left *of the plate*". Any other singles the referent out: "the *left* cup".

"between" is left out, as it is by default in ReCLIP, and so are possessives, which only word the sentence differently.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from harness.words.language import Sentence

#: Words that relate the referent to a landmark, and words that single it out, by what they mean.
RELATIONS = {
    'left': 'left west', 'right': 'right east', 'above': 'above north top back behind',
    'below': 'below south under front', 'bigger': 'bigger larger closer', 'smaller': 'smaller tinier further',
    'within': 'inside within contained'}
SUPERLATIVES = {
    'left': 'left west leftmost western', 'right': 'right rightmost east eastern', 'above': 'above north top',
    'below': 'below south underneath front', 'bigger': 'bigger biggest larger largest closer closest',
    'smaller': 'smaller smallest tinier tiniest further furthest'}
NULL = set('part image side picture half region section'.split())
LINKS = {'of', 'to', 'from', 'than'}
_RELATING = {word: meaning for meaning, words in RELATIONS.items() for word in words.split()}
_SINGLING = {word: meaning for meaning, words in SUPERLATIVES.items() for word in words.split()}
_NAMING = {'NOUN', 'PROPN', 'PRON'}
_AROUND = {'DET', 'ADJ', 'NUM'}


class SpatialReading(NamedTuple):
    """What a sentence says of places.

    Attributes:
        head: the words of the referent alone.
        relations: meanings, each with the words of its landmark.
        superlatives: meanings.
    """

    head: str
    relations: tuple[tuple[str, str], ...]
    superlatives: tuple[str, ...]

    @property
    def phrases(self) -> tuple[str, ...]:
        """The words of the referent and of each landmark."""
        return self.head, *(landmark for _, landmark in self.relations)


def read_places(sentence: Sentence) -> SpatialReading | None:
    """What a sentence says of places; ``None`` if it has no spatial word, or no noun."""
    words = [word.lower() for word in sentence.words]
    phrases = _phrases(words, sentence.classes)
    if not phrases:
        return None
    head = min(phrases)
    relations, superlatives = [], []
    for place, word in enumerate(words):
        follows = _phrase_behind(words, phrases, place)
        if word in _RELATING and follows not in (None, head):
            relations.append((_RELATING[word], phrases[follows]))
        elif word in _SINGLING:
            superlatives.append(_SINGLING[word])
    return SpatialReading(phrases[head], tuple(relations), tuple(superlatives)) if relations or superlatives else None


def _phrases(words: list[str], classes: tuple[str, ...]) -> dict[int, str]:
    """The phrases by the place of their first word."""
    found: dict[int, str] = {}
    start = 0
    for end in range(len(words) + 1):
        if end < len(words) and classes[end] in _NAMING | _AROUND and not _is_spatial(words[end]):
            continue
        if any(one in _NAMING for one in classes[start:end]):
            found[start] = ' '.join(words[start:end])
        start = end + 1
    return found


def _is_spatial(word: str) -> bool:
    return word in _RELATING or word in _SINGLING or word in NULL


def _phrase_behind(words: list[str], phrases: Mapping[int, str], place: int) -> int | None:
    """The first place of the phrase right behind a word, if there is one."""
    behind = place + 1
    while behind < len(words) and words[behind] in LINKS | NULL:
        behind += 1
    return behind if behind in phrases else None


def placed(reading: SpatialReading, whole: Tensor, phrases: Tensor, boxes: Tensor) -> Tensor:
    """``(n,)`` probabilities of n boxes, those of the whole sentence times those of the referent in its place.

    Args:
        reading: of the sentence.
        whole: ``(n,)`` probabilities by the whole sentence.
        phrases: ``(p, n)`` probabilities by each of ``reading.phrases``.
        boxes: ``(n, 4)`` xyxy in image pixels.
    """
    if len(boxes) < 2:
        return whole
    found = phrases[0]
    for (meaning, _), landmark in zip(reading.relations, phrases[1:], strict=True):
        found = _normalised(found * (MEANINGS[meaning](boxes) @ landmark))
    for meaning in reading.superlatives:
        found = _normalised(found * (MEANINGS[meaning](boxes) @ found))
    return whole * found


def _normalised(values: Tensor) -> Tensor:
    return values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)


def _less(of: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """From a number of each box to ``(n, n)``: one where that of the row's box is less than that of the column's."""
    def compare(boxes: Tensor) -> Tensor:
        value = of(boxes)
        return (value[:, None] < value).to(boxes.dtype)
    return compare


def _within(boxes: Tensor) -> Tensor:
    """``(n, n)``: the share of the row's box inside the column's."""
    corner = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    sides = (corner - torch.maximum(boxes[:, None, :2], boxes[None, :, :2])).clamp(min=0)
    return sides.prod(2) / _area(boxes).clamp(min=torch.finfo(boxes.dtype).tiny)[:, None]


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


#: From ``(n, 4)`` xyxy boxes to ``(n, n)``: how far the row's box is left of, above, … the column's.
MEANINGS: dict[str, Callable[[Tensor], Tensor]] = {
    'left': _less(lambda boxes: boxes[:, 0] + boxes[:, 2]), 'right': _less(lambda boxes: -boxes[:, 0] - boxes[:, 2]),
    'above': _less(lambda boxes: boxes[:, 1] + boxes[:, 3]), 'below': _less(lambda boxes: -boxes[:, 1] - boxes[:, 3]),
    'bigger': _less(lambda boxes: -_area(boxes)), 'smaller': _less(_area), 'within': _within}
