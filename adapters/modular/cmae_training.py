"""How CM-A-E is trained: the sizes of its layers and its two stages.

They are the original's (``experiments/scripts/train_mattnet.sh`` and ``train_erase.sh`` of ChopinSharp/CM-Erase-REG):
``'attention'`` ranks, ``'erase'`` goes on from its weights and ranks with erasing.
"""
from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from adapters.modular.annotated_split import AnnotatedChoices
from adapters.modular.attributes import Attributes
from adapters.modular.modular_training import Lessons, RankingModel
from grounders.cmae import CMAE, CMAEOptions
from grounders.erasing import Rule, rank, rank_erased
from grounders.objectives import Ranked, TrainingPairs, max_margin_erase
from harness.training.grounder import Material, Recipe

StageName = Literal['attention', 'erase']

# Small enough for two cores; the original's are 512 everywhere, and 300 of the word's 512 numbers pretrained.
EMBEDDED_WIDTHS = dict(embedding_dim=150, word_dim=96, joint_dim=96, rnn_dim=64, image_hidden_dim=64)
EMBEDDED_EPOCHS: dict[StageName, int] = {'attention': 8, 'erase': 5}
EMBEDDED_LEARNING_RATE = 1e-3  # 4e-4 in the original, for 15 and 30 epochs


def cmae_recipe(material: Material, seed: int) -> Recipe:
    """The recipe of CM-A-E: both stages, on the annotated boxes of one dataset."""
    lessons = Lessons.of(material)
    options = lessons.options(CMAEOptions, pretrained_dim=material.vectors.vectors.shape[1], **EMBEDDED_WIDTHS)
    network = new_network(options, lessons.vocabulary.rows(material.vectors))
    stages = [lessons.stage(name, CMAEForTraining(network, lessons.attributes, lessons.referent_attributes, name),
                            seed, epochs, EMBEDDED_LEARNING_RATE)
              for name, epochs in EMBEDDED_EPOCHS.items()]
    return Recipe(stages, network.state_dict, lessons.metadata('cmae', options))


def new_network(options: CMAEOptions, pretrained: Tensor | None = None) -> CMAE:
    """A network to train; ``pretrained`` (vocabulary_size, pretrained_dim) starts the second half of its words."""
    network = CMAE(options)
    if pretrained is not None:
        with torch.no_grad():
            network.rnn_encoder.embedding2.weight.copy_(pretrained)
    return network


class CMAEForTraining(RankingModel):
    """CM-A-E with its objective.

    Args:
        network: trained in place.
        attributes: the words that it predicts; rare ones weigh more.
        referent_attributes: ``(r, A)`` which are said of each referent of the training split.
        stage: ``'attention'`` or ``'erase'``.
        erase: how the erased part is picked, ``'sample'`` or ``'most attended'`` (:mod:`grounders.erasing`).
        erase_size: side of the square of cells that the subject loses.
        att_weight: weight of the attribute loss.
    """

    network: CMAE

    def __init__(self, network: CMAE, attributes: Attributes, referent_attributes: Tensor, stage: StageName, *,
                 erase: Rule = 'sample', erase_size: int = 2, att_weight: float = 1.0) -> None:
        super().__init__(network, attributes, referent_attributes, att_weight=att_weight)
        if stage not in ('attention', 'erase') or erase not in ('sample', 'most attended'):
            raise ValueError(f'stage={stage!r} must be "attention" or "erase", and erase={erase!r} must be "sample" or '
                             '"most attended"')
        self.stage = stage
        self.erase: Rule = erase
        self.erase_size = erase_size

    def rank(self, pairs: TrainingPairs) -> Ranked:
        return rank(self.network, pairs)

    def score(self, batch: AnnotatedChoices) -> Tensor:
        return self.network.ground(*batch[:-1]).scores

    def objective(self, pairs: TrainingPairs) -> tuple[Tensor, Tensor]:
        if self.stage == 'attention':
            return super().objective(pairs)
        ranked = rank_erased(self.network, pairs, self.erase, self.erase_size)
        return max_margin_erase(*ranked[:-1]), ranked.att_scores
