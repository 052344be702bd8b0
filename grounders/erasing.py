"""Cross-modal attention-guided erasing: how CM-A-E is trained.

Stage one ranks right pairs over wrong ones (:func:`rank`). Stage two (:func:`rank_erased`) goes on from its weights
and ranks again with attended evidence taken away: a word of the sentence becomes ``<UNK>``, or a part of what one
module sees becomes zero, so that the network learns to use the rest.

Source: ``lib/layers/joint_match.py`` (``manipulate_labels``, ``erase_subj``, ``erase_loc``,
``erase_rel``, ``erase_allvisual``) and ``tools/train.py: lossFun`` of ChopinSharp/CM-Erase-REG.

``rule`` says how the erased part is picked from the attention: ``'sample'`` draws it with the attention as
probabilities, as the released code does by default; ``'most attended'`` takes the largest (the released rule
``largest``, for words and slots too). Under both rules, the module that loses part of what it sees is drawn with the
sentence's module weights as probabilities.

The released code attends once more, with dropout of its own, to decide what to erase; here the attention of the
training pass itself decides.
"""
from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from grounders import objectives
from grounders.cmae import CMAE
from grounders.language import PAD
from grounders.modular import Rows, Sentences
from grounders.objectives import Ranked, TrainingPairs, compared
from grounders.visual import Places

Rule = Literal['sample', 'most attended']
SIDE = 7


class ErasedRanked(NamedTuple):
    """The scores of :class:`Ranked`, and two more pairs of scores ``(N,)``: ``word_erased``, a sentence without a word,
    with the right box and with another one; ``sight_erased``, a box without a part, with the right sentence and with
    another one."""

    right: Tensor
    other_box: Tensor
    other_sentence: Tensor
    word_erased: tuple[Tensor, Tensor]
    sight_erased: tuple[Tensor, Tensor]
    att_scores: Tensor


def rank(network: CMAE, pairs: TrainingPairs) -> Ranked:
    """Stage one: the scores that ``max_margin`` compares."""
    sentences = network.read(pairs.labels, network.view(pairs.image_pool5)[pairs.sentence_image])
    return objectives.rank(network, sentences, pairs)


def rank_erased(network: CMAE, pairs: TrainingPairs, rule: Rule = 'sample', erase_size: int = 2) -> ErasedRanked:
    """Stage two: the scores that ``max_margin_erase`` compares.

    The attention over the right pairs decides what is erased from them; no gradient flows through that choice. Erased
    cells are those of a box of zeros, which is encoded with the others, so that no box is encoded twice.
    """
    image = network.view(pairs.image_pool5)[pairs.sentence_image]
    sentences = network.read(pairs.labels, image)
    cells = network.look(_with_zeros(pairs.pool5), _with_zeros(pairs.fc7))
    slots = network.survey(pairs.places)
    rows = compared(pairs)
    attended = network.attend(sentences, cells, slots, rows)

    n, each = len(pairs.sentence), torch.arange(len(pairs.sentence), device=pairs.sentence.device)
    labels = erase_word(pairs.labels[pairs.sentence], sentences.word_attention.detach()[pairs.sentence],
                        network.unknown_word, rule)
    shorter = network.read(labels, image[pairs.sentence])
    word_rows = Rows(each.repeat(2), torch.cat([pairs.box, pairs.other_box]), torch.cat([pairs.box, pairs.other_box]))
    word_erased = network.attend(shorter, cells, slots, word_rows)

    seen = [part.detach()[:n] for part in attended.attention]
    blank, places = erase_sight(seen, sentences.weights.detach()[pairs.sentence], _at(pairs.places, pairs.box), rule,
                                erase_size)
    sight_rows = Rows(torch.cat([pairs.sentence, pairs.other_sentence]), pairs.box.repeat(2), each.repeat(2))
    sight_erased = network.attend(sentences, cells, network.survey(places), sight_rows, blank.repeat(2, 1))

    features = tuple(torch.cat(parts) for parts in zip(*(a.features for a in (attended, word_erased, sight_erased)),
                                                       strict=True))
    said = torch.cat([rows.sentence, word_rows.sentence + len(pairs.labels), sight_rows.sentence])
    scores, _ = network.match(_both(sentences, shorter), features, said)
    right, other_box, other_sentence, *erased = scores.chunk(7)
    return ErasedRanked(right, other_box, other_sentence, (erased[0], erased[1]), (erased[2], erased[3]),
                        cells.att_scores[:-1])


