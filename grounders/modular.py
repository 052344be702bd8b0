"""Modular attention: what MAttNet and CM-A-E share.

Three modules, subject, location and relation, each listen to a phrase of the sentence, match it with what they see,
and are weighted by the sentence. The work is split by what it depends on: a sentence (:meth:`ModularNetwork.listen`), a
box (:meth:`ModularNetwork.look`), a box among its neighbours (``survey``), and a (sentence, proposal) row
(``compare``); the last two are each network's own.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from grounders.language import PhraseAttention, with_a_word
from grounders.matching import Matching
from grounders.options import ModularOptions
from grounders.visual import Places, SubjectCells, SubjectEncoder

Options = TypeVar('Options', bound=ModularOptions)


class Rows(NamedTuple):
    """n (sentence, proposal) pairs: indices ``(n,)`` of the sentence, of the box, and of the box's place."""

    sentence: Tensor
    box: Tensor
    place: Tensor

    @classmethod
    def each_alone(cls, n: int, device: torch.device) -> Rows:
        """Row i is sentence i with box i at place i, nothing shared."""
        each = torch.arange(n, device=device)
        return cls(each, each, each)


class Sentences(NamedTuple):
    """s sentences that were read: ``phrases`` 3 × (s, word) and ``attention`` 3 × (s, L), module by module, and the
    ``weights`` (s, 3) of the modules."""

    phrases: tuple[Tensor, ...]
    attention: tuple[Tensor, ...]
    weights: Tensor

    @property
    def word_attention(self) -> Tensor:
        """The weight of each word over all modules, ``(s, L)`` (``get_token_weights`` of CM-Erase-REG)."""
        return torch.einsum('sm,msl->sl', self.weights, torch.stack(self.attention))


class Grounding(NamedTuple):
    """The results of n rows, by the originals' names.

    ``scores`` (n,), ``sub_grid_attn`` (n, 49), ``sub_attn``, ``loc_attn``, ``rel_attn`` (n, L) word attention,
    ``rel_ixs`` (n,) the strongest context slot, ``weights`` (n, 3), ``att_scores`` (n, attributes) logits,
    ``sub_scores`` (n,) the match of the subject before it is weighted, ``sub_feats`` (n, fc7 + joint) and
    ``loc_feats`` (n, joint) what subject and location saw.
    """

    scores: Tensor
    sub_grid_attn: Tensor
    sub_attn: Tensor
    loc_attn: Tensor
    rel_attn: Tensor
    rel_ixs: Tensor
    weights: Tensor
    att_scores: Tensor
    sub_scores: Tensor
    sub_feats: Tensor
    loc_feats: Tensor

    @property
    def nmtree_visual(self) -> Tensor:
        """``(n, fc7 + 2 · joint)``, from MAttNet: the visual features that NMTree is trained on."""
        return torch.cat([self.sub_feats, self.loc_feats], 1)


class ModularNetwork(nn.Module):
    """The layers that both networks have, named as in the originals (``lib/layers/joint_match.py: JointMatching``).

    Args:
        options: the sizes of all layers.
        words: makes the encoder of sentences.
        location: makes the encoder of the location of a box.
        relation: makes the encoder of its context.

    In training, batch norm takes its statistics over distinct boxes, places, sentences or rows, because layers are
    applied to each of them once. The originals repeat a box or a sentence for every row that it is in.
    """

    def __init__(self, options: Options, words: Callable[[Options], nn.Module],
                 location: Callable[[Options], nn.Module], relation: Callable[[Options], nn.Module]) -> None:
        super().__init__()
        joint, word, dropout = options.joint_dim, options.word_dim, options.joint_dropout
        context = options.context_dim
        self.unknown_word = options.unknown_word

        self.rnn_encoder = words(options)
        self.weight_fc = nn.Linear(options.rnn_layers * context, 3)
        self.sub_attn = PhraseAttention(context)
        self.loc_attn = PhraseAttention(context)
        self.rel_attn = PhraseAttention(context)

        self.sub_encoder = SubjectEncoder(options)
        self.sub_matching = Matching(options.subject_dim, word, joint, dropout)
        self.loc_encoder = location(options)
        self.loc_matching = Matching(joint, word, joint, dropout)
        self.rel_encoder = relation(options)
        self.rel_matching = Matching(joint, word, joint, dropout)

    def listen(self, labels: Tensor, *image: Tensor) -> Sentences:
        """Once per sentence: ``labels`` (s, L), zeros at the end, and what the encoder of sentences reads beside them.

        A sentence without words is read as one unknown word.
        """
        labels = with_a_word(labels, self.unknown_word)
        context, last, words = self.rnn_encoder(labels, *image)
        listened = [module(context, words, labels) for module in (self.sub_attn, self.loc_attn, self.rel_attn)]
        attention, phrases = zip(*listened, strict=True)
        return Sentences(phrases, attention, self.weight_fc(last).softmax(1))

    def look(self, pool5: Tensor, fc7: Tensor) -> SubjectCells:
        """Once per box: ``pool5`` (b, C, 7, 7), ``fc7`` (b, F, 7, 7)."""
        return self.sub_encoder.encode(pool5, fc7)

    def compare(self, sentences: Sentences, cells: SubjectCells, places: Places, rows: Rows) -> Grounding:
        """Once per row: what each module sees, matched with its phrase."""
        raise NotImplementedError


def weighted(matches: Tensor, sentences: Sentences, row_sentence: Tensor) -> Tensor:
    """From the matches of the modules ``(n, 3)`` to scores ``(n,)``, by the weights of the sentence of each row."""
    return (sentences.weights[row_sentence] * matches).sum(1)


def grounding_of(sentences: Sentences, cells: SubjectCells, rows: Rows, *, scores: Tensor, sub_grid_attn: Tensor,
                 rel_ixs: Tensor, sub_scores: Tensor, sub_feats: Tensor, loc_feats: Tensor) -> Grounding:
    """The results of all rows: what was computed per row, with what belongs to its sentence or its box alone."""
    sub_attn, loc_attn, rel_attn = (attention[rows.sentence] for attention in sentences.attention)
    return Grounding(scores, sub_grid_attn, sub_attn, loc_attn, rel_attn, rel_ixs, sentences.weights[rows.sentence],
                     cells.att_scores[rows.box], sub_scores, sub_feats, loc_feats)
