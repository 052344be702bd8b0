"""The recipes of NMTree: typed options of its training, and two named sets of them.

Defaults are the original's (``tools/opts.py`` and ``README.md`` of daqingliu/NMTree). ``docs/grounder-options.md``
names the place of each.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.options import Count, CountOrNone, Share
from harness.training.adam import AdamOptions, Factor
from harness.training.settings import Rate, RateOrNone, Width


@dataclass(frozen=True)
class NMTreeTraining(AdamOptions):
    """The options of NMTree's training; a word is as wide as the word vectors. Counts of the decay are epochs.

    Attributes:
        tag_dim, dep_dim: sizes of the embeddings of tags and dependency labels.
        memory_dim: size of the states of the tree LSTMs.
        dropout: dropout of the embeddings.
        word_threshold: words, tags and labels that come more often than this have an embedding of their own.
        batch_size: images per step.
        epochs: passes over the training split.
        decay: whether the rate falls by the whole factor after each ``decay_every`` or a little after each epoch.
        weight_decay: of all weights but biases.
    """

    lr: Rate = 1e-3
    decay_start: CountOrNone = 0
    decay_every: CountOrNone = 10
    decay_by: Factor = 0.9
    tag_dim: Width = 50
    dep_dim: Width = 50
    memory_dim: Width = 1024
    dropout: Share = 0.5
    word_threshold: CountOrNone = 1
    batch_size: Count = 128
    epochs: Count = 40
    decay: Literal['stairs', 'smooth'] = 'stairs'
    weight_decay: RateOrNone = 0.0

    @property
    def without_effect(self) -> set[str]:
        return super().without_effect | ({'decay'} if self.decay_by == 1 else set())


NMTREE = {
    'embedded': NMTreeTraining(tag_dim=8, dep_dim=8, memory_dim=32, dropout=0.1, batch_size=16, epochs=8, lr=5e-3,
                               decay_every=0, decay_by=0.1, decay='smooth', keep='last'),
    'released': NMTreeTraining()}
