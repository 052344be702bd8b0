"""The words that Ref-NMS inside mmdet knows, and how ``text`` becomes their vectors."""
from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.data.plain import tokenize
from harness.errors import InputError
from harness.words.vectors import SHIPPED, UNKNOWN, WordEmbedding, load_vectors


class WordLookup(nn.Module):
    """A vocabulary as a module: its vectors follow the model's device, its digest is kept in checkpoints.

    Args:
        vocabulary: of the network.
        longest: how many words of a sentence are read.
    """

    vectors: Tensor
    digest: Tensor

    def __init__(self, vocabulary: WordEmbedding, longest: int) -> None:
        super().__init__()
        self.vocabulary, self.longest = vocabulary, longest
        told = hashlib.sha256('\n'.join(vocabulary.words).encode())
        told.update(vocabulary.vectors.contiguous().numpy().tobytes())
        self.register_buffer('vectors', vocabulary.vectors, persistent=False)
        self.register_buffer('digest', torch.frombuffer(bytearray(told.digest()), dtype=torch.uint8))

    def forward(self, sentence: str) -> tuple[Tensor, dict[str, Any]]:
        """``(length, D)`` vectors of the words that are read, and the metainfo ``text``, ``words`` and ``left_out``,
        how many more words the sentence has."""
        words = tokenize(sentence)
        read = words[:self.longest]
        told = dict(text=sentence, words=list(read), left_out=len(words) - len(read))
        return self.vectors[self.vocabulary.ids(read).to(self.vectors.device)], told

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others: Any) -> None:
        stored = state_dict.get(prefix + 'digest')
        if stored is not None and not torch.equal(stored.cpu(), self.digest.cpu()):
            raise InputError('the checkpoint\'s Ref-NMS was trained with another vocabulary than the '
                             f'{len(self.vocabulary.words)} words here; give its word vectors as vectors=FILE in the '
                             'model')
        super()._load_from_state_dict(state_dict, prefix, *others)


def all_words(path: str | Path | None) -> WordEmbedding:
    """The unknown word, then every word of a file of vectors; ``None`` is the shipped one."""
    known = load_vectors(SHIPPED if path is None else path)
    words = [word for word in known.words if word != UNKNOWN]
    return WordEmbedding([UNKNOWN, *words], torch.cat((torch.zeros(1, known.vectors.shape[1]), known.rows(words))))
