"""MAttNet in training: right pairs over wrong ones, and attributes (``tools/train.py`` of lichengunc/MAttNet)."""
from __future__ import annotations

from torch import Tensor

from adapters.annotated_split import Choices
from adapters.modular_training import Lessons, RankingModel
from grounders.mattnet import MAttNet
from grounders.objectives import Pairs, Ranked, rank
from harness.training.grounder import Material, Recipe

# Small enough for two cores; the original's are 512 everywhere.
EMBEDDED_WIDTHS = dict(word_embedding_size=64, word_vec_size=88, jemb_dim=88, rnn_hidden_size=56)
EMBEDDED_EPOCHS = 8


def mattnet_recipe(material: Material, seed: int) -> Recipe:
    """One stage on one dataset's annotated boxes."""
    lessons = Lessons.of(material)
    opt = lessons.options({}, **EMBEDDED_WIDTHS)
    network = MAttNet(opt)
    model = MAttNetForTraining(network, lessons.attributes, lessons.referent_attributes)
    stage = lessons.stage('attention', model, seed, EMBEDDED_EPOCHS)
    return Recipe([stage], network.state_dict, lessons.metadata('mattnet', opt))


class MAttNetForTraining(RankingModel):
    """MAttNet with its objective (Section 3.3)."""

    network: MAttNet

    def rank(self, pairs: Pairs) -> Ranked:
        return rank(self.network, self.network.read(pairs.labels), pairs)

    def score(self, batch: Choices) -> Tensor:
        return self.network.ground(batch.pool5, batch.fc7, batch.places, batch.labels, batch.rows).scores
