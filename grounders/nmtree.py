"""NMTree: the network of "Learning to Assemble Neural Module Tree Networks for Visual TreeGrounding".

Liu, Zhang, Wu and Zha, ICCV 2019; daqingliu/NMTree, ``models/NMTreeModel.py``. A sentence is its dependency tree. Every
node is a small module that gives each proposal a score, and the root's score decides:

1. :class:`~grounders.tree_lstm.UpTreeLSTM` and :class:`~grounders.tree_lstm.DownTreeLSTM` tell each node what is below
   and above it, and with that what to listen to in its subtree (:meth:`NMTree.listen`);
2. a leaf *scores singly*: proposal against word (:class:`SingleScore`);
3. an inner language node *sums* its children's scores;
4. an inner visual node *composes*: its children's scores and what it hears of an object say which proposals are the
   object, and each proposal is scored in a pair with it (:class:`PairScore`).

All sentences of an image are one :class:`~grounders.tree_lstm.Forest`, worked level by level.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grounders.tree_lstm import LANGUAGE, VISUAL, DownTreeLSTM, Forest, UpTreeLSTM


@dataclass(frozen=True, kw_only=True)
class NMTreeOptions:
    """What the layers are built from. The data decides the counts and ``visual_dim``; the others default to the
    original's (``tools/opts.py``).

    Attributes:
        word_count: how many words have an embedding.
        word_dim: its size.
        tag_count: how many tags have an embedding.
        tag_dim: its size.
        dep_count: how many dependency labels have an embedding.
        dep_dim: its size.
        visual_dim: size of what is seen of a proposal.
        memory_dim: size of the states of the tree LSTMs.
        dropout: dropout of the embeddings.
    """

    word_count: int
    word_dim: int = 300
    tag_count: int
    tag_dim: int = 50
    dep_count: int
    dep_dim: int = 50
    visual_dim: int
    memory_dim: int = 1024
    dropout: float = 0.5

    @property
    def node_dim(self) -> int:
        """Size of a node: its word, tag and dependency label."""
        return self.word_dim + self.tag_dim + self.dep_dim


class TreeGrounding(NamedTuple):
    """``log_scores`` (s, p), the log softmax over the proposals of each sentence; ``visual`` (n,) bool, which nodes
    were taken as visual; ``root_visual`` (s,), which roots were."""

    log_scores: Tensor
    visual: Tensor
    root_visual: Tensor


class Heard(NamedTuple):
    """What each of n nodes hears in its subtree as subject, relation and object, ``(n, word)`` each."""

    subject: Tensor
    relation: Tensor
    object: Tensor


class SingleScore(nn.Module):
    """How well a proposal fits what is heard.

    Source: NMTree, Section 3.3, Single module; ``models/NMTreeModel.py: SingleScore``.
    """

    def __init__(self, vis_dim: int, word_dim: int) -> None:
        super().__init__()
        self.W = nn.Linear(vis_dim, word_dim)
        self.fc = nn.Linear(word_dim, 1)

    def look(self, visual: Tensor) -> Tensor:
        """Once per proposal: ``(s, p, vis_dim)`` to ``(s, p, word)``."""
        return self.W(visual)

    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:
        """From ``seen`` (k, p, word) and ``heard`` (k, word) to scores ``(k, p)``."""
        return self.fc(F.normalize(seen * heard[:, None], dim=2)).squeeze(2)


class PairScore(nn.Module):
    """How well a proposal and the object that it is said to be related to fit the relation.

    Source: NMTree, Section 3.3, Comp module; ``models/NMTreeModel.py: PairScore``. The linear over [proposal; object]
    is applied in its two halves: a node has many proposals but one object.
    """

    def __init__(self, vis_dim: int, word_dim: int) -> None:
        super().__init__()
        self.vis_dim = vis_dim
        self.W = nn.Linear(2 * vis_dim, word_dim)
        self.fc = nn.Linear(word_dim, 1)

    def look(self, visual: Tensor) -> Tensor:
        """Once per proposal: ``(s, p, vis_dim)`` to ``(s, p, word)``."""
        return F.linear(visual, self.W.weight[:, :self.vis_dim], self.W.bias)

    def forward(self, seen: Tensor, objects: Tensor, heard: Tensor) -> Tensor:
        """From ``seen`` (k, p, word), the ``objects`` (k, vis_dim) that they are paired with, and ``heard`` (k, word)
        to scores ``(k, p)``."""
        pairs = seen + F.linear(objects, self.W.weight[:, self.vis_dim:])[:, None]
        return self.fc(F.normalize(pairs * heard[:, None], dim=2)).squeeze(2)


class NMTree(nn.Module):
    """The whole network; its parameters are named as in the original."""

    def __init__(self, options: NMTreeOptions) -> None:
        super().__init__()
        visual, node, memory = options.visual_dim, options.node_dim, options.memory_dim
        self.word_embedding = nn.Embedding(options.word_count, options.word_dim)
        self.tag_embedding = nn.Embedding(options.tag_count, options.tag_dim)
        self.dep_embedding = nn.Embedding(options.dep_count, options.dep_dim)
        self.dropout = nn.Dropout(options.dropout)
        self.single_score = SingleScore(visual, node)
        self.pair_score = PairScore(visual, node)
        self.up_tree_lstm = UpTreeLSTM(node, memory)
        self.down_tree_lstm = DownTreeLSTM(node, memory)
        self.sbj_attn_logit = nn.Linear(2 * memory, 1)
        self.rlt_attn_logit = nn.Linear(2 * memory, 1)
        self.obj_attn_logit = nn.Linear(2 * memory, 1)

    def forward(self, visual: Tensor, forest: Forest, present: Tensor | None = None) -> TreeGrounding:
        """Ground s sentences at once.

        Args:
            visual: ``(s, p, vis_dim)`` the proposals of each sentence; features depend on the sentence, as MAttNet's
                attended subject does.
            forest: the s trees.
            present: ``(s, p)`` bool, which proposals exist, if sentences have different numbers of them; every sentence
                needs one. The log score of the others is minus infinity.
        """
        embedded = self.embed(forest)
        types = self.up_tree_lstm.choose(embedded)
        heard = self.listen(embedded, types, forest)
        scores = self.assemble(visual, forest, types, heard, present)
        if present is not None:
            scores = scores.masked_fill(~present, float('-inf'))
        is_visual = types[:, VISUAL] > 0.5
        return TreeGrounding(scores.log_softmax(1), is_visual, is_visual[:len(visual)])

    def embed(self, forest: Forest) -> Tensor:
        """The nodes ``(n, word)``: word, tag and dependency label of each."""
        parts = (self.word_embedding(forest.word), self.tag_embedding(forest.tag), self.dep_embedding(forest.dep))
        return self.dropout(torch.cat(parts, 1))

    def listen(self, embedded: Tensor, types: Tensor, forest: Forest) -> Heard:
        """What each node hears: attention over the words of its subtree, as subject, as relation and as object.

        The logits of a word are the same for every node. Source: NMTree, Section 3.2; ``node_to_logit`` and
        ``attn_embedding``.
        """
        hidden = torch.cat([self.up_tree_lstm(embedded, types, forest),
                            self.down_tree_lstm(embedded, types, forest)], 1)
        logits = torch.cat([attention(hidden) for attention
                            in (self.sbj_attn_logit, self.rlt_attn_logit, self.obj_attn_logit)], 1)
        return Heard(*subtree_attention(logits, embedded, forest).unbind(1))

    def assemble(self, visual: Tensor, forest: Forest, types: Tensor, heard: Heard,
                 present: Tensor | None = None) -> Tensor:
        """The roots' scores ``(s, p)`` before the softmax.

        A leaf scores singly, whatever its type. A language root adds the single score of what the whole sentence says
        of the subject, even if the sentence is one word; a visual root adds nothing.
        """
        inner = forest.inner
        single, paired = self.single_score.look(visual), self.pair_score.look(visual)
        leaf = (~inner).nonzero()[:, 0]
        scores = visual.new_zeros(len(forest.word), visual.shape[1])
        scores = scores.index_copy(0, leaf, self.single_score(single[forest.sentence[leaf]], heard.subject[leaf]))
        composing = inner if self.training else inner & (types[:, VISUAL] > 0)
        below, owner = scores[:0], forest.parent[:0]
        for level in reversed(forest.levels()):
            summed = torch.zeros_like(scores[level.rows]).index_add(0, owner, below)
            below = scores[level.rows] + types[level.rows, LANGUAGE, None] * summed
            at = composing[level.rows].nonzero()[:, 0]
            node = at + level.rows.start
            sentence = forest.sentence[node]
            which = self.single_score(single[sentence], heard.object[node]) + summed[at]
            if present is not None:
                which = which.masked_fill(~present[sentence], float('-inf'))
            objects = torch.bmm(which.softmax(1)[:, None], visual[sentence]).squeeze(1)
            pairs = self.pair_score(paired[sentence], objects, heard.relation[node])
            below = below.index_add(0, at, types[node, VISUAL, None] * pairs)
            owner = level.parent
        language = types[:len(visual), LANGUAGE, None] > 0.5
        return below + language * self.single_score(single, heard.subject[:len(visual)])


def subtree_attention(logits: Tensor, embedded: Tensor, forest: Forest) -> Tensor:
    """The sum ``(n, k, word)`` of the words of each node's subtree, weighted by the softmax of their ``logits`` (n, k),
    for k kinds of attention.

    Sums of exponentials go up the trees, each relative to the highest logit of its subtree, so that none overflows or
    underflows.
    """
    highest, weight, words = logits[:0].detach(), logits[:0], embedded.new_zeros(0, logits.shape[1], embedded.shape[1])
    owner, attended = forest.parent[:0], []
    for level in reversed(forest.levels()):
        own = logits[level.rows]
        top = own.detach().scatter_reduce(0, owner[:, None].expand_as(highest), highest, 'amax')
        share, less = (own - top).exp(), (highest - top[owner]).exp()
        weight = share.index_add(0, owner, less * weight)
        words = (share[:, :, None] * embedded[level.rows, None]).index_add(0, owner, less[:, :, None] * words)
        attended.append(words / weight[:, :, None])
        highest, owner = top, level.parent
    return torch.cat(attended[::-1])
