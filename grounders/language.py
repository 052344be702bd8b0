"""How a sentence is read: the layers that MAttNet, CM-A-E and NMTree share on the language side.

Sentences are ``(s, L)`` word ids with zeros at the end (``PAD`` = 0). The zeros are ignored, so that the results of a
sentence do not depend on how far it is padded.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from grounders.options import ModularOptions

PAD = 0


def with_a_word(labels: Tensor, unknown_word: int) -> Tensor:
    """Give a wordless sentence one unknown word, since an LSTM and a softmax need at least one step.

    ``(s, L)`` word ids to ``(s, max(L, 1))``. The originals never meet such a sentence; here it is read as ``<UNK>``.
    """
    if labels.shape[1] == 0:
        labels = labels.new_zeros(labels.shape[0], 1)
    wordless = (labels != PAD).sum(1) == 0
    first = torch.where(wordless, torch.full_like(labels[:, 0], unknown_word), labels[:, 0])
    return torch.cat([first[:, None], labels[:, 1:]], 1)


def recurrent(options: ModularOptions) -> nn.RNNBase:
    """The recurrent layer that reads the words of a sentence."""
    kinds: dict[str, Callable[..., nn.RNNBase]] = {'lstm': nn.LSTM, 'gru': nn.GRU, 'rnn': nn.RNN}
    return kinds[options.rnn](
        options.word_dim, options.rnn_dim, options.rnn_layers, batch_first=True, bidirectional=options.bidirectional,
        dropout=options.rnn_dropout if options.rnn_layers > 1 else 0.0)


def run_recurrent(rnn: nn.RNNBase, steps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Run a recurrent layer over the real steps only.

    Args:
        rnn: LSTM, GRU or RNN with ``batch_first``.
        steps: ``(s, T, d)`` inputs.
        lengths: ``(s,)``, how many steps of each sentence are real, at least 1.

    Returns:
        ``(s, T, directions · hidden)`` outputs, zero after a sentence's end, and ``(s, layers · directions · hidden)``
        last states, each layer's forward direction before its backward one.

    Source: ``lib/layers/lang_encoder.py: RNNEncoder.forward`` of lichengunc/MAttNet.
    """
    packed = nn.utils.rnn.pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
    output, last = rnn(packed)
    if isinstance(last, tuple):  # an LSTM's hidden state, without its cell
        last = last[0]
    output, _ = nn.utils.rnn.pad_packed_sequence(output, batch_first=True, total_length=steps.shape[1])
    return output, last.transpose(0, 1).flatten(1)


class PhraseAttention(nn.Module):
    """Which words a module listens to, and the phrase that they make.

    Source: MAttNet, Section 3.1; ``lib/layers/lang_encoder.py: PhraseAttention``. The phrase is the weighted
    sum of the word embeddings that went into the LSTM, not of its outputs. The original's softmax over all positions,
    zeroed at padding and renormalised, equals the softmax over the words that is taken here.
    """

    def __init__(self, context_dim: int) -> None:
        super().__init__()
        self.fc = nn.Linear(context_dim, 1)

    def forward(self, context: Tensor, embedded: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """From ``context`` (s, L, context_dim), ``embedded`` (s, L, word) and ``labels`` (s, L) to the attention (s, L)
        and the phrase (s, word)."""
        logits = self.fc(context).squeeze(2).masked_fill(labels == PAD, float('-inf'))
        attention = logits.softmax(1)
        return attention, torch.einsum('sl,slw->sw', attention, embedded)
