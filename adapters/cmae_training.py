"""CM-A-E in training: options, the model that mmengine's Runner steps, and accuracy on annotated boxes.

The two stages of the original (``experiments/scripts/train_mattnet.sh`` and ``train_erase.sh`` of
ChopinSharp/CM-Erase-REG): ``'attention'`` ranks, ``'erase'`` goes on from its weights and ranks with erasing.
"""
from __future__ import annotations

from typing import Any, Literal

import torch
from mmengine.model import BaseModel
from torch import Tensor

from adapters.annotated_split import AnnotatedSplit, RightAndWrong, choices
from adapters.attributes import Attributes, said_of_referents
from adapters.vocabulary import Vocabulary
from grounders.cmae import CMAE
from grounders.erasing import Rule, rank, rank_erased
from grounders.objectives import Pairs, attribute_loss, attribute_weights, max_margin, max_margin_erase
from harness.training.grounder import Material, Recipe, Stage

StageName = Literal['attention', 'erase']

# Small enough for two cores; the originals' are 512 everywhere, and 300 of the word's 512 numbers pretrained.
EMBEDDED_WIDTHS = dict(word_embedding_size=150, word_vec_size=96, jemb_dim=96, rnn_hidden_size=64, img_hidden=64)
EMBEDDED_EPOCHS: dict[StageName, int] = {'attention': 8, 'erase': 5}
# Adam and the cut of every gradient at 0.1 are ``tools/opt.py``'s and ``tools/train.py``'s. They learn for 15 and 30
# epochs at 4e-4, ten times slower in 6 epochs after the 6th; with fewer, 1e-3 falls to a tenth of it within each stage.
EMBEDDED_OPTIM_WRAPPER = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.8, 0.999), eps=1e-8),
                              clip_grad=dict(type='value', clip_value=0.1))


def embedded_schedule(epochs: int) -> list[dict]:
    """The learning rate falls to a tenth over ``epochs``."""
    return [dict(type='ExponentialLR', gamma=0.1 ** (1 / epochs), by_epoch=True)]


def cmae_recipe(material: Material, seed: int) -> Recipe:
    """Both stages on one dataset's annotated boxes; RefCOCOg's sentences are cut at 20 words, the others at 10."""
    train, val = material.train.split('train'), material.val.split('val')
    vocabulary = Vocabulary.build((e.tokens for e in train), material.train.categories,
                                  max_length=20 if material.train.name.endswith('g') else 10)
    split = AnnotatedSplit.of(material.train, train, material.train_features, vocabulary)
    unseen = AnnotatedSplit.of(material.val, val, material.val_features, vocabulary)
    said = said_of_referents(train, material.train.categories)
    attributes = Attributes.choose(said.values())
    labels = attributes.labels([said[r.key] for r in split.referents])
    opt = network_options(vocabulary, attributes, split.pool5.shape[1], split.fc7.shape[1],
                          glove_size=material.vectors.vectors.shape[1], **EMBEDDED_WIDTHS)
    network = new_network(opt, vocabulary.rows(material.vectors))
    pairs = RightAndWrong(split, seed)
    stages = [Stage(name, CMAEForTraining(network, attributes, labels, name), pairs, pairs.collate, batch_size=16,
                    epochs=epochs, optim_wrapper=EMBEDDED_OPTIM_WRAPPER, param_scheduler=embedded_schedule(epochs),
                    evaluate=lambda: {'accuracy on annotated boxes': choice_accuracy(network, unseen)})
              for name, epochs in EMBEDDED_EPOCHS.items()]
    return Recipe(stages, network.state_dict, metadata(opt, vocabulary, attributes))


def network_options(vocabulary: Vocabulary, attributes: Attributes, pool5_dim: int, fc7_dim: int, *,
                    glove_size: int = 300, **widths: Any) -> dict[str, Any]:
    """The network's options: the original's defaults (``tools/opt.py``), what the data decides, and ``widths`` to
    override, for instance ``word_vec_size`` and ``jemb_dim`` (equal), ``rnn_hidden_size``, ``word_embedding_size``
    (the pretrained ``glove_size`` included), ``img_hidden``."""
    opt = dict(word_embedding_size=512, word_vec_size=512, word_drop_out=0.5, bidirectional=1, rnn_hidden_size=512,
               rnn_type='lstm', rnn_drop_out=0.2, rnn_num_layers=1, variable_lengths=1, jemb_drop_out=0.1, jemb_dim=512,
               visual_init_norm=20, visual_drop_out=0.2, with_st=1, num_cxt=5, img_hidden=256)
    unknown = sorted(set(widths) - set(opt))
    if unknown:
        raise ValueError(f'CM-A-E has no option {unknown[0]!r}')
    return {**opt, **widths, 'glove_size': glove_size, 'vocab_size': len(vocabulary), 'unk_token': vocabulary.unk_token,
            'num_atts': len(attributes), 'pool5_dim': pool5_dim, 'fc7_dim': fc7_dim}


