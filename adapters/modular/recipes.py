"""The recipes of MAttNet and CM-A-E: typed options of their trainings, and two named sets of each.

Defaults are the originals' (``tools/opt.py`` and ``experiments/scripts`` of lichengunc/MAttNet and of
ChopinSharp/CM-Erase-REG). ``docs/grounder-options.md`` names the place of each.
"""
from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from harness.options import Count, CountOrNone, Positive, Share
from harness.training.adam import AdamOptions
from harness.training.settings import RateOrNone, Width

#: Words of a sentence.
Longest = Annotated[int, Ge(0), Le(1000)]
#: Cells along a side of a crop, which has seven.
Cells = Annotated[int, Ge(1), Le(7)]
#: As many as a weight file may name (:mod:`harness.files.metadata`).
Layers = Annotated[int, Ge(1), Le(16)]


@dataclass(frozen=True)
class ModularTraining(AdamOptions):
    """What both trainings have alike.

    Attributes:
        embedding_dim: size of a word's embedding.
        word_dim: size of a word after the linear layer, and so of a phrase.
        word_dropout: dropout of the embeddings.
        rnn, rnn_dim, rnn_layers, rnn_dropout, bidirectional: the recurrent layer that reads the sentence.
        joint_dropout: dropout in the space in which vision and phrases are matched.
        visual_dropout: dropout before the attributes are predicted.
        initial_norm: the norm that normalised features have before training.
        with_same_category: whether boxes of the same category can be context.
        longest: words that a sentence is cut at; 0: 20 in RefCOCOg, 10 elsewhere.
        word_threshold: words said more often than this have an embedding of their own.
        attributes: how many attribute words are predicted, the most frequent ones.
        seq_per_ref: right pairs of each referent of an image in a batch.
        sample_ratio: how often a wrong box or sentence is of the referent's category.
        margin: of the ranking.
        visual_rank_weight: weight of ranking a right pair over its sentence with another box.
        lang_rank_weight: weight of ranking it over its box with another sentence.
        att_weight: weight of the attribute loss.
    """

    embedding_dim: Width = 512
    word_dim: Width = 512
    word_dropout: Share = 0.5
    rnn: Literal['lstm', 'gru', 'rnn'] = 'lstm'
    rnn_dim: Width = 512
    rnn_layers: Layers = 1
    rnn_dropout: Share = 0.2
    bidirectional: bool = True
    joint_dropout: Share = 0.1
    visual_dropout: Share = 0.2
    initial_norm: Positive = 20
    with_same_category: bool = True
    longest: Longest = 0
    word_threshold: CountOrNone = 5
    attributes: Width = 50
    seq_per_ref: Width = 3
    sample_ratio: Share = 0.3
    margin: RateOrNone = 0.1
    visual_rank_weight: RateOrNone = 1.0
    lang_rank_weight: RateOrNone = 1.0
    att_weight: RateOrNone = 1.0

    @property
    def widths(self) -> dict[str, Any]:
        """What the network is built from beside the data, by the names of
        :class:`~grounders.options.ModularOptions`."""
        names = ('embedding_dim', 'word_dim', 'word_dropout', 'rnn', 'rnn_dim', 'rnn_layers', 'rnn_dropout',
                 'bidirectional', 'joint_dropout', 'visual_dropout', 'initial_norm')
        return {name: value for name, value in asdict(self).items() if name in names}

    @property
    def weighting(self) -> dict[str, Any]:
        """How the parts of the objective count, by the names of
        :class:`~adapters.modular.modular_training.RankingModel`."""
        return {name: getattr(self, name)
                for name in ('margin', 'visual_rank_weight', 'lang_rank_weight', 'att_weight')}

    @property
    def without_effect(self) -> set[str]:
        return super().without_effect | ({'rnn_dropout'} if self.rnn_layers == 1 else set())


@dataclass(frozen=True)
class MAttNetTraining(ModularTraining):
    """The options of MAttNet's training.

    Attributes:
        joint_dim: size of the space in which vision and phrases are matched.
        batch_size: images per step.
        steps: how many; 0: as many as ``epochs`` have. ``decay_start`` and ``decay_every`` count steps, or where this
            is 0 epochs.
        epochs: passes over the training split.
    """

    decay_start: CountOrNone = 8000
    decay_every: CountOrNone = 8000
    validate_every: CountOrNone = 2000
    joint_dim: Width = 512
    batch_size: Count = 15
    steps: CountOrNone = 30_000
    epochs: Count = 10

    @property
    def widths(self) -> dict[str, Any]:
        return {**super().widths, 'joint_dim': self.joint_dim}

    @property
    def without_effect(self) -> set[str]:
        return super().without_effect | ({'epochs'} if self.steps else set())


@dataclass(frozen=True)
class CMAETraining(ModularTraining):
    """The options of CM-A-E's training: both stages have all options alike but for those named after one of them.

    ``word_dim`` is also the size of the space in which vision and phrases are matched; ``embedding_dim`` counts the
    pretrained part of a word. ``decay_start`` and ``decay_every`` count epochs.

    Attributes:
        image_hidden_dim: channels between the convolutions that the whole image goes through.
        attention_epochs, erase_epochs: passes over the training split.
        attention_batch_size, erase_batch_size: images per step.
        erase: how the erased part is picked (:mod:`grounders.erasing`).
        erase_size: side of the square of cells that the subject loses.
        erase_margin: of the rankings with something erased.
        erase_lang_weight, erase_allvisual_weight: weights of the rankings with a word, or part of what is seen, erased.
    """

    image_hidden_dim: Width = 256
    attention_epochs: Count = 15
    attention_batch_size: Count = 28
    erase_epochs: Count = 30
    erase_batch_size: Count = 20
    erase: Literal['sample', 'most attended'] = 'sample'
    erase_size: Cells = 2
    erase_margin: RateOrNone = 0.1
    erase_lang_weight: RateOrNone = 1.0
    erase_allvisual_weight: RateOrNone = 1.0

    @property
    def widths(self) -> dict[str, Any]:
        return {**super().widths, 'joint_dim': self.word_dim, 'image_hidden_dim': self.image_hidden_dim}

    @property
    def without_effect(self) -> set[str]:
        sight, words = self.erase_allvisual_weight, self.erase_lang_weight
        return (super().without_effect | (set() if sight else {'erase_size'})
                | (set() if sight or words else {'erase', 'erase_margin'}))

    @property
    def erasing(self) -> dict[str, Any]:
        """By the names of :class:`~adapters.modular.cmae_training.CMAEForTraining`."""
        names = ('erase', 'erase_size', 'erase_margin', 'erase_lang_weight', 'erase_allvisual_weight')
        return {name: getattr(self, name) for name in names}


# The shipped weights': small enough for two cores, and the rate falls to a tenth over each training.
_EMBEDDED: dict[str, Any] = dict(decay_start=0, decay_every=0, validate_every=0, keep='last')
MATTNET = {
    'embedded': MAttNetTraining(embedding_dim=64, word_dim=88, joint_dim=88, rnn_dim=56, word_dropout=0.2, lr=2e-3,
                                steps=0, epochs=10, batch_size=16, **_EMBEDDED),
    'released': MAttNetTraining()}
CMAE = {
    'embedded': CMAETraining(embedding_dim=150, word_dim=96, rnn_dim=64, image_hidden_dim=64, lr=1e-3,
                             attention_epochs=8, erase_epochs=5, attention_batch_size=16, erase_batch_size=16,
                             **_EMBEDDED),
    'released': CMAETraining()}
