"""How much a rule proposes, and setting its threshold or its N so that it proposes as much as another."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harness.studies.survey import DEEPEST


def mean_kept(rule: Any, scores: Sequence[Tensor]) -> float:
    """Mean number of boxes that a rule proposes from these rankings."""
    return sum(rule.kept(own) for own in scores) / max(len(scores), 1)


def least_threshold(rule: Any, scores: Sequence[Tensor], most: float) -> float:
    """Set ``rule.threshold`` to the smallest at which it proposes no more than ``most`` on the average.

    Every rule keeps at least one box of each ranking, so the mean cannot fall below one.
    """
    grid = torch.cat([*scores, torch.zeros(1)]).clamp(min=0).unique().tolist()
    low, high = 0, len(grid) - 1  # the answer is between them, both included
    rule.top = None
    while low < high:
        middle = (low + high) // 2
        rule.threshold = grid[middle]
        if mean_kept(rule, scores) <= most:
            high = middle
        else:
            low = middle + 1
    rule.threshold = grid[high]
    return grid[high]


def best_number(rule: Any, scores: Sequence[Tensor], target: float) -> int:
    """Set ``rule.top`` to the number that gives the mean nearest to ``target``; some rankings are shorter."""
    def distance(top: int) -> float:
        return abs(sum(min(len(own), top) for own in scores) / max(len(scores), 1) - target)
    rule.threshold, rule.top = None, min(range(1, DEEPEST + 1), key=distance)
    return rule.top
