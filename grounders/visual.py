"""How a box is seen: the layers that MAttNet and CM-A-E share on the visual side.

What does not depend on the sentence is computed once per box; what does is computed once per row. A row is one pair of
a sentence and a proposal, given by their indices.
"""
from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grounders.options import ModularOptions


class Places(NamedTuple):
    """p boxes among their neighbours.

    Attributes:
        lfeats: ``(p, 5)`` the box in the image.
        dif_lfeats: ``(p, 25)`` its 5 nearest neighbours of the same category, relative to it.
        cxt_index: ``(p, slots)`` its context slots, rows of ``neighbours``; -1 is an empty slot.
        cxt_lfeats: ``(p, slots, 5)`` the boxes in its context slots, relative to it.
        neighbours: ``(m, F)`` the mean fc7 of the boxes that the slots point to.
    """

    lfeats: Tensor
    dif_lfeats: Tensor
    cxt_index: Tensor
    cxt_lfeats: Tensor
    neighbours: Tensor

    @classmethod
    def apart(cls, lfeats: Tensor, dif_lfeats: Tensor, cxt_fc7: Tensor, cxt_lfeats: Tensor) -> Places:
        """From the originals' arrays, which have features ``(p, slots, F)`` for every slot of every box."""
        slots = torch.arange(cxt_fc7.shape[0] * cxt_fc7.shape[1], device=cxt_fc7.device).view(cxt_fc7.shape[:2])
        return cls(lfeats, dif_lfeats, slots, cxt_lfeats, cxt_fc7.flatten(0, 1))


class NormalizeScale(nn.Module):
    """L2 norm over the last dimension, times learned weights; a zero vector stays zero.

    Source: ``lib/layers/visual_encoder.py: Normalize_Scale`` of lichengunc/MAttNet.
    """

    def __init__(self, dim: int, init_norm: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, dim), float(init_norm)))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1) * self.weight[0]


class AdditiveAttention(nn.Sequential):
    """Linear, tanh, linear over [visual; phrase] to one logit.

    The first linear layer is applied in two halves: :meth:`visual_half` once per box, :meth:`phrase_half` once per
    sentence. Only their sum, the tanh and the last linear layer are computed per row.
    """

    def __init__(self, visual_dim: int, phrase_dim: int, hidden_dim: int) -> None:
        super().__init__(nn.Linear(visual_dim + phrase_dim, hidden_dim), nn.Tanh(), nn.Linear(hidden_dim, 1))
        self.visual_dim = visual_dim

    @property
    def fuse(self) -> nn.Linear:
        """The linear layer over [visual; phrase]."""
        return cast(nn.Linear, self[0])

    def visual_half(self, visual: Tensor) -> Tensor:
        """``(..., visual_dim)`` to ``(..., hidden_dim)``."""
        return F.linear(visual, self.fuse.weight[:, :self.visual_dim])

    def phrase_half(self, phrases: Tensor) -> Tensor:
        """``(s, phrase_dim)`` to ``(s, hidden_dim)``, the bias included."""
        return F.linear(phrases, self.fuse.weight[:, self.visual_dim:], self.fuse.bias)

    def forward(self, visual_half: Tensor, phrase_half: Tensor) -> Tensor:  # type: ignore[override]
        """Halves ``(n, slots, hidden)`` and ``(n, hidden)`` of the rows to logits ``(n, slots)``."""
        return self[2](torch.tanh(visual_half + phrase_half[:, None])).squeeze(2)


class SubjectCells(NamedTuple):
    """The 49 cells of each box, encoded without any sentence.

    ``features`` (b, 49, fc7 + joint), ``attention_half`` (b, 49, joint), ``att_scores`` (b, attributes) logits.
    """

    features: Tensor
    attention_half: Tensor
    att_scores: Tensor


