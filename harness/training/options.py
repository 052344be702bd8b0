"""The choices of Ref-NMS's training, and the three sets of them that have a name.

Defaults are the released code's for the binary loss. ``docs/ref-nms-options.md`` names each with its place in the paper
and in the released code.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from harness.errors import InputError
from harness.names import nearest

#: What an option that is a word can be.
WORDS = {'loss': ('binary', 'ranking'), 'head': ('trained', 'frozen'), 'head_norm': ('training', 'fixed'),
         'text': ('read', 'blind'), 'batch_of': ('expressions', 'images'), 'positive': ('>=', '>'),
         'draws': ('index', 'stream'), 'vocabulary': ('all', 'train'), 'embeddings': ('fixed', 'learned'),
         'schedule': ('plateau', 'cosine', 'constant'), 'keep': ('best', 'last')}


@dataclass(frozen=True)
class NetworkOptions:
    """``hidden`` and ``mlp``: widths; ``relu`` before the L2 norm of Eq. 2; ``att_dropout`` and ``rank_dropout``."""

    hidden: int = 256
    mlp: int = 1024
    relu: bool = True
    att_dropout: float = 0.5
    rank_dropout: float = 0.5


@dataclass(frozen=True)
class SamplingOptions:
    """What a step learns from.

    Attributes:
        batch_of: whether a batch is made of single expressions or of images with all of their expressions.
        batch_size: expressions or images a step.
        regions: of the binary loss: regions an expression, half of them positive; 0 takes all.
        positive: of the binary loss: whether an overlap of exactly 0.5 is positive.
        delta: confidence that a candidate exceeds.
        delta_step: how far it is lowered at a time where an image has too few.
        at_least: candidates an image has to have; 0: none are lowered.
        lowest, others: of the ranking loss: regions at level 0 and at each of the others.
        draws: whether a sample depends on seed, epoch and place alone (``'index'``; dropout then by
            :mod:`harness.training.masked_attention`), or all randomness is one stream, as of the shipped weights.
        vocabulary: whether words of all splits are counted, or of the training split alone.
        embeddings: whether word vectors stay GloVe's or are trained on.
    """

    batch_of: str = 'expressions'
    batch_size: int = 32
    regions: int = 32
    positive: str = '>='
    delta: float = 0.05
    delta_step: float = 0.005
    at_least: int = 32
    lowest: int = 150
    others: int = 10
    draws: str = 'index'
    vocabulary: str = 'all'
    embeddings: str = 'fixed'


@dataclass(frozen=True)
class StepOptions:
    """How the weights change.

    Attributes:
        epochs: passes over the training split.
        head_lr, rnn_lr, lr: Adam's rates of the head, the GRU and the rest.
        weight_decay: of all of them.
        schedule: of the rates.
        factor, patience: of plateaus: what a rate is multiplied by after so many validations in a row without gain.
        validate_every: steps between validations; 0: after each epoch.
        keep: weights of the least loss on val, or the last.
        margin, top_h: of the ranking loss.
    """

    epochs: int = 5
    head_lr: float = 2e-4
    rnn_lr: float = 5e-4
    lr: float = 5e-4
    weight_decay: float = 1e-3
    schedule: str = 'plateau'
    factor: float = 0.5
    patience: int = 1
    validate_every: int = 1000
    keep: str = 'best'
    margin: float = 0.1
    top_h: int = 100


@dataclass(frozen=True)
class TrainingOptions:
    """All of them.

    Attributes:
        loss: Eq. 3 or Eq. 4.
        head: whether the detector's last stage is trained on, or frozen and its features computed once.
        head_norm: whether its batch norms normalise by the batch and go on learning, or stay the detector's.
        text: ``'blind'`` replaces every sentence by one constant.
    """

    loss: str = 'binary'
    head: str = 'trained'
    head_norm: str = 'training'
    text: str = 'read'
    network: NetworkOptions = field(default_factory=NetworkOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    steps: StepOptions = field(default_factory=StepOptions)

    def changed(self, **values: Any) -> TrainingOptions:
        """The same with some values changed, whichever part they belong to."""
        return replace(self, network=replace(self.network, **_own(self.network, values)),
                       sampling=replace(self.sampling, **_own(self.sampling, values)),
                       steps=replace(self.steps, **_own(self.steps, values)), **_own(self, values))

    @property
    def flat(self) -> dict[str, Any]:
        """Every option by its name."""
        record = asdict(self)
        return {**{k: v for k, v in record.items() if not isinstance(v, dict)},
                **record['network'], **record['sampling'], **record['steps']}

    @property
    def weights(self) -> str:
        """The name of the weights that come out."""
        return 'ref-nms-blind' if self.text == 'blind' else f'ref-nms-{self.loss[0]}'


def _own(part: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that belong to a part."""
    return {f.name: values[f.name] for f in fields(part) if f.name in values}


RELEASED = {
    'binary': TrainingOptions(),
    'ranking': TrainingOptions(loss='ranking').changed(batch_size=8, at_least=0, epochs=4, factor=0.6, patience=3)}

_PAPER = dict(batch_size=8, head_lr=4e-4, rnn_lr=5e-3, lr=5e-3, weight_decay=0., schedule='constant', relu=False,
              positive='>', regions=0, at_least=0, embeddings='learned')
PAPER = {loss: options.changed(**_PAPER) for loss, options in RELEASED.items()}

_EMBEDDED = dict(batch_of='images', batch_size=5, epochs=8, schedule='cosine', keep='last', validate_every=0,
                 hidden=128, mlp=256, vocabulary='train', draws='stream')
#: The shipped weights' (``train ref-nms-b``), and the ranking loss by the same recipe.
EMBEDDED = {loss: options.changed(**_EMBEDDED) for loss, options in RELEASED.items()}

RECIPES = {'released': RELEASED, 'paper': PAPER, 'embedded': EMBEDDED}


def with_settings(options: TrainingOptions, settings: Iterable[str], said_by: str = '--set') -> TrainingOptions:
    """Options with ``NAME=VALUE`` settings.

    Raises:
        InputError: an unknown name, or a value that it can't have.
    """
    values = {}
    for setting in settings:
        name, equals, text = setting.partition('=')
        if not equals or name not in options.flat:
            raise InputError(f'{said_by} {setting}: write OPTION=VALUE{nearest(name, options.flat)}; options are '
                             f'{", ".join(options.flat)}')
        values[name] = _value(name, text, type(options.flat[name]), said_by)
    return options.changed(**values)


def _value(name: str, text: str, kind: type, said_by: str) -> Any:
    if name in WORDS:
        if text not in WORDS[name]:
            raise InputError(f'{said_by} {name}={text}: must be one of {", ".join(WORDS[name])}')
        return text
    if kind is bool:
        if text.lower() not in ('true', 'false'):
            raise InputError(f'{said_by} {name}={text}: must be true or false')
        return text.lower() == 'true'
    try:
        value = kind(text)
    except ValueError:
        value = -1
    least = 1 if name in _AT_LEAST_ONE else 0
    if not least <= value < float('inf'):
        raise InputError(f'{said_by} {name}={text}: must be a {"whole " if kind is int else ""}number of at least '
                         f'{least}')
    return value


_AT_LEAST_ONE = {'hidden', 'mlp', 'batch_size', 'lowest', 'others', 'epochs', 'top_h'}
