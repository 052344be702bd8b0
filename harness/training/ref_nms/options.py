"""The options of Ref-NMS's training, and three named sets of them.

Defaults are the released code's for the binary loss. ``docs/ref-nms-options.md`` names each with its place in the paper
and in the released code.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt
from pydantic import AllowInfNan

from harness.options import Count, CountOrNone, Share, Step, check_options
from harness.training.settings import Rate, RateOrNone, Width, parsed
from harness.training.settings import refuse_without_effect as refuse_without_effect


@dataclass(frozen=True)
class NetworkOptions:
    """``hidden`` and ``mlp``: widths; ``relu`` before the L2 norm of Eq. 2; ``att_dropout`` and ``rank_dropout``.

    ``planes`` and ``blocks`` are those of the head where the detector has no residual stage to start from.
    """

    hidden: Width = 256
    mlp: Width = 1024
    planes: Width = 128
    blocks: Count = 1
    relu: bool = True
    att_dropout: Share = 0.5
    rank_dropout: Share = 0.5


@dataclass(frozen=True)
class SamplingOptions:
    """What a training step learns from.

    Attributes:
        batch_of: whether a batch is made of single expressions or of images with all of their expressions.
        batch_size: expressions or images per step.
        regions: binary loss: regions per expression, half of them positive; 0 takes all.
        positive: binary loss: whether an overlap of exactly 0.5 is positive.
        delta: confidence that a candidate must exceed.
        delta_step: by how much ``delta`` is lowered at a time while an image has too few candidates.
        at_least: candidates that each image must have; 0: ``delta`` is never lowered.
        lowest, others: ranking loss: regions at level 0 and at each of the others.
        jitter: ranking loss: whether each place that a level leaves empty gets a jittered box of its own (``'place'``),
            or draws from a few that the image's expressions share (``'image'``).
        draws: whether a sample depends on seed, epoch and place alone (``'index'``; dropout then by
            :mod:`~harness.training.ref_nms.masked_attention`), or all randomness is one stream, as of the shipped B.
        vocabulary: whether words of all splits count, or only those of the training split.
        embeddings: whether word vectors stay as they are or are trained.
    """

    batch_of: Literal['expressions', 'images'] = 'expressions'
    batch_size: Count = 32
    regions: CountOrNone = 32
    positive: Literal['>=', '>'] = '>='
    delta: Share = 0.05
    delta_step: Step = 0.005
    at_least: CountOrNone = 32
    lowest: Width = 150
    others: Width = 10
    jitter: Literal['place', 'image'] = 'place'
    draws: Literal['index', 'stream'] = 'index'
    vocabulary: Literal['all', 'train'] = 'all'
    embeddings: Literal['fixed', 'learned'] = 'fixed'


@dataclass(frozen=True)
class StepOptions:
    """How the weights change.

    Attributes:
        epochs: passes over the training split.
        head_lr, rnn_lr, lr: Adam's learning rates of the head, the GRU and the rest.
        weight_decay: the same for all three.
        schedule: how the learning rates fall.
        factor, patience: plateau schedule: after ``patience`` validations without gain, rates are multiplied by
            ``factor``.
        validate_every: steps between validations; 0: after each epoch.
        keep: the weights with the lowest loss on val, or the last ones.
        margin, top_h: of the ranking loss.
    """

    epochs: Count = 5
    head_lr: Rate = 2e-4
    rnn_lr: Rate = 5e-4
    lr: Rate = 5e-4
    weight_decay: RateOrNone = 1e-3
    schedule: Literal['plateau', 'cosine', 'constant'] = 'plateau'
    factor: Annotated[float, AllowInfNan(False), Ge(0), Lt(1)] = 0.5
    patience: CountOrNone = 1
    validate_every: CountOrNone = 1000
    keep: Literal['best', 'last'] = 'best'
    margin: RateOrNone = 0.1
    top_h: Count = 100


@dataclass(frozen=True)
class TrainingOptions:
    """All options of a training.

    Attributes:
        loss: Eq. 3 or Eq. 4.
        head: whether the detector's last stage is trained further, or frozen, with its features computed once.
        head_norm: whether its batch norms use the statistics of the batch and are trained, or keep those of the
            detector.
        text: ``'blind'`` replaces every sentence by one constant.
    """

    loss: Literal['binary', 'ranking'] = 'binary'
    head: Literal['trained', 'frozen'] = 'trained'
    head_norm: Literal['training', 'fixed'] = 'training'
    text: Literal['read', 'blind'] = 'read'
    network: NetworkOptions = field(default_factory=NetworkOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    steps: StepOptions = field(default_factory=StepOptions)

    def changed(self, **values: Any) -> TrainingOptions:
        """A copy with some values changed, in whichever part they are."""
        if unknown := values.keys() - self.flat.keys():
            raise TypeError(f'no option is called {min(unknown)}')
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
    def without_effect(self) -> set[str]:
        """Names of the options that have no effect, given the values of the others."""
        return {name for name, heeded in (
            *((name, self.loss == 'binary') for name in ('regions', 'positive')),
            *((name, self.loss == 'ranking') for name in ('lowest', 'others', 'margin', 'top_h')),
            ('jitter', self.loss == 'ranking' and self.head == 'trained'),
            *((name, self.head == 'trained') for name in ('head_lr', 'head_norm')),
            *((name, self.steps.schedule == 'plateau') for name in ('factor', 'patience'))) if not heeded}

    @property
    def weights(self) -> str:
        """The name of the trained weights."""
        return 'ref-nms-blind' if self.text == 'blind' else f'ref-nms-{self.loss[0]}'


def _own(part: Any, values: dict[str, Any]) -> dict[str, Any]:
    """The values that belong to one part."""
    return {f.name: values[f.name] for f in fields(part) if f.name in values}


RELEASED = {
    'binary': TrainingOptions(),
    'ranking': TrainingOptions(loss='ranking').changed(batch_size=8, at_least=0, epochs=4, factor=0.6, patience=3)}

_PAPER = dict(batch_size=8, head_lr=4e-4, rnn_lr=5e-3, lr=5e-3, weight_decay=0., schedule='constant', relu=False,
              positive='>', regions=0, at_least=0, embeddings='learned')
PAPER = {loss: options.changed(**_PAPER) for loss, options in RELEASED.items()}

_EMBEDDED = dict(batch_of='images', batch_size=5, epochs=8, schedule='cosine', keep='last', validate_every=0,
                 hidden=128, mlp=256, vocabulary='train', draws='stream')
#: Of the ranking loss: a sixth of the regions for the head to look at.
_RANKING = dict(jitter='image', draws='index')
#: The recipe of the shipped weights, of which R has half the epochs (:mod:`harness.commands.shipped_weights`).
EMBEDDED = {'binary': RELEASED['binary'].changed(**_EMBEDDED),
            'ranking': RELEASED['ranking'].changed(**_EMBEDDED | _RANKING)}

RECIPES = {'released': RELEASED, 'paper': PAPER, 'embedded': EMBEDDED}


def with_settings(options: TrainingOptions, settings: Iterable[str]) -> TrainingOptions:
    """Options with ``OPTION=VALUE`` settings.

    Raises:
        InputError: an unknown name, one given twice, or an invalid value.
    """
    values = parsed(options.flat, settings)
    for part in (options, options.network, options.sampling, options.steps):
        check_options(type(part), _own(part, values), '--set', before=' ')
    return options.changed(**values)
