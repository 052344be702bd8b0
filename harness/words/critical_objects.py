"""Critical objects: which annotated objects an expression speaks of, guessed from its nouns.

The referent is annotated; contextual objects are not. Every annotated object of the image whose category is named, or
nearly named, by a noun of the expression counts as one. Ref-NMS learns from them; context recall is measured on them.
Source: Ref-NMS (AAAI 2021), "Training Objectives"; ChopinSharp/ref-nms ``tools/build_ctxdb.py``.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from harness.boxes import annotated_iou
from harness.errors import InputError
from harness.options import Cosine
from harness.program import program
from harness.types import Annotation, Dataset, Expression
from harness.words.language import english, read
from harness.words.vectors import WordVectors

NOUNS = frozenset({'NOUN', 'NUM', 'PRON', 'PROPN'})
GAMMAS = tuple(round(0.2 + 0.05 * i, 2) for i in range(15))
SAME_OBJECT = 0.9  # an annotation that overlaps the referent by more than this is the referent


class CriticalObjects:
    """Finds contextual objects by the similarity of nouns and category names.

    Args:
        vectors: of nouns and of the words of category names.
        gamma: cosine over which a noun names a category; ``None`` takes the one that belongs to the vectors.

    Attributes:
        without_vector: nouns and category words that were skipped because they have no vector, with their counts.

    Raises:
        InputError: no γ is known for these vectors.
    """

    def __init__(self, vectors: WordVectors, gamma: Cosine | None = None) -> None:
        gamma = vectors.gamma if gamma is None else gamma
        if gamma is None:
            raise InputError(f'word vectors {vectors.name}: which similarity γ names a category is not known for them; '
                             f'find it by "{program()} study gamma --vectors FILE", then give it to a run by --set '
                             'critical-objects.gamma=VALUE (to the rule category-name by --set category-name.gamma='
                             'VALUE), to a training with the vectors: "python -m harness.words.vectors subset FILE '
                             'OUT.safetensors --gamma VALUE"')
        self.vectors, self.gamma = vectors, gamma
        self.without_vector: Counter[str] = Counter()

    def context(self, expressions: Sequence[Expression],
                annotations: Mapping[int, Sequence[Annotation]]) -> list[list[Annotation]]:
        """Contextual objects of each expression, in file order; the referent is not among them.

        Args:
            expressions: of any images.
            annotations: by image id.
        """
        categories = sorted({a.category for members in annotations.values() for a in members})
        named = self.similarity([e.sent for e in expressions], categories) > self.gamma
        names = [frozenset(np.compress(row, categories).tolist()) for row in named]
        return [[a for a in annotations.get(e.image_id, ())
                 if a.category in named_here and annotated_iou(a.xywh, e.gt_xywh) <= SAME_OBJECT]
                for e, named_here in zip(expressions, names, strict=True)]

    def similarity(self, sentences: Sequence[str], categories: Sequence[str]) -> np.ndarray:
        """``(sentences, categories)`` float64: the best cosine of a noun and a word of the category's name.

        0 where a sentence has no noun with a vector, as the original has it.
        """
        unique = {sentence: i for i, sentence in enumerate(dict.fromkeys(sentences))}
        found = nouns(unique)
        words = self._with_vector(word for tokens in found for word in tokens)
        names = [self._with_vector(name.split(' ')) for name in categories]
        by_word = {word: row for row, word in enumerate(words)}
        cosines = _cosines(self.vectors, list(words), [list(name) for name in names])
        best = np.zeros((len(unique), len(categories)))
        for i, tokens in enumerate(found):
            rows = [by_word[t] for t in tokens if t in by_word]
            if rows:
                best[i] = cosines[rows].max(axis=0)
        return best[[unique[s] for s in sentences]]

    def _with_vector(self, words: Iterable[str]) -> dict[str, None]:
        counts = Counter(words)
        self.without_vector.update({w: n for w, n in counts.items() if w not in self.vectors.index})
        return dict.fromkeys(w for w in counts if w in self.vectors.index)


def nouns(sentences: Iterable[str]) -> list[tuple[str, ...]]:
    """The words of each sentence that spaCy tags as nouns, numerals, pronouns or proper nouns, as written."""
    return [tuple(word for word, kind in zip(sentence.words, sentence.classes, strict=True) if kind in NOUNS)
            for sentence in read(sentences)]


def words_to_look_up(expressions: Iterable[Expression], categories: Iterable[str]) -> set[str]:
    """Every word of which a vector may be asked, for reading large vector files in part."""
    tokenizer = english().tokenizer
    words = {token.text for sentence in {e.sent for e in expressions} for token in tokenizer(sentence)}
    return words | {word for name in categories for word in name.split(' ')}


@dataclass(frozen=True)
class GammaQuality:
    """How well one γ agrees with the scenes' truth, over all expressions together.

    ``precision``, ``recall`` and ``f1`` are of *named categories*: of an image's categories, those over γ against those
    of the referent and the contextual objects. They judge γ alone. ``context_precision`` and ``context_recall`` are of
    contextual objects themselves, where every other object of a named category counts as found, whatever γ is.
    """

    gamma: float
    precision: float
    recall: float
    f1: float
    context_precision: float
    context_recall: float


def choose_gamma(dataset: Dataset, vectors: WordVectors, split: str = 'train',
                 gammas: Sequence[float] = GAMMAS) -> list[GammaQuality]:
    """The quality of each γ by the truth that only a generated scene has, best F1 first (ties: the larger γ).

    Args:
        dataset: with annotations, and ``truth['context_ann_ids']`` in its expressions.
        vectors: whose γ is looked for.
        split: the training split, never one that is evaluated.
        gammas: what to try.

    Raises:
        InputError: the dataset has no annotations or its expressions no truth.
    """
    expressions = dataset.split(split)
    if dataset.annotations is None or any(e.truth is None or 'context_ann_ids' not in e.truth for e in expressions):
        raise InputError(f'{dataset.name} {split}: choosing gamma needs the truth of generated scenes')
    categories = sorted({a.category for members in dataset.annotations.values() for a in members})
    column = {name: i for i, name in enumerate(categories)}
    similarity = CriticalObjects(vectors, gamma=0.).similarity([e.sent for e in expressions], categories)
    named: list[tuple[float, bool]] = []
    contextual: list[tuple[float, bool]] = []
    for e, row in zip(expressions, similarity, strict=True):
        members, context = dataset.annotations.get(e.image_id, ()), set((e.truth or {})['context_ann_ids'])
        own = [a for a in members if annotated_iou(a.xywh, e.gt_xywh) > SAME_OBJECT]
        critical = {a.category for a in members if a in own or a.ann_id in context}
        named += [(row[column[c]], c in critical) for c in {a.category: None for a in members}]
        contextual += [(row[column[a.category]], a.ann_id in context) for a in members if a not in own]
    qualities = []
    for gamma in gammas:
        precision, recall = _precision_and_recall(named, gamma)
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        qualities.append(GammaQuality(gamma, precision, recall, f1, *_precision_and_recall(contextual, gamma)))
    return sorted(qualities, key=lambda q: (-q.f1, -q.gamma))


def _precision_and_recall(scored: Sequence[tuple[float, bool]], gamma: float) -> tuple[float, float]:
    """Of pairs of a similarity and whether it should be over γ."""
    similarity, truth = np.array(scored, dtype=np.float64).reshape(-1, 2).T
    found, true = similarity > gamma, truth == 1
    right = int((found & true).sum())
    return right / max(int(found.sum()), 1), right / max(int(true.sum()), 1)


def _cosines(vectors: WordVectors, words: Sequence[str], names: Sequence[Sequence[str]]) -> np.ndarray:
    """``(words, names)``: the best cosine over a name's words; minus infinity for a name without any."""
    parts = list(dict.fromkeys(part for name in names for part in name))
    cosines = (_unit(vectors, words) @ _unit(vectors, parts).T).numpy()
    position = {part: i for i, part in enumerate(parts)}
    best = np.full((len(words), len(names)), -np.inf)
    for j, name in enumerate(names):
        if name:
            best[:, j] = cosines[:, [position[part] for part in name]].max(axis=1)
    return best


def _unit(vectors: WordVectors, words: Sequence[str]) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors.rows(words).double(), dim=1)
