"""Adam as the original grounders use it: gradients cut at a value, and one learning rate that falls by a factor."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AllowInfNan

from harness.options import CountOrNone
from harness.training.settings import Rate

Momentum = Annotated[float, AllowInfNan(False), Ge(0), Lt(1)]
#: What a rate is multiplied by where it falls.
Factor = Annotated[float, AllowInfNan(False), Gt(0), Le(1)]


@dataclass(frozen=True)
class AdamOptions:
    """How the weights change. A recipe says whether its counts are epochs or steps.

    Attributes:
        lr: the learning rate.
        decay_start: where it starts to fall.
        decay_every: over how many epochs or steps it falls by the factor; 0: over the whole training.
        decay_by: the factor; 1: it stays.
        beta1, beta2, epsilon: Adam's.
        clip: every number of a gradient is cut at it.
        validate_every: steps between validations; 0: after each epoch.
        keep: the weights with the best accuracy on val, or the last ones.
    """

    lr: Rate = 4e-4
    decay_start: CountOrNone = 6
    decay_every: CountOrNone = 6
    decay_by: Factor = 0.1
    beta1: Momentum = 0.8
    beta2: Momentum = 0.999
    epsilon: Rate = 1e-8
    clip: Rate = 0.1
    validate_every: CountOrNone = 0
    keep: Literal['best', 'last'] = 'best'

    @property
    def without_effect(self) -> set[str]:
        """Names of the options that have no effect, given the values of the others."""
        return {'decay_start', 'decay_every'} if self.decay_by == 1 else set()


def optim_wrapper(options: AdamOptions, weight_decay: float = 0.) -> dict[str, Any]:
    """mmengine's config of the optimiser; biases do not decay."""
    adam = dict(type='Adam', lr=options.lr, betas=(options.beta1, options.beta2), eps=options.epsilon)
    decay = dict(paramwise_cfg=dict(bias_decay_mult=0.)) if weight_decay else {}
    return dict(type='OptimWrapper', optimizer=adam | (dict(weight_decay=weight_decay) if weight_decay else {}),
                clip_grad=dict(type='value', clip_value=options.clip), **decay)


def schedule(options: AdamOptions, length: int, by_epoch: bool = True, stairs: bool = False) -> list[dict[str, Any]]:
    """mmengine's config of how the rate falls.

    Args:
        options: how.
        length: of the training, in epochs or steps.
        by_epoch: whether the options count epochs, or steps. The originals that count steps set the rate after a step:
            it holds from the next one.
        stairs: the rate falls by the whole factor at the end of each ``decay_every``, instead of by a part of it at the
            end of each epoch or step.
    """
    start = options.decay_start + (0 if by_epoch else 1)
    if options.decay_by == 1 or start >= length:
        return []
    every = options.decay_every or length
    how = (dict(type='StepLR', step_size=every, gamma=options.decay_by) if stairs else
           dict(type='ExponentialLR', gamma=options.decay_by ** (1 / every)))
    return [{**how, 'by_epoch': by_epoch, **({'begin': start} if start else {})}]
