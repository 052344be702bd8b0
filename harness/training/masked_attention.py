"""Ref-NMS's forward pass in training, some times as fast: the same in distribution, other random numbers.

Dropout in front of a layer of one output is a product with a random mask, so that no [box; word] pair has to be built:
of every number that is dropped or not, one bit is held where ``RefNMS.forward`` holds the number some times over.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.proposals.ref_nms import RefNMS


def masked_forward(network: RefNMS, features: Tensor, rows: Tensor, sentences: Sequence[Tensor]) -> Tensor:
    """:meth:`RefNMS.forward` of ``features[rows]``; each branch runs once a box, however many expressions share it.

    Args:
        network: dropout as its mode says.
        features: ``(U, F)`` of different boxes.
        rows: ``(E, R)`` into them.
        sentences: E tensors ``(length, D)``.

    Returns:
        ``(E, R)`` logits.
    """
    words, real = network.encode_words(sentences)
    of_box, of_word = network.att_fc.weight[0].split(words.shape[2])
    rate = network.att_dropout.p if network.training else 0.
    box = (network.vis_a_fc(features) * of_box)[rows]
    logits = _dropped_sums(box, words.shape[1], rate) + _dropped_sums(words * of_word, rows.shape[1], rate).mT
    logits = logits + network.att_fc.bias
    attention = logits.masked_fill(~real[:, None], float('-inf')).softmax(dim=2)
    return network.match(network.vis_r_fc(features)[rows], attention @ words)


def _dropped_sums(terms: Tensor, times: int, rate: float) -> Tensor:
    """``(E, n, D)`` to ``(E, n, times)``: sums over D, each of other terms, since each time others are dropped."""
    if rate == 0:
        return terms.sum(dim=2, keepdim=True).expand(-1, -1, times)
    e, n, d = terms.shape
    mask = _kept(e * n * times * d, rate, terms).reshape(e * n, times, d)
    return torch.bmm(mask, terms.reshape(e * n, d, 1)).reshape(e, n, times) / (1 - rate)


def _kept(count: int, rate: float, like: Tensor) -> Tensor:
    """``(count,)`` ones, but zeros at ``rate``; where that is a half, each random byte gives eight."""
    if rate != 0.5:
        return torch.empty(count, device=like.device, dtype=like.dtype).bernoulli_(1 - rate)
    number = torch.arange(256, device=like.device)
    bits = (number[:, None] >> torch.arange(8, device=like.device) & 1).to(like.dtype)
    drawn = torch.randint(0, 256, (-(-count // 8),), device=like.device, dtype=torch.int32)
    return bits.index_select(0, drawn).flatten()[:count]
