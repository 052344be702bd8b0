"""Trees of words as flat arrays, and the LSTMs that run along them: from the leaves up, from the root down.

The trees of any number of sentences are one :class:`Forest`. Its nodes lie level by level, so a network goes over all
of them with one step per level.

Source: daqingliu/NMTree ``models/NMTreeModel.py: UpTreeLSTM`` and ``DownTreeLSTM``; Tai, Socher and Manning, ACL 2015,
Section 3.1, the child-sum cell.
"""
from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: What a node can be, in the order of ``type_query``'s outputs: a language node passes scores on, a visual one looks.
TYPES = ('lang', 'vis')
LANGUAGE, VISUAL = 0, 1


class Forest(NamedTuple):
    """The trees of s sentences, n nodes in all. A parent comes before its children.

    Nodes of one depth are neighbours and keep the order of sentences and words; row i < s is the root of sentence i.

    Attributes:
        word: ``(n,)`` id of the word; ``tag`` (n,) and ``dep`` (n,) likewise.
        sentence: ``(n,)`` the sentence that the node belongs to.
        parent: ``(n,)`` row of the parent, -1 at a root.
        depth: ``(n,)`` steps from the root.
    """

    word: Tensor
    tag: Tensor
    dep: Tensor
    sentence: Tensor
    parent: Tensor
    depth: Tensor

    @classmethod
    def of(cls, word: Tensor, tag: Tensor, dep: Tensor, head: Tensor, length: Tensor) -> Forest:
        """Make a forest of the trees of several sentences.

        Args:
            word: ``(n,)`` ids of the words of all sentences, one after the other; ``tag``, ``dep`` (n,) likewise.
            head: ``(n,)`` position of the head word within the sentence, -1 for the root.
            length: ``(s,)`` how many words each sentence has, at least one.

        Raises:
            ValueError: a sentence has no root or several, a head is outside of its sentence, or heads run in a circle.
        """
        sentence = torch.repeat_interleave(torch.arange(len(length), device=length.device), length)
        if bool((length < 1).any() | (head < -1).any() | (head >= length[sentence]).any()):
            raise ValueError('a sentence has no words, or a head is not one of its words')
        if not torch.equal(sentence[head < 0], torch.arange(len(length), device=length.device)):
            raise ValueError('a sentence must have exactly one word with head -1, the root')
        parent = torch.where(head < 0, -1, head + (length.cumsum(0) - length)[sentence])
        depth, above = torch.zeros_like(parent), parent
        while bool((above >= 0).any()):
            depth += above >= 0
            if int(depth.max()) >= len(depth):
                raise ValueError('heads run in a circle')
            above = torch.where(above < 0, -1, parent[above])
        order = depth.argsort(stable=True)
        row = torch.empty_like(order).scatter(0, order, torch.arange(len(order), device=order.device))
        parent = torch.where(parent < 0, -1, row[parent])
        return cls(word[order], tag[order], dep[order], sentence[order], parent[order], depth[order])

    def to(self, device: torch.device) -> Forest:
        return Forest(*(array.to(device) for array in self))

    @property
    def inner(self) -> Tensor:
        """``(n,)`` bool: whether a node has children."""
        return torch.zeros_like(self.parent, dtype=torch.bool).index_fill(0, self.parent[self.parent >= 0], True)

    def levels(self) -> list[Level]:
        """The depths from the roots down."""
        starts = [0, *accumulate(self.depth.bincount().tolist())]
        return [Level(slice(start, end), self.parent[start:end] - above)
                for above, start, end in zip([0, *starts], starts, starts[1:], strict=False)]


class Level(NamedTuple):
    """The nodes of one depth: their ``rows``, and ``parent`` (level,), where their parents are in the level above."""

    rows: slice
    parent: Tensor


class States(NamedTuple):
    """Cells ``c`` and outputs ``h`` of an LSTM, both ``(…, memory)``."""

    c: Tensor
    h: Tensor


