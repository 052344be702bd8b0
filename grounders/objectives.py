"""What MAttNet and CM-A-E are trained for: right pairs ranked over wrong ones, and attributes.

Scores of N right pairs are compared with the scores of what was put in their place, ``(N,)`` against ``(N,)``.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from grounders.modular import ModularNetwork, Rows, Sentences
from grounders.visual import Places


class TrainingPairs(NamedTuple):
    """N right pairs of a sentence and a box, each with a wrong sentence and a wrong box to compare with.

    b distinct boxes, s distinct (sentence, image) and i images are held once each; the pairs are indices.

    Attributes:
        pool5: ``(b, C, 7, 7)``.
        fc7: ``(b, F, 7, 7)``.
        places: the b boxes among their neighbours.
        labels: ``(s, L)`` word ids, zeros at the end.
        image_pool5: ``(i, C, 7, 7)``, for networks that read a sentence with its image.
        sentence_image: ``(s,)`` the image of each sentence.
        sentence: ``(N,)`` the sentence of each pair.
        box: ``(N,)`` its box.
        other_sentence: ``(N,)`` a sentence that is wrong for the box.
        other_box: ``(N,)`` a box that is wrong for the sentence.
    """

    pool5: Tensor
    fc7: Tensor
    places: Places
    labels: Tensor
    image_pool5: Tensor
    sentence_image: Tensor
    sentence: Tensor
    box: Tensor
    other_sentence: Tensor
    other_box: Tensor


class Ranked(NamedTuple):
    """Scores ``(N,)`` of the right pairs, of their sentences with another box, and of their boxes with another
    sentence; and ``att_scores`` (b, A), logits of the attributes."""

    right: Tensor
    other_box: Tensor
    other_sentence: Tensor
    att_scores: Tensor


def compared(pairs: TrainingPairs) -> Rows:
    """3 · N rows: the right pairs, then their sentences with other boxes, then their boxes with other sentences."""
    box = torch.cat([pairs.box, pairs.other_box, pairs.box])
    return Rows(torch.cat([pairs.sentence, pairs.sentence, pairs.other_sentence]), box, box)


def rank(network: ModularNetwork, sentences: Sentences, pairs: TrainingPairs) -> Ranked:
    """The scores that :func:`max_margin` compares; ``sentences`` are those of the pairs, already read."""
    cells = network.look(pairs.pool5, pairs.fc7)
    scores = network.compare(sentences, cells, pairs.places, compared(pairs)).scores
    right, other_box, other_sentence = scores.chunk(3)
    return Ranked(right, other_box, other_sentence, cells.att_scores)


def hinge(right: Tensor, wrong: Tensor, margin: float) -> Tensor:
    """The mean of ``max(0, margin + wrong − right)`` over all pairs."""
    return F.relu(margin + wrong - right).mean()


def max_margin(right: Tensor, other_box: Tensor, other_sentence: Tensor, *, margin: float = 0.1,
               visual_rank_weight: float = 1.0, lang_rank_weight: float = 1.0) -> Tensor:
    """Rank a right pair over its sentence with another box, and over its box with another sentence.

    Source: MAttNet, Section 3.3; ``lib/crits/max_margin_crit.py: MaxMarginCriterion``.
    """
    return (visual_rank_weight * hinge(right, other_box, margin)
            + lang_rank_weight * hinge(right, other_sentence, margin))


def max_margin_erase(right: Tensor, other_box: Tensor, other_sentence: Tensor,
                     word_erased: tuple[Tensor, Tensor], sight_erased: tuple[Tensor, Tensor], *, margin: float = 0.1,
                     erase_margin: float = 0.1, visual_rank_weight: float = 1.0, lang_rank_weight: float = 1.0,
                     erase_lang_weight: float = 1.0, erase_allvisual_weight: float = 1.0) -> Tensor:
    """:func:`max_margin`, and the same two rankings after the most telling part of the sentence or the box is erased.

    Args:
        word_erased: scores of the sentence without a word, with its box and with another box.
        sight_erased: scores of the box without a part, with its sentence and with another sentence.

    Source: ``lib/crits/max_margin_crit.py: MaxMarginEraseCriterion``; weights and margins as in
    ``experiments/scripts/train_erase.sh`` and ``tools/opt.py`` of ChopinSharp/CM-Erase-REG.
    """
    ranked = max_margin(right, other_box, other_sentence, margin=margin, visual_rank_weight=visual_rank_weight,
                        lang_rank_weight=lang_rank_weight)
    return (ranked + erase_lang_weight * hinge(*word_erased, erase_margin)
            + erase_allvisual_weight * hinge(*sight_erased, erase_margin))


def attribute_weights(counts: Tensor, scale: float = 10.0) -> Tensor:
    """A weight for each attribute from how often it is used: 1/√count, stretched to 1 (most used) … ``scale``.

    From ``(A,)`` counts over 0 to ``(A,)``. Source: ``lib/loaders/gt_mrcn_loader.py: get_attribute_weights``. If all
    counts are equal, for which the source divides by zero, all weights are 1.
    """
    weights = counts.double() ** -0.5
    if len(weights) == 0 or weights.max() == weights.min():
        return torch.ones(len(counts))
    stretched = (weights - weights.min()) / (weights.max() - weights.min())
    return (stretched * (scale - 1) + 1).float()


def attribute_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted binary cross entropy over the boxes that have an attribute at all; 0 if none has.

    ``logits`` and ``labels`` (n, A), ``weights`` (A,). Source: MAttNet, Section 3.2.1; ``tools/train.py: lossFun``.
    """
    named = labels.sum(1) > 0
    if not named.any():
        return logits.sum() * 0
    return F.binary_cross_entropy_with_logits(logits[named], labels[named], weight=weights)
