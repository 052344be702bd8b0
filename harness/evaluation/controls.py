"""The controls that a grounder has to beat: chance, and the same grounder with the words of each sentence shuffled.

A run on ``ground-truth`` proposals also measures both controls, since there only the choice decides.
"""
from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from harness.options import CountOrNone
from harness.plugins import Grounder
from harness.registry import GROUNDERS
from harness.types import Expression, ImageFeatures


@GROUNDERS.register_module(name='chance')
class Chance(Grounder):
    """Any proposal, each as likely as another: what a grounder has to beat.

    Args:
        seed: of the draws; those of one expression do not depend on the other expressions of the run.
    """

    control = True

    def __init__(self, seed: CountOrNone = 0) -> None:
        self.seed = seed

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> list[Tensor]:
        return [torch.from_numpy(_random(e, self.seed).random(len(p)))
                for e, p in zip(expressions, proposals, strict=True)]


class WordsShuffled(Grounder):
    """A grounder that is given the words of each sentence in random order.

    Args:
        grounder: the grounder that is given them.
        seed: of the orders; that of one sentence does not depend on the other expressions of the run.
    """

    def __init__(self, grounder: Callable[..., Sequence[Any]], seed: int = 0) -> None:
        self.grounder = grounder
        self.seed = seed

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> Sequence[Any]:
        return self.grounder(image, [self._shuffled(e) for e in expressions], proposals)

    def _shuffled(self, expression: Expression) -> Expression:
        tokens = tuple(_random(expression, self.seed).permutation(np.array(expression.tokens, dtype=object)))
        return replace(expression, tokens=tokens, sent=' '.join(tokens))


def _random(expression: Expression, seed: int) -> np.random.Generator:
    return np.random.default_rng((seed, zlib.crc32(f'{expression.dataset} {expression.sent_id}'.encode())))