class TreeLSTM(nn.Module):
    """A cell that takes in the states of any number of neighbours, with gates of its own for each type of node."""

    def __init__(self, in_dim: int, mem_dim: int) -> None:
        super().__init__()
        self.mem_dim = mem_dim
        for kind in TYPES:
            self.add_module(f'ioux_{kind}', nn.Linear(in_dim, 3 * mem_dim))
            self.add_module(f'iouh_{kind}', nn.Linear(mem_dim, 3 * mem_dim))
            self.add_module(f'fx_{kind}', nn.Linear(in_dim, mem_dim))
            self.add_module(f'fh_{kind}', nn.Linear(mem_dim, mem_dim))
        self.dropout = nn.Dropout()

    def project(self, inputs: Tensor, types: Tensor) -> list[Tensor]:
        """The part of the gates that depends on words alone: from ``(n, in_dim)`` to ``(n, 4 · memory)`` per type."""
        projected = []
        for kind, chosen in zip(TYPES, self._chosen(types), strict=True):
            ioux, iouh, fx, fh = self._gates(kind)
            x = inputs[chosen]
            gates = torch.cat([ioux(x) + iouh.bias, fx(x) + fh.bias], 1)
            projected.append(inputs.new_zeros(len(inputs), 4 * self.mem_dim).index_copy(0, chosen, gates))
        return projected

    def step(self, projected: list[Tensor], types: Tensor, near: States, owner: Tensor) -> States:
        """The states of k nodes, which have e neighbours in all.

        Args:
            projected: ``(k, 4 · memory)`` per type, from :meth:`project`.
            types: ``(k, 2)`` one-hot.
            near: ``(e, memory)`` states of neighbours.
            owner: ``(e,)`` the node that each neighbour belongs to; a node without neighbours starts from zeros.
        """
        c = h = projected[0].new_zeros(len(types), self.mem_dim)
        for which, chosen in enumerate(self._chosen(types)):
            _, iouh, _, fh = self._gates(TYPES[which])
            place = owner.new_full((len(types),), -1).index_copy(0, chosen, torch.arange(len(chosen), device=h.device))
            edges = (place[owner] >= 0).nonzero()[:, 0]
            to = place[owner[edges]]
            iou, f = projected[which][chosen].split((3 * self.mem_dim, self.mem_dim), 1)
            met, of_met = to.unique(return_inverse=True)
            gathered = h.new_zeros(len(met), self.mem_dim).index_add(0, of_met, near.h[edges])
            i, o, u = iou.index_add(0, met, F.linear(gathered, iouh.weight)).chunk(3, 1)
            kept = torch.sigmoid(f[to] + F.linear(near.h[edges], fh.weight)) * near.c[edges]
            cell = (torch.sigmoid(i) * torch.tanh(u)).index_add(0, to, kept)
            weight = types[chosen, which, None]
            c = c.index_add(0, chosen, weight * cell)
            h = h.index_add(0, chosen, weight * torch.sigmoid(o) * torch.tanh(cell))
        return States(c, self.dropout(h))

    def _chosen(self, types: Tensor) -> list[Tensor]:
        """The nodes that the gates of each type run for: those of the type; in training all, so that the choice between
        types has a gradient."""
        running = torch.ones_like(types) if self.training else types
        return [one.nonzero()[:, 0] for one in running.unbind(1)]

    def _gates(self, kind: str) -> tuple[nn.Linear, ...]:
        return tuple(getattr(self, f'{name}_{kind}') for name in ('ioux', 'iouh', 'fx', 'fh'))

    def _nowhere(self, inputs: Tensor) -> States:
        return States(*inputs.new_zeros(2, 0, self.mem_dim))


class UpTreeLSTM(TreeLSTM):
    """From the leaves up; a node's type is decided here, by its word alone."""

    def __init__(self, in_dim: int, mem_dim: int) -> None:
        super().__init__(in_dim, mem_dim)
        self.type_query = nn.Linear(in_dim, len(TYPES))

    def choose(self, inputs: Tensor) -> Tensor:
        """``(n, 2)`` one-hot types: a Gumbel-softmax sample with the straight-through gradient in training, else the
        likelier, language on a tie."""
        logits = self.type_query(inputs)
        if self.training:
            return F.gumbel_softmax(logits, hard=True)
        visual = logits[:, VISUAL] > logits[:, LANGUAGE]
        return F.one_hot(visual.long(), len(TYPES)).to(inputs.dtype)

    def forward(self, inputs: Tensor, types: Tensor, forest: Forest) -> Tensor:
        """``(n, in_dim)`` and ``(n, 2)`` to the outputs ``(n, memory)``."""
        projected = self.project(inputs, types)
        near, owner = self._nowhere(inputs), forest.parent[:0]
        outputs = []
        for level in reversed(forest.levels()):
            near = self.step([gates[level.rows] for gates in projected], types[level.rows], near, owner)
            owner = level.parent
            outputs.append(near.h)
        return torch.cat(outputs[::-1])


class DownTreeLSTM(TreeLSTM):
    """From the root down; a node's only neighbour is its parent."""

    def forward(self, inputs: Tensor, types: Tensor, forest: Forest) -> Tensor:
        """``(n, in_dim)`` and ``(n, 2)`` to the outputs ``(n, memory)``."""
        projected = self.project(inputs, types)
        above = self._nowhere(inputs)
        outputs = []
        for level in forest.levels():
            known = (level.parent >= 0).nonzero()[:, 0]
            near = States(*(state[level.parent[known]] for state in above))
            above = self.step([gates[level.rows] for gates in projected], types[level.rows], near, known)
            outputs.append(above.h)
        return torch.cat(outputs)
