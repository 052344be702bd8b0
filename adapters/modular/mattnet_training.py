"""How MAttNet is trained: right pairs over wrong ones, and attributes (``tools/train.py`` of lichengunc/MAttNet)."""
from __future__ import annotations

from torch import Tensor

from adapters.modular.annotated_split import AnnotatedChoices
from adapters.modular.modular_training import Lessons, RankingModel
from grounders.mattnet import MAttNet
from grounders.objectives import Ranked, TrainingPairs, rank
from grounders.options import ModularOptions
from harness.training.grounder import Material, Recipe

# Small enough for two cores; the original's are 512 everywhere, of which it can spare half of a word's numbers.
EMBEDDED_WIDTHS = dict(embedding_dim=64, word_dim=88, joint_dim=88, rnn_dim=56, word_dropout=0.2)
EMBEDDED_EPOCHS = 10
EMBEDDED_LEARNING_RATE = 2e-3  # 4e-4 in the original, which starts to fall after 8,000 of 30,000 steps


def mattnet_recipe(material: Material, seed: int) -> Recipe:
    """The recipe of MAttNet: one stage, on the annotated boxes of one dataset."""
    lessons = Lessons.of(material)
    options = lessons.options(ModularOptions, **EMBEDDED_WIDTHS)
    network = MAttNet(options)
    model = MAttNetForTraining(network, lessons.attributes, lessons.referent_attributes)
    stage = lessons.stage('attention', model, seed, EMBEDDED_EPOCHS, EMBEDDED_LEARNING_RATE)
    return Recipe([stage], network.state_dict, lessons.metadata('mattnet', options))


class MAttNetForTraining(RankingModel):
    """MAttNet with its objective (Section 3.3)."""

    network: MAttNet

    def rank(self, pairs: TrainingPairs) -> Ranked:
        return rank(self.network, self.network.read(pairs.labels), pairs)

    def score(self, batch: AnnotatedChoices) -> Tensor:
        return self.network.ground(batch.pool5, batch.fc7, batch.places, batch.labels, batch.rows).scores
