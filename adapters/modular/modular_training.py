"""How MAttNet and CM-A-E are trained: what they learn from, their options, and accuracy on annotated boxes."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from mmengine.model import BaseModel
from torch import Tensor

from adapters.modular.annotated_split import AnnotatedChoices, AnnotatedSplit, RightAndWrong, annotated_choices
from adapters.modular.attributes import Attributes, parsed_of_referents, said_of_referents
from adapters.modular.metadata import opt_of
from adapters.modular.recipes import ModularTraining
from adapters.modular.vocabulary import ModularVocabulary
from grounders.modular import ModularNetwork
from grounders.objectives import Ranked, TrainingPairs, attribute_loss, attribute_weights, max_margin
from grounders.options import ModularOptions
from harness.errors import InputError
from harness.training.adam import optim_wrapper, schedule
from harness.training.grounder import ACCURACY, Material, TrainingStage, on_device_of
from harness.types import Dataset

Options = TypeVar('Options', bound=ModularOptions)


@dataclass
class Lessons:
    """What one dataset has to learn from: its training split, a split to test on, words and attributes; and where the
    attributes come from: its sentences, or a parser's ``sents.json``."""

    split: AnnotatedSplit
    unseen: AnnotatedSplit
    vocabulary: ModularVocabulary
    attributes: Attributes
    referent_attributes: Tensor
    attributes_from: str

    @classmethod
    def of(cls, material: Material, options: ModularTraining) -> Lessons:
        """Prepare a dataset.

        Raises:
            InputError: as :meth:`adapters.modular.annotated_split.AnnotatedSplit.of`, or no attribute is said.
        """
        train, val = material.train.split('train'), material.val.split('val')
        categories = material.train.categories
        vocabulary = ModularVocabulary.build((e.tokens for e in train), categories, longest(material.train, options),
                                             options.word_threshold)
        split, unseen = (AnnotatedSplit.of(dataset, expressions, features, vocabulary, options.with_same_category)
                         for dataset, expressions, features in ((material.train, train, material.train_features),
                                                                (material.val, val, material.val_features)))
        said = (said_of_referents(train, categories) if material.parsed is None else
                parsed_of_referents(train, categories, material.parsed))
        attributes = Attributes.choose(said.values(), options.attributes)
        if not len(attributes):
            raise InputError(f'{material.train.name}: its training sentences say no attribute of anything, and the '
                             'network learns to predict some; give more sentences, or a sents.json of refer-parser2')
        return cls(split, unseen, vocabulary, attributes, attributes.labels([said[r.key] for r in split.referents]),
                   'sentences' if material.parsed is None else 'sents.json')

    def options(self, kind: type[Options], **widths: Any) -> Options:
        """The :func:`network_options` of what there is to learn."""
        return network_options(kind, self.vocabulary, self.attributes, self.split.pool5.shape[1],
                               self.split.fc7.shape[1], **widths)

    def stage(self, name: str, model: RankingModel, seed: int, options: ModularTraining, *, batch_size: int,
              epochs: int, steps: int = 0) -> TrainingStage:
        """Training of ``model`` on pairs of the training split, for ``steps`` or, if they are 0, for ``epochs``."""
        pairs = RightAndWrong(self.split, seed, options.seq_per_ref, options.sample_ratio)
        return TrainingStage(
            name, model, pairs, pairs.collate, batch_size=batch_size, epochs=epochs, steps=steps or None,
            optim_wrapper=optim_wrapper(options), param_scheduler=schedule(options, steps or epochs, not steps),
            evaluate=lambda: {ACCURACY: choice_accuracy(model, self.unseen)}, evaluate_on='any device',
            validate_every=options.validate_every or None, keep_best=options.keep == 'best')

    def metadata(self, kind: str, options: ModularOptions, training: ModularTraining) -> dict[str, Any]:
        """The metadata of a weight file: all that the grounder is built from again."""
        return {**metadata(kind, options, self.vocabulary, self.attributes, training.with_same_category),
                'attributes_from': self.attributes_from}


def longest(dataset: Dataset, options: ModularTraining) -> int:
    """Words that a dataset's sentences are cut at."""
    return options.longest or (20 if 'refcocog' in dataset.name else 10)


def network_options(kind: type[Options], vocabulary: ModularVocabulary, attributes: Attributes, pool5_dim: int,
                    fc7_dim: int, **widths: Any) -> Options:
    """The options of a network to train: what the data decides, and ``widths`` in the place of defaults."""
    return kind(vocabulary_size=len(vocabulary), unknown_word=vocabulary.unknown_word, attribute_count=len(attributes),
                pool5_dim=pool5_dim, fc7_dim=fc7_dim, **widths)


def metadata(kind: str, options: ModularOptions, vocabulary: ModularVocabulary, attributes: Attributes,
             with_same_category: bool = True) -> dict[str, Any]:
    """The metadata of a weight file: all that the grounder is built from again."""
    return {'kind': kind, 'opt': {**opt_of(options), 'with_st': int(with_same_category)},
            'vocabulary': vocabulary.to_json(), 'attributes': attributes.to_json()}


class RankingModel(BaseModel):
    """A network with its objective: right pairs over wrong ones, and attributes.

    Args:
        network: trained in place.
        attributes: the words that it predicts; rare ones weigh more.
        referent_attributes: ``(r, A)`` which are said of each referent of the training split.
        att_weight: weight of the attribute loss.
        ranking: weights and margin of the ranking, as :func:`grounders.objectives.max_margin` takes them.

    A subclass says how its network ranks pairs (:meth:`rank`) and scores choices (:meth:`score`), and if it is trained
    for more than the ranking, its :meth:`objective`.
    """

    def __init__(self, network: ModularNetwork, attributes: Attributes, referent_attributes: Tensor, *,
                 att_weight: float = 1.0, **ranking: Any) -> None:
        super().__init__()
        self.network = network
        self.att_weight, self.ranking = att_weight, ranking
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
        return max_margin(ranked.right, ranked.other_box, ranked.other_sentence, **self.ranking), ranked.att_scores

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
    for choices in annotated_choices(split, images_a_batch):
        batch = on_device_of(model, choices)
        scores = model.score(batch)
        owner = batch.rows.sentence
        best = scores.new_full((len(batch.right),), float('-inf')).scatter_reduce(0, owner, scores, 'amax')
        row = torch.arange(len(scores), device=scores.device).where(scores == best[owner], len(scores))
        chosen = row.new_full((len(batch.right),), len(scores)).scatter_reduce(0, owner, row, 'amin')
        right += int((chosen == batch.right).sum())
        total += len(batch.right)
    model.train(was_training)
    return 100 * right / total