class SubjectEncoder(nn.Module):
    """The subject: attributes, and attention over the 7×7 cells of a box given the phrase.

    Source: MAttNet, Section 3.2.1; ``lib/layers/visual_encoder.py: SubjectEncoder``.
    """

    def __init__(self, options: ModularOptions) -> None:
        super().__init__()
        pool5, fc7, joint, word = options.pool5_dim, options.fc7_dim, options.joint_dim, options.word_dim
        norm = options.initial_norm
        self.pool5_normalizer = NormalizeScale(pool5, norm)
        self.fc7_normalizer = NormalizeScale(fc7, norm)
        self.att_normalizer = NormalizeScale(joint, norm)
        self.phrase_normalizer = NormalizeScale(word, norm)
        self.att_fuse = nn.Sequential(nn.Linear(pool5 + fc7, joint), nn.BatchNorm1d(joint), nn.ReLU())
        self.att_dropout = nn.Dropout(options.visual_dropout)
        self.att_fc = nn.Linear(joint, options.attribute_count)
        self.attn_fuse = AdditiveAttention(options.subject_dim, word, joint)

    def encode(self, pool5: Tensor, fc7: Tensor) -> SubjectCells:
        """Once per box: ``pool5`` (b, C, 7, 7) and ``fc7`` (b, F, 7, 7); the cells are taken row by row."""
        fc7 = self.fc7_normalizer(fc7.flatten(2).transpose(1, 2))
        pool5 = self.pool5_normalizer(pool5.flatten(2).transpose(1, 2))
        fused = self.att_fuse(torch.cat([pool5, fc7], 2).flatten(0, 1)).unflatten(0, fc7.shape[:2])
        att_scores = self.att_fc(self.att_dropout(fused.mean(1)))
        features = torch.cat([fc7, self.att_normalizer(fused)], 2)
        return SubjectCells(features, self.attn_fuse.visual_half(features), att_scores)

    def attend(self, cells: SubjectCells, phrases: Tensor, row_box: Tensor, row_sentence: Tensor,
               blank: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Once per row: attended feature ``(n, fc7 + joint)`` and attention ``(n, 49)`` for ``phrases`` (s, word).

        ``blank`` (n, 49) marks cells that the row sees as zeros; the last box of ``cells`` must then be all zeros, as
        its cells are taken in their place.
        """
        said = self.attn_fuse.phrase_half(self.phrase_normalizer(phrases))
        halves = cells.attention_half.index_select(0, row_box)
        if blank is not None:
            halves = torch.where(blank[:, :, None], cells.attention_half[-1], halves)
        attention = self.attn_fuse(halves, said.index_select(0, row_sentence)).softmax(1)
        if blank is None:
            return weighted_sum(attention, cells.features, row_box), attention
        seen = weighted_sum(attention.masked_fill(blank, 0), cells.features, row_box)
        return seen + attention.masked_fill(~blank, 0) @ cells.features[-1], attention


class ContextEncoder(nn.Module):
    """Encodes what the context slots of a box look like, and where they are.

    Source: MAttNet, Section 3.2.3; ``lib/layers/visual_encoder.py: RelationEncoder``.
    """

    def __init__(self, options: ModularOptions) -> None:
        super().__init__()
        self.fc7_dim = options.fc7_dim
        self.vis_feat_normalizer = NormalizeScale(self.fc7_dim, options.initial_norm)
        self.lfeat_normalizer = NormalizeScale(5, options.initial_norm)
        self.fc = nn.Linear(self.fc7_dim + 5, options.joint_dim)

    def forward(self, places: Places) -> Tensor:
        """Once per place: ``(p, slots, joint)``. The fc7 half of the linear layer is applied once per neighbour,
        however many slots it fills."""
        weight = self.fc.weight
        seen = F.linear(self.vis_feat_normalizer(places.neighbours), weight[:, :self.fc7_dim])
        seen = torch.cat([seen, seen.new_zeros(1, seen.shape[1])])  # an empty slot is -1: the last row
        where = F.linear(self.lfeat_normalizer(places.cxt_lfeats), weight[:, self.fc7_dim:], self.fc.bias)
        return seen[places.cxt_index] + where


def weighted_sum(weights: Tensor, features: Tensor, row_box: Tensor) -> Tensor:
    """The sum (n, d) of the ``features`` (b, c, d) of each row's box, weighted by ``weights`` (n, c).

    The rows of one box are multiplied together, so that its features are not copied for each row.
    """
    turn = _turn(row_box)
    by_box = weights.new_zeros(len(features), int(turn.max()) + 1 if len(turn) else 1, weights.shape[1])
    by_box = by_box.index_put((row_box, turn), weights)
    return torch.bmm(by_box, features)[row_box, turn]


def _turn(owner: Tensor) -> Tensor:
    """How many earlier rows have the same owner as each row: 0, 0, 1, 2 for owners 3, 5, 3, 3."""
    order = owner.argsort(stable=True)
    ordered = owner[order]
    position = torch.arange(len(owner), device=owner.device)
    first = torch.searchsorted(ordered, ordered)
    return torch.empty_like(position).scatter(0, order, position - first)
