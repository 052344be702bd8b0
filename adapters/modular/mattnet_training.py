"""How MAttNet is trained: right pairs over wrong ones, and attributes (``tools/train.py`` of lichengunc/MAttNet)."""
from __future__ import annotations

from torch import Tensor

from adapters.modular.annotated_split import AnnotatedChoices
from adapters.modular.modular_training import Lessons, RankingModel
from adapters.modular.recipes import MATTNET, MAttNetTraining
from grounders.mattnet import MAttNet
from grounders.objectives import Ranked, TrainingPairs, rank
from grounders.options import ModularOptions
from harness.training.grounder import Material, Recipe


def mattnet_recipe(material: Material, seed: int, options: MAttNetTraining | None = None) -> Recipe:
    """The recipe of MAttNet: one stage, on the annotated boxes of one dataset; by default the shipped weights'."""
    chosen = options or MATTNET['embedded']
    lessons = Lessons.of(material, chosen)
    built_with = lessons.options(ModularOptions, **chosen.widths)
    network = MAttNet(built_with)
    model = MAttNetForTraining(network, lessons.attributes, lessons.referent_attributes, **chosen.weighting)
    stage = lessons.stage('attention', model, seed, chosen, batch_size=chosen.batch_size, epochs=chosen.epochs,
                          steps=chosen.steps)
    return Recipe([stage], network.state_dict, lessons.metadata('mattnet', built_with, chosen))


class MAttNetForTraining(RankingModel):
    """MAttNet with its objective (Section 3.3)."""

    network: MAttNet

    def rank(self, pairs: TrainingPairs) -> Ranked:
        return rank(self.network, self.network.read(pairs.labels), pairs)

    def score(self, batch: AnnotatedChoices) -> Tensor:
        return self.network.ground(batch.pool5, batch.fc7, batch.places, batch.labels, batch.rows).scores
