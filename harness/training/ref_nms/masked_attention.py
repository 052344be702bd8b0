"""A faster forward pass of Ref-NMS for training: the same distribution, but other random numbers.

Dropout in front of a layer of one output is a product with a random mask, so that no [box; word] pair has to be built:
of every four numbers that are dropped or not, one sum is held where ``RefNMS.forward`` holds all four, several times.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.proposals.ref_nms_network import RefNMS

#: ``(256, 8)``: the bits of every byte, the lowest first.
_BITS = torch.arange(256)[:, None] >> torch.arange(8) & 1


def masked_forward(network: RefNMS, features: Tensor, rows: Tensor, sentences: Sequence[Tensor]) -> Tensor:
    """:meth:`RefNMS.forward` of ``features[rows]``; each branch runs once per box, however many expressions share it.

    Args:
        network: its mode says whether dropout is on.
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
    fused = network.fuse(network.vis_r_fc(features)[rows], attention @ words) * network.rank_fc.weight
    rate = network.rank_dropout.p if network.training else 0.
    return _dropped_sums(fused, 1, rate)[..., 0] + network.rank_fc.bias


def _dropped_sums(terms: Tensor, times: int, rate: float) -> Tensor:
    """``(E, n, D)`` to ``(E, n, times)``: ``times`` sums over D, each with its own random dropout."""
    if rate == 0:
        return terms.sum(dim=2, keepdim=True).expand(-1, -1, times)
    if rate == 0.5 and times > 1:
        return 2 * _halved_sums(terms, times)
    e, n, d = terms.shape
    mask = _kept(e * n * times * d, rate, terms).reshape(e, n, times, d)
    return (mask * terms[:, :, None]).sum(dim=3) / (1 - rate)


def _halved_sums(terms: Tensor, times: int) -> Tensor:
    """``(E, n, D)`` to ``(E, n, times)``: ``times`` sums, each over a random half of the terms.

    Four neighbouring terms have sixteen partial sums. All are computed once; four random bits then pick one each time.
    """
    e, n, d = terms.shape
    fours = F.pad(terms, (0, -d % 4)).reshape(e * n, -1, 4)
    sums = fours @ _BITS[:16, :4].to(fours).T
    count = e * n * fours.shape[1] * times
    drawn = _random_bytes(-(-count // 2), terms.device)
    which = torch.stack((drawn & 15, drawn >> 4), dim=1).flatten()[:count].long().reshape(e * n, -1, times)
    return sums.gather(2, which).sum(dim=1).reshape(e, n, times)


def _kept(count: int, rate: float, like: Tensor) -> Tensor:
    """``(count,)`` ones, each zero with probability ``rate``; at one half, a random byte gives eight of them."""
    if rate != 0.5:
        return torch.empty(count, device=like.device, dtype=like.dtype).bernoulli_(1 - rate)
    drawn = _random_bytes(-(-count // 8), like.device)
    return _BITS.to(like).index_select(0, drawn.int()).flatten()[:count]


def _random_bytes(count: int, device: torch.device) -> Tensor:
    """``(count,)`` uint8, eight from each random number of 64 bits."""
    return torch.empty(-(-count // 8), dtype=torch.int64, device=device).random_(-2 ** 63, None).view(
        torch.uint8)[:count]
