"""What the layers of MAttNet and CM-A-E are built from."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ModularOptions:
    """The options that both networks have. The data decides the first five; the others default to the originals'
    (``tools/opt.py`` of lichengunc/MAttNet).

    Attributes:
        vocabulary_size: how many words have an embedding.
        unknown_word: the id of ``<UNK>``.
        attribute_count: how many attributes the subject module predicts.
        pool5_dim: channels of the crop of a box.
        fc7_dim: channels of its last-stage features.
        embedding_dim: size of a word's embedding.
        word_dim: size of a word after the linear layer, and so of a phrase.
        word_dropout: dropout of the embeddings.
        rnn: kind of the recurrent layer that reads the sentence.
        rnn_dim: size of its hidden state in one direction.
        rnn_layers: how many there are on top of each other.
        rnn_dropout: dropout between them.
        bidirectional: whether the sentence is also read backwards.
        joint_dim: size of the space in which vision and phrases are matched.
        joint_dropout: dropout of the embeddings in that space.
        initial_norm: the norm that normalised features have before training.
        visual_dropout: dropout before the attributes are predicted.
    """

    vocabulary_size: int
    unknown_word: int
    attribute_count: int
    pool5_dim: int
    fc7_dim: int
    embedding_dim: int = 512
    word_dim: int = 512
    word_dropout: float = 0.5
    rnn: Literal['lstm', 'gru', 'rnn'] = 'lstm'
    rnn_dim: int = 512
    rnn_layers: int = 1
    rnn_dropout: float = 0.2
    bidirectional: bool = True
    joint_dim: int = 512
    joint_dropout: float = 0.1
    initial_norm: float = 20
    visual_dropout: float = 0.2

    @property
    def context_dim(self) -> int:
        """Size of a word's output of the recurrent layer, all directions together."""
        return self.rnn_dim * (2 if self.bidirectional else 1)

    @property
    def subject_dim(self) -> int:
        """Size of what the subject module sees in a cell."""
        return self.fc7_dim + self.joint_dim

    @property
    def visual_dim(self) -> int:
        """Size of what MAttNet's subject and location modules see, which NMTree takes."""
        return self.subject_dim + self.joint_dim