def new_network(opt: dict[str, Any], pretrained: Tensor | None = None) -> CMAE:
    """A network to train; ``pretrained`` (vocab_size, glove_size) starts the second half of its words."""
    network = CMAE(opt)
    if pretrained is not None:
        with torch.no_grad():
            network.rnn_encoder.embedding2.weight.copy_(pretrained)
    return network


def metadata(opt: dict[str, Any], vocabulary: Vocabulary, attributes: Attributes) -> dict[str, Any]:
    """What a weight file has to say for the grounder to be built again."""
    return {'kind': 'cmae', 'opt': opt, 'vocabulary': vocabulary.to_json(), 'attributes': attributes.to_json()}


class CMAEForTraining(BaseModel):
    """The network with its objective.

    Args:
        network: trained in place.
        attributes: the words that it predicts, for their weights.
        referent_attributes: ``(r, A)`` which are said of each referent of the training split.
        stage: ``'attention'`` or ``'erase'``.
        erase: how the erased part is picked, ``'sample'`` or ``'most attended'`` (:mod:`grounders.erasing`).
        erase_size: side of the square of cells that the subject loses.
        att_weight: weight of the attribute loss.
    """

    def __init__(self, network: CMAE, attributes: Attributes, referent_attributes: Tensor, stage: StageName, *,
                 erase: Rule = 'sample', erase_size: int = 2, att_weight: float = 1.0) -> None:
        super().__init__()
        if stage not in ('attention', 'erase') or erase not in ('sample', 'most attended'):
            raise ValueError(f'{stage!r} must be "attention" or "erase", {erase!r} "sample" or "most attended"')
        self.network = network
        self.stage = stage
        self.erase: Rule = erase
        self.erase_size = erase_size
        self.att_weight = att_weight
        self.register_buffer('attribute_weights', attribute_weights(torch.tensor(attributes.counts)), persistent=False)
        self.register_buffer('referent_attributes', referent_attributes, persistent=False)

    def forward(self, pairs: Pairs, named_box: Tensor, referent: Tensor,
                mode: str = 'loss') -> dict[str, Tensor] | Tensor:
        """A batch of :meth:`adapters.annotated_split.RightAndWrong.collate`.

        ``mode='loss'``: ``loss_rank`` and ``loss_att``. ``mode='predict'``: bool ``(2, N)``, whether each right pair
        scores over the other box and over the other sentence.
        """
        if mode == 'predict':
            scores = rank(self.network, pairs)
            return torch.stack([scores.right > scores.other_box, scores.right > scores.other_sentence])
        if mode != 'loss':
            raise ValueError(f'mode {mode!r} is "loss" or "predict"')
        if self.stage == 'attention':
            plain = rank(self.network, pairs)
            loss, att_scores = max_margin(plain.right, plain.other_box, plain.other_sentence), plain.att_scores
        else:
            ranked = rank_erased(self.network, pairs, self.erase, self.erase_size)
            loss, att_scores = max_margin_erase(*ranked[:-1]), ranked.att_scores
        named = attribute_loss(att_scores[named_box], self.referent_attributes[referent], self.attribute_weights)
        return {'loss_rank': loss, 'loss_att': self.att_weight * named}


@torch.inference_mode()
def choice_accuracy(network: CMAE, split: AnnotatedSplit, images_a_batch: int = 16) -> float:
    """Percent of sentences whose referent has the best score among its image's annotated boxes, in evaluation mode.

    The earlier box wins a tie. Source: ``lib/models/eval_easy_utils.py: eval_split``.
    """
    was_training = network.training
    network.eval()
    right = total = 0
    for batch in choices(split, images_a_batch):
        scores = network.ground(*batch[:-1]).scores
        owner = batch.rows.sentence
        best = scores.new_full((len(batch.right),), float('-inf')).scatter_reduce(0, owner, scores, 'amax')
        row = torch.arange(len(scores)).where(scores == best[owner], len(scores))
        chosen = row.new_full((len(batch.right),), len(scores)).scatter_reduce(0, owner, row, 'amin')
        right += int((chosen == batch.right).sum())
        total += len(batch.right)
    network.train(was_training)
    return 100 * right / total
