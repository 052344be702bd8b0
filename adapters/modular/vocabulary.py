"""The words that MAttNet or CM-A-E was trained with, and their ids."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.words.vectors import WordVectors

PAD, UNK = '<PAD>', '<UNK>'


@dataclass(frozen=True)
class ModularVocabulary:
    """Words in order of their ids, ``<PAD>`` first, and the number of words that a sentence is cut at.

    Source: ``tools/prepro.py: build_vocab`` and ``encode_captions`` of ChopinSharp/CM-Erase-REG, which cuts at 10 words
    and RefCOCOg's at 20.
    """

    words: tuple[str, ...]
    max_length: int

    def __post_init__(self) -> None:
        if not self.words or self.words[0] != PAD or UNK not in self.words or len(set(self.words)) != len(self.words):
            raise ValueError(f'a vocabulary starts with {PAD}, has {UNK} and has no word twice')
        object.__setattr__(self, '_index', {word: i for i, word in enumerate(self.words)})

    @classmethod
    def build(cls, sentences: Iterable[Sequence[str]], categories: Iterable[str], max_length: int,
              threshold: int = 5) -> ModularVocabulary:
        """Words said more than ``threshold`` times, most frequent first, and every word of the category names."""
        counts = Counter(word for tokens in sentences for word in tokens)
        for reserved in (PAD, UNK):
            counts.pop(reserved, None)
        frequent = sorted((word for word, n in counts.items() if n > threshold), key=lambda word: (-counts[word], word))
        named = sorted({word for name in categories for word in name.split()})
        return cls(tuple(dict.fromkeys([PAD, UNK, *frequent, *named])), max_length)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ModularVocabulary:
        """The inverse of :meth:`to_json`; ``KeyError``, ``TypeError`` or ``ValueError`` for another record."""
        return cls(tuple(record['words']), int(record['max_length']))

    def to_json(self) -> dict[str, Any]:
        return {'words': list(self.words), 'max_length': self.max_length}

    def __len__(self) -> int:
        return len(self.words)

    @property
    def unknown_word(self) -> int:
        """The id of ``<UNK>``."""
        return self._index[UNK]  # type: ignore[attr-defined]

    def encode(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Word ids ``(s, L)`` int64, zeros at the end, L the longest kept length and at least 1.

        A sentence is cut at ``max_length`` words. Unknown words become ``<UNK>``, and so does a sentence without words.
        """
        index, unk = self._index, self.unknown_word  # type: ignore[attr-defined]
        rows = [[index.get(word, unk) for word in tokens[:self.max_length]] or [unk] for tokens in sentences]
        length = max((len(row) for row in rows), default=1)
        return torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.int64).view(-1, length)

    def rows(self, vectors: WordVectors) -> Tensor:
        """The pretrained vectors ``(V, D)`` of the words; zeros for words that have none."""
        table = torch.zeros(len(self.words), vectors.vectors.shape[1])
        found = [i for i, word in enumerate(self.words) if word in vectors.index]
        table[found] = vectors.rows(self.words[i] for i in found)
        return table
