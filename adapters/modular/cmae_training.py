"""How CM-A-E is trained, in two stages.

They are the original's (``experiments/scripts/train_mattnet.sh`` and ``train_erase.sh`` of ChopinSharp/CM-Erase-REG):
``'attention'`` ranks, ``'erase'`` goes on from its weights, with a new optimiser, and ranks with erasing.
"""
from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from adapters.modular.annotated_split import AnnotatedChoices
from adapters.modular.attributes import Attributes
from adapters.modular.modular_training import Lessons, RankingModel
from adapters.modular.recipes import CMAE as CMAE_RECIPES
from adapters.modular.recipes import CMAETraining
from grounders.cmae import CMAE, CMAEOptions
from grounders.erasing import Rule, rank, rank_erased
from grounders.objectives import Ranked, TrainingPairs, max_margin_erase
from harness.errors import InputError
from harness.training.grounder import Material, Recipe

StageName = Literal['attention', 'erase']


def cmae_recipe(material: Material, seed: int, options: CMAETraining | None = None) -> Recipe:
    """The recipe of CM-A-E: both stages, on the annotated boxes of one dataset; by default the shipped weights'.

    Raises:
        InputError: a word's embedding leaves no room beside its pretrained vector.
    """
    chosen = options or CMAE_RECIPES['embedded']
    pretrained = material.vectors.vectors.shape[1]
    if chosen.embedding_dim <= pretrained:
        raise InputError(f'--set embedding_dim={chosen.embedding_dim}: must be over {pretrained}, the size of a word '
                         f'vector of {material.vectors.name}, which is a part of it')
    lessons = Lessons.of(material, chosen)
    built_with = lessons.options(CMAEOptions, pretrained_dim=pretrained, **chosen.widths)
    network = new_network(built_with, lessons.vocabulary.rows(material.vectors))
    lengths: dict[StageName, tuple[int, int]] = {'attention': (chosen.attention_batch_size, chosen.attention_epochs),
                                                 'erase': (chosen.erase_batch_size, chosen.erase_epochs)}
    stages = [lessons.stage(name, CMAEForTraining(network, lessons.attributes, lessons.referent_attributes, name,
                                                  **chosen.erasing, **chosen.weighting),
                            seed, chosen, batch_size=batch_size, epochs=epochs)
              for name, (batch_size, epochs) in lengths.items()]
    return Recipe(stages, network.state_dict, lessons.metadata('cmae', built_with, chosen))


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
        erase_margin, erase_lang_weight, erase_allvisual_weight: of the rankings with something erased, as
            :func:`grounders.objectives.max_margin_erase` takes them.
        weighting: as :class:`~adapters.modular.modular_training.RankingModel` takes it.
    """

    network: CMAE

    def __init__(self, network: CMAE, attributes: Attributes, referent_attributes: Tensor, stage: StageName, *,
                 erase: Rule = 'sample', erase_size: int = 2, erase_margin: float = 0.1, erase_lang_weight: float = 1.0,
                 erase_allvisual_weight: float = 1.0, **weighting: Any) -> None:
        super().__init__(network, attributes, referent_attributes, **weighting)
        if stage not in ('attention', 'erase') or erase not in ('sample', 'most attended'):
            raise ValueError(f'stage={stage!r} must be "attention" or "erase", and erase={erase!r} must be "sample" or '
                             '"most attended"')
        self.stage = stage
        self.erase: Rule = erase
        self.erase_size = erase_size
        self.erasing: dict[str, Any] = dict(erase_margin=erase_margin, erase_lang_weight=erase_lang_weight,
                                            erase_allvisual_weight=erase_allvisual_weight)

    def rank(self, pairs: TrainingPairs) -> Ranked:
        return rank(self.network, pairs)

    def score(self, batch: AnnotatedChoices) -> Tensor:
        return self.network.ground(*batch[:-1]).scores

    def objective(self, pairs: TrainingPairs) -> tuple[Tensor, Tensor]:
        if self.stage == 'attention':
            return super().objective(pairs)
        ranked = rank_erased(self.network, pairs, self.erase, self.erase_size)
        loss = max_margin_erase(ranked.right, ranked.other_box, ranked.other_sentence, ranked.word_erased,
                                ranked.sight_erased, **self.ranking, **self.erasing)
        return loss, ranked.att_scores
