"""Ref-NMS R's objective (Eq. 4): a region that covers a critical object better must be more related, by a margin.

Source: Ref-NMS (AAAI 2021), "Ranking Loss"; ChopinSharp/ref-nms ``tools/train_att_rank.py: PairSampler, RankLoss``.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.training.ref_nms.levels import LEVELS


@dataclass(frozen=True)
class RankingLoss:
    """Hinge on pairs: each region of level 1 and over with the ``top_h`` most related of all lower levels.

    Attributes:
        margin: α of Eq. 4.
        top_h: hardest negatives per positive.
    """

    margin: float = 0.1
    top_h: int = 100

    def __call__(self, logits: Tensor, levels: Tensor) -> Tensor:
        """The mean over all pairs of all expressions; 0 without a pair.

        Args:
            logits: ``(E, R)`` relatedness before the sigmoid.
            levels: ``(E, R)`` of each region, 0 to 5; below 0 for a place that holds none.
        """
        related = logits.sigmoid()
        pairs = [self._pairs(related, levels, level) for level in range(1, LEVELS)]
        number = sum(int(real.sum()) for _, real in pairs)
        total = torch.stack([hinge[real].sum() for hinge, real in pairs]).sum()
        return total / max(number, 1)

    def _pairs(self, related: Tensor, levels: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """``(E, P, h)`` hinges of a level's P positives with its negatives, and which of them are pairs."""
        mine, lower = levels == level, (levels >= 0) & (levels < level)
        positives = mine.int().topk(int(mine.sum(dim=1).max()), dim=1, sorted=False).indices
        hardest = related.masked_fill(~lower, -1).topk(min(self.top_h, related.shape[1]), dim=1).indices
        hinge = F.relu(related.gather(1, hardest)[:, None] - related.gather(1, positives)[:, :, None] + self.margin)
        return hinge, mine.gather(1, positives)[:, :, None] & lower.gather(1, hardest)[:, None]
