"""The matching function between what a module saw and the phrase that it listened to."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def embedding_mlp(in_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_dim, out_dim), nn.BatchNorm1d(out_dim), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(out_dim, out_dim), nn.BatchNorm1d(out_dim))


class Matching(nn.Module):
    """Cosine of two learned embeddings.

    Source: MAttNet, Section 3.2.1; ``lib/layers/joint_match.py: Matching``. A phrase is embedded
    once per sentence; what a module sees is embedded once per row, or once per place if it does not depend on the
    phrase. In training, batch norm takes its statistics over the same items.
    """

    def __init__(self, visual_dim: int, phrase_dim: int, joint_dim: int, dropout: float) -> None:
        super().__init__()
        self.vis_emb_fc = embedding_mlp(visual_dim, joint_dim, dropout)
        self.lang_emb_fc = embedding_mlp(phrase_dim, joint_dim, dropout)

    def see(self, visual: Tensor) -> Tensor:
        """``(..., visual_dim)`` to unit vectors ``(..., joint_dim)``."""
        flat = visual.flatten(0, -2)
        return F.normalize(self.vis_emb_fc(flat), dim=1).view(*visual.shape[:-1], -1)

    def hear(self, phrases: Tensor) -> Tensor:
        """``(s, phrase_dim)`` to unit vectors ``(s, joint_dim)``."""
        return F.normalize(self.lang_emb_fc(phrases), dim=1)

    def forward(self, visual: Tensor, phrases: Tensor, row_sentence: Tensor) -> Tensor:
        """The cosines ``(n,)`` of ``visual`` (n, visual_dim) and its phrases: ``phrases`` (s, phrase_dim) at
        ``row_sentence`` (n,)."""
        return (self.see(visual) * self.hear(phrases)[row_sentence]).sum(1)
