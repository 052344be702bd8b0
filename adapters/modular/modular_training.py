"""How MAttNet and CM-A-E are trained: what they learn from, their options, and accuracy on annotated boxes."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from mmengine.model import BaseModel
from torch import Tensor

from adapters.modular.annotated_split import AnnotatedChoices, AnnotatedSplit, RightAndWrong, annotated_choices
from adapters.modular.attributes import Attributes, said_of_referents
from adapters.modular.metadata import opt_of
from adapters.modular.vocabulary import ModularVocabulary
from grounders.modular import ModularNetwork
from grounders.objectives import Ranked, TrainingPairs, attribute_loss, attribute_weights, max_margin
from grounders.options import ModularOptions
from harness.training.grounder import Material, TrainingStage

Options = TypeVar('Options', bound=ModularOptions)


@dataclass
class Lessons:
    """What one dataset has to learn from: its training split, a split to test on, words and attributes."""

    split: AnnotatedSplit
    unseen: AnnotatedSplit
    vocabulary: ModularVocabulary
    attributes: Attributes
    referent_attributes: Tensor

    @classmethod
    def of(cls, material: Material) -> Lessons:
        """Prepare a dataset. Sentences of RefCOCOg are cut at 20 words, those of other datasets at 10."""
        train, val = material.train.split('train'), material.val.split('val')
        vocabulary = ModularVocabulary.build((e.tokens for e in train), material.train.categories,
                                      max_length=20 if material.train.name.endswith('g') else 10)
        split = AnnotatedSplit.of(material.train, train, material.train_features, vocabulary)
        unseen = AnnotatedSplit.of(material.val, val, material.val_features, vocabulary)
        said = said_of_referents(train, material.train.categories)
        attributes = Attributes.choose(said.values())
        return cls(split, unseen, vocabulary, attributes, attributes.labels([said[r.key] for r in split.referents]))

    def options(self, kind: type[Options], **widths: Any) -> Options:
        """The :func:`network_options` of what there is to learn."""
        return network_options(kind, self.vocabulary, self.attributes, self.split.pool5.shape[1],
                               self.split.fc7.shape[1], **widths)

    def stage(self, name: str, model: RankingModel, seed: int, epochs: int, learning_rate: float) -> TrainingStage:
        """Training of ``model`` on pairs of the training split; the learning rate falls to a tenth over ``epochs``.

        Adam and the clipping of every gradient at 0.1 are as in ``tools/opt.py`` and ``tools/train.py`` of both
        originals, which train for more epochs at 4e-4 and lower the rate later.
        """
        pairs = RightAndWrong(self.split, seed)
        schedule = [dict(type='ExponentialLR', gamma=0.1 ** (1 / epochs), by_epoch=True)]
        return TrainingStage(name, model, pairs, pairs.collate, batch_size=16, epochs=epochs,
                     optim_wrapper=dict(type='OptimWrapper', clip_grad=dict(type='value', clip_value=0.1),
                                        optimizer=dict(type='Adam', lr=learning_rate, betas=(0.8, 0.999), eps=1e-8)),
                     param_scheduler=schedule,
                     evaluate=lambda: {'accuracy on annotated boxes': choice_accuracy(model, self.unseen)})

    def metadata(self, kind: str, options: ModularOptions) -> dict[str, Any]:
        """The metadata of a weight file: all that the grounder is built from again."""
        return metadata(kind, options, self.vocabulary, self.attributes)


def network_options(kind: type[Options], vocabulary: ModularVocabulary, attributes: Attributes, pool5_dim: int,
                    fc7_dim: int, **widths: Any) -> Options:
    """The options of a network to train: what the data decides, and ``widths`` in the place of defaults."""
    return kind(vocabulary_size=len(vocabulary), unknown_word=vocabulary.unknown_word, attribute_count=len(attributes),
                pool5_dim=pool5_dim, fc7_dim=fc7_dim, **widths)


def metadata(kind: str, options: ModularOptions, vocabulary: ModularVocabulary,
             attributes: Attributes) -> dict[str, Any]:
    """The metadata of a weight file: all that the grounder is built from again."""
    return {'kind': kind, 'opt': opt_of(options), 'vocabulary': vocabulary.to_json(),
            'attributes': attributes.to_json()}


class RankingModel(BaseModel):
    """A network with its objective: right pairs over wrong ones, and attributes.

    Args:
        network: trained in place.
        attributes: the words that it predicts; rare ones weigh more.
        referent_attributes: ``(r, A)`` which are said of each referent of the training split.
        att_weight: weight of the attribute loss.

    A subclass says how its network ranks pairs (:meth:`rank`) and scores choices (:meth:`score`), and if it is trained
    for more than the ranking, its :meth:`objective`.
    """

    def __init__(self, network: ModularNetwork, attributes: Attributes, referent_attributes: Tensor, *,
                 att_weight: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.att_weight = att_weight
        self.register_buffer('attribute_weights', attribute_weights(torch.tensor(attributes.counts)), persistent=False)
        self.register_buffer('referent_attributes', referent_attributes, persistent=False)

    def rank(self, pairs: TrainingPairs) -> Ranked:
        """The scores of right and wrong pairs."""
        raise NotImplementedError

    def score(self, batch: AnnotatedChoices) -> Tensor:
        """``(n,)`` scores of a batch's rows."""
        raise NotImplementedError

    def objective(self, pairs: TrainingPairs) -> tuple[Tensor, Tensor]:
        """The ranking loss, and ``att_scores`` (b, A) of the boxes."""
        ranked = self.rank(pairs)
        return max_margin(ranked.right, ranked.other_box, ranked.other_sentence), ranked.att_scores

    def forward(self, pairs: TrainingPairs, named_box: Tensor, referent: Tensor,
                mode: str = 'loss') -> dict[str, Tensor] | Tensor:
        """A batch of :meth:`adapters.modular.annotated_split.RightAndWrong.collate`.

        ``mode='loss'``: ``loss_rank`` and ``loss_att``. ``mode='predict'``: bool ``(2, N)``, whether each right pair
        scores over the other box and over the other sentence.
        """
        if mode == 'predict':
            scores = self.rank(pairs)
            return torch.stack([scores.right > scores.other_box, scores.right > scores.other_sentence])
        if mode != 'loss':
            raise ValueError(f'mode={mode!r} must be "loss" or "predict"')
        loss, att_scores = self.objective(pairs)
        named = attribute_loss(att_scores[named_box], self.referent_attributes[referent], self.attribute_weights)
        return {'loss_rank': loss, 'loss_att': self.att_weight * named}


@torch.inference_mode()
def choice_accuracy(model: RankingModel, split: AnnotatedSplit, images_a_batch: int = 16) -> float:
    """Percent of sentences whose referent has the best score of all annotated boxes of its image, in evaluation mode.

    The earlier box wins a tie. Source: ``lib/models/eval_easy_utils.py: eval_split`` of lichengunc/MAttNet.
    """
    was_training = model.training
    model.eval()
    right = total = 0
    for batch in annotated_choices(split, images_a_batch):
        scores = model.score(batch)
        owner = batch.rows.sentence
        best = scores.new_full((len(batch.right),), float('-inf')).scatter_reduce(0, owner, scores, 'amax')
        row = torch.arange(len(scores)).where(scores == best[owner], len(scores))
        chosen = row.new_full((len(batch.right),), len(scores)).scatter_reduce(0, owner, row, 'amin')
        right += int((chosen == batch.right).sum())
        total += len(batch.right)
    model.train(was_training)
    return 100 * right / total