def draw(attention: Tensor, rule: Rule) -> Tensor:
    """Pick one part per row: from attention ``(n, parts)`` to indices ``(n,)``."""
    if rule == 'most attended':
        return attention.argmax(1)
    return torch.multinomial(attention, 1).squeeze(1)


def erase_word(labels: Tensor, attention: Tensor, unknown_word: int, rule: Rule) -> Tensor:
    """Replace one word by ``<UNK>`` in every sentence of three words or more.

    ``labels`` and ``attention`` (n, L). Source: ``manipulate_labels``.
    """
    if labels.shape[1] <= 2:
        return labels
    erased = labels.scatter(1, draw(attention, rule)[:, None], unknown_word)
    return torch.where(labels[:, 2:3] != PAD, erased, labels)


def erase_sight(attention: list[Tensor], weights: Tensor, places: Places, rule: Rule,
                size: int) -> tuple[Tensor, Places]:
    """Erase, in each row, part of what one module attends to. The module is drawn by the weights of the sentence.

    Args:
        attention: that of subject ``(n, 49)``, location ``(n, 6)`` and relation ``(n, 5)``.
        weights: ``(n, 3)``, those of the modules.
        places: the boxes of the n rows among their neighbours.
        rule: how the part is picked.
        size: the subject loses a square of ``size × size`` cells.

    Returns:
        ``(n, 49)`` bool, the subject's erased cells, and the places with one location slot or one context slot zeroed.
        Source: ``erase_allvisual``.
    """
    module = torch.multinomial(weights, 1)
    subject, location, relation = (module == m for m in range(3))
    blank = square(attention[0], size, rule) & subject
    lost_slot = F.one_hot(draw(attention[1], rule), attention[1].shape[1]).bool() & location
    lost_context = F.one_hot(draw(attention[2], rule), attention[2].shape[1]).bool() & relation
    others = places.dif_lfeats.unflatten(1, (-1, 5)).masked_fill(lost_slot[:, 1:, None], 0)
    return blank, places._replace(
        lfeats=places.lfeats.masked_fill(lost_slot[:, :1], 0), dif_lfeats=others.flatten(1),
        cxt_index=places.cxt_index.masked_fill(lost_context, -1),
        cxt_lfeats=places.cxt_lfeats.masked_fill(lost_context[:, :, None], 0))


def square(attention: Tensor, size: int, rule: Rule) -> Tensor:
    """Pick a square of ``size × size`` of the 7×7 cells by its mean attention: from ``(n, 49)`` to ``(n, 49)`` bool.

    Source: ``erase_subj``, rules ``stochastic`` and ``largest``.
    """
    squares = F.avg_pool2d(attention.view(-1, 1, SIDE, SIDE), size, stride=1).flatten(1)
    corner = draw(squares, rule)[:, None]
    width = SIDE - size + 1
    line = torch.arange(SIDE, device=attention.device)
    rows = (line >= corner // width) & (line < corner // width + size)
    columns = (line >= corner % width) & (line < corner % width + size)
    return (rows[:, :, None] & columns[:, None, :]).flatten(1)


def _with_zeros(crops: Tensor) -> Tensor:
    return torch.cat([crops, crops.new_zeros(1, *crops.shape[1:])])


def _at(places: Places, box: Tensor) -> Places:
    return Places(places.lfeats[box], places.dif_lfeats[box], places.cxt_index[box], places.cxt_lfeats[box],
                  places.neighbours)


def _both(one: Sentences, two: Sentences) -> Sentences:
    phrases = tuple(torch.cat(both) for both in zip(one.phrases, two.phrases, strict=True))
    attention = tuple(torch.cat(both) for both in zip(one.attention, two.attention, strict=True))
    return Sentences(phrases, attention, torch.cat([one.weights, two.weights]))
