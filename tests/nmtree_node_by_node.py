"""NMTree written as it is told: a sentence after the other, a node after the other. What the batch is checked against.

As in the original, both types' gates run at every node, every inner node is scored both ways, and the node's one-hot
type picks. It takes the parameters of a :class:`grounders.nmtree.NMTree` without dropout, and none of its methods.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grounders.nmtree import NMTree

State = tuple[Tensor, Tensor]


class Sentence(NamedTuple):
    """Ids of its words, tags and labels, and each word's head, -1 for the root."""

    word: Sequence[int]
    tag: Sequence[int]
    dep: Sequence[int]
    head: Sequence[int]


def ground(network: NMTree, visual: Sequence[Tensor], sentences: Sequence[Sentence]) -> tuple[list[Tensor], list[bool]]:
    """Each sentence's proposals (p, vis_dim) to their log scores (p,), and whether its root is visual."""
    grounded = [ground_one(network, seen, sentence) for seen, sentence in zip(visual, sentences, strict=True)]
    return [scores for scores, _ in grounded], [root for _, root in grounded]


def ground_one(network: NMTree, visual: Tensor, sentence: Sentence,
               types: Sequence[Tensor] | None = None) -> tuple[Tensor, bool]:
    """``visual`` (p, vis_dim) to ``(p,)``; ``types`` are the nodes' one-hot ones, the likelier ones if not given."""
    words = [torch.cat([network.word_embedding.weight[w], network.tag_embedding.weight[t],
                        network.dep_embedding.weight[d]])
             for w, t, d in zip(sentence.word, sentence.tag, sentence.dep, strict=True)]
    if types is None:
        types = [likelier(network.up_tree_lstm.type_query(word)) for word in words]
    children: list[list[int]] = [[] for _ in words]
    for node, head in enumerate(sentence.head):
        if head >= 0:
            children[head].append(node)
    root = list(sentence.head).index(-1)
    up: dict[int, State] = {}
    down: dict[int, State] = {}

    def climb(node: int) -> None:
        for child in children[node]:
            climb(child)
        up[node] = step(network.up_tree_lstm, words[node], types[node], [up[child] for child in children[node]])

    def descend(node: int, above: list[State]) -> None:
        down[node] = step(network.down_tree_lstm, words[node], types[node], above)
        for child in children[node]:
            descend(child, [down[node]])

    climb(root)
    descend(root, [])
    hidden = {node: torch.cat([up[node][1], down[node][1]]) for node in up}

    def subtree(node: int) -> list[int]:
        return [node] + [below for child in children[node] for below in subtree(child)]

    def hear(node: int, attention: nn.Linear) -> Tensor:
        heard = subtree(node)
        weights = torch.cat([attention(hidden[word]) for word in heard]).softmax(0)
        return weights @ torch.stack([words[word] for word in heard])

    def score(node: int) -> Tensor:
        if not children[node]:
            return single(network, visual, words[node])
        summed = sum(score(child) for child in children[node])
        objects = single(network, visual, hear(node, network.obj_attn_logit)) + summed
        paired = pair(network, visual, objects, hear(node, network.rlt_attn_logit))
        return types[node] @ torch.stack([summed, paired])

    total = score(root)
    root_visual = bool(types[root][1] > 0)
    if not root_visual:
        total = total + single(network, visual, hear(root, network.sbj_attn_logit))
    return total.log_softmax(0), root_visual


def likelier(logits: Tensor) -> Tensor:
    """``(2,)`` one-hot, the first on a tie."""
    return torch.tensor([0., 1.] if logits[1] > logits[0] else [1., 0.])


def step(lstm: nn.Module, word: Tensor, of_type: Tensor, near: Sequence[State]) -> State:
    """A node's word and its neighbours' (cell, output) to its own."""
    states = [cell(lstm, kind, word, near) for kind in ('lang', 'vis')]
    c, h = (of_type @ torch.stack(both) for both in zip(*states, strict=True))
    return c, h


def cell(lstm: nn.Module, kind: str, word: Tensor, near: Sequence[State]) -> State:
    """The child-sum cell with one type's gates."""
    ioux, iouh, fx, fh = (getattr(lstm, f'{name}_{kind}') for name in ('ioux', 'iouh', 'fx', 'fh'))
    nothing = torch.zeros(fx.out_features)
    i, o, u = (ioux(word) + iouh(sum((h for _, h in near), nothing))).chunk(3)
    kept = sum((torch.sigmoid(fx(word) + fh(h)) * c for c, h in near), nothing)
    c = torch.sigmoid(i) * torch.tanh(u) + kept
    return c, torch.sigmoid(o) * torch.tanh(c)


def single(network: NMTree, visual: Tensor, heard: Tensor) -> Tensor:
    """``(p, vis_dim)`` and ``(word,)`` to ``(p,)``."""
    fits = network.single_score.W(visual) * heard
    return network.single_score.fc(nn.functional.normalize(fits, dim=1))[:, 0]


def pair(network: NMTree, visual: Tensor, objects: Tensor, heard: Tensor) -> Tensor:
    """Each proposal with the object that ``objects`` (p,) points to."""
    seen = (objects.softmax(0) @ visual).expand_as(visual)
    fits = network.pair_score.W(torch.cat([visual, seen], 1)) * heard
    return network.pair_score.fc(nn.functional.normalize(fits, dim=1))[:, 0]
