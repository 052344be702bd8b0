"""Train Ref-NMS, with binary cross-entropy (Eq. 3) or by ranking (Eq. 4), and calibrate its threshold.

Source: ChopinSharp/ref-nms ``tools/train_att_vanilla.py`` and ``tools/train_att_rank.py`` (optimiser, schedule, initial
weights). There, one item is an expression and the head runs on the regions that it samples. Here an item can also be
an image (``batch_of='images'``): the head then runs once on the regions that all of its expressions sample, and each
expression's own sample is the same in distribution. All choices are in :mod:`harness.training.ref_nms.options`.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import set_random_seed
from torch import Tensor, nn
from torch.nn import functional as F

from harness.data.rehearsal_mark import rehearsed
from harness.detection.crop import crop_and_resize
from harness.detection.two_stage_parts import crop_channels
from harness.errors import InputError
from harness.files.weights import provenance, save_weights
from harness.proposals.ref_nms_blind import all_saying
from harness.proposals.ref_nms_network import RefNMS
from harness.training.ref_nms.binary_loss import BinarySampler, binary_loss
from harness.training.ref_nms.calibration import Calibration, calibrated, rank_expressions
from harness.training.ref_nms.critical_boxes import critical_boxes
from harness.training.ref_nms.image_regions import Regions
from harness.training.ref_nms.jitter_pool import IMAGE_POOL
from harness.training.ref_nms.levels import LevelSampler
from harness.training.ref_nms.masked_attention import masked_forward
from harness.training.ref_nms.options import EMBEDDED, TrainingOptions
from harness.training.ref_nms.ranking_loss import RankingLoss
from harness.training.ref_nms.records import ref_nms_record
from harness.training.ref_nms.related_regions import RelatedRegions, collate
from harness.training.ref_nms.sampler import Sampler
from harness.training.runner import console, fit
from harness.types import Dataset, Expression
from harness.words.vectors import WordEmbedding, WordVectors

LONGEST = {'refcoco': 10, 'refcoco+': 10}
LONGEST_ELSEWHERE = 20
_LOSS_NAMES = {'binary': 'binary cross-entropy', 'ranking': 'ranking'}
Loss = Callable[[Tensor, Tensor], Tensor]


class RefNMSForTraining(BaseModel):
    """A loss of the relatedness of every expression's sampled regions.

    Args:
        network: what is trained.
        vectors: ``(V, D)`` of the vocabulary.
        freeze_norm: keep the head's batch norms at the detector's statistics. The released training does not.
        loss: of ``(E, R)`` logits and labels, below 0 where an expression has fewer than R regions.
        freeze_head: leave the head as it is.
        learn_vectors: train the vectors too. The released training does not.
        masked: run :func:`~harness.training.ref_nms.masked_attention.masked_forward`, which draws other random numbers.
    """

    def __init__(self, network: RefNMS, vectors: Tensor, freeze_norm: bool = False, loss: Loss = binary_loss,
                 freeze_head: bool = False, learn_vectors: bool = False, masked: bool = False) -> None:
        super().__init__()
        self.network = network
        self.freeze_norm = freeze_norm or freeze_head
        self.objective, self.masked = loss, masked
        network.head.requires_grad_(not freeze_head)
        if learn_vectors:
            self.vectors: Tensor = nn.Parameter(vectors.clone())
        else:
            self.register_buffer('vectors', vectors, persistent=False)

    def train(self, mode: bool = True) -> RefNMSForTraining:
        super().train(mode)
        if self.freeze_norm:
            for module in self.network.head.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, images: list[dict[str, Any]], mode: str = 'loss') -> dict[str, Tensor] | tuple[Tensor, Tensor]:
        """A batch of items as from :class:`~harness.training.ref_nms.related_regions.RelatedRegions`.

        ``'loss'`` gives the loss, ``'tensor'`` the logits and labels of every sampled region of every expression.
        """
        logits, labels = self.relate(images)
        real = labels >= 0
        if mode == 'tensor':
            return logits[real], labels[real]
        return {'loss': self.objective(logits, labels)}

    def relate(self, images: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        """``(E, R)`` logits and labels of all items' expressions; label -1 where one has fewer than R regions."""
        if 'features' in images[0]:
            lengths = [len(i['features']) for i in images]
            features = torch.cat([i['features'].float() for i in images])
        else:
            crops = [i['crops'].float() if 'crops' in i else crop_and_resize(i['feature_map'][None].float(), i['boxes'])
                     for i in images]
            lengths = [len(own) for own in crops]
            features = self.network.encode_boxes(torch.cat(crops))
        width = max(i['index'].shape[1] for i in images)
        first, rows, labels = 0, [], []
        for image, length in zip(images, lengths, strict=True):
            short = width - image['index'].shape[1]
            rows.append(F.pad(image['index'] + first, (0, short)))
            labels.append(F.pad(image['labels'], (0, short), value=-1))
            first += length
        sentences = [self.vectors[ids] for image in images for ids in image['words']]
        if self.masked:
            return masked_forward(self.network, features, torch.cat(rows), sentences), torch.cat(labels)
        return self.network(features[torch.cat(rows)], sentences), torch.cat(labels)


def optim_wrapper(head_lr: float = 2e-4, lr: float = 5e-4, weight_decay: float = 1e-3,
                  rnn_lr: float | None = None) -> dict[str, Any]:
    """Adam as released: a slower head, weight decay everywhere (``tools/train_att_vanilla.py: CONFIG``)."""
    keys = {'network.head': dict(lr_mult=head_lr / lr)}
    if rnn_lr is not None and rnn_lr != lr:
        keys['network.rnn'] = dict(lr_mult=rnn_lr / lr)
    return dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=lr, weight_decay=weight_decay),
                paramwise_cfg=dict(custom_keys=keys))


def schedule(options: TrainingOptions, model: nn.Module, steps: int) -> list[dict[str, Any]]:
    """mmengine's config of how the rates fall; on plateaus down to a hundredth, as released."""
    how = options.steps
    if how.schedule == 'cosine':
        return [dict(type='CosineAnnealingLR', by_epoch=False, T_max=steps, begin=0, end=steps, eta_min=1e-6)]
    if how.schedule == 'constant':
        return []
    own = {'network.head': how.head_lr, 'network.rnn': how.rnn_lr}
    rates = [next((rate for prefix, rate in own.items() if name.startswith(prefix)), how.lr)
             for name, parameter in model.named_parameters() if parameter.requires_grad]  # as the optimiser's groups
    return [dict(type='ReduceOnPlateauLR', monitor='loss', rule='less', factor=how.factor, patience=how.patience,
                 min_value=[rate / 100 for rate in rates])]


@torch.no_grad()
def mean_loss(model: RefNMSForTraining, images: RelatedRegions, batch_size: int = 16) -> float:
    """The loss over a fixed sample, without dropout: the mean over regions, or over expressions if it ranks pairs."""
    was_training = model.training
    model.eval()
    total, count = 0., 0
    for start in range(0, len(images), batch_size):
        items = [images[i] for i in range(start, min(start + batch_size, len(images)))]
        logits, labels = model.relate(model.data_preprocessor(items))
        number = int((labels >= 0).sum()) if model.objective is binary_loss else len(labels)
        total += number * float(model.objective(logits, labels))
        count += number
    model.train(was_training)
    return total / max(count, 1)


def sampler_of(options: TrainingOptions) -> Sampler:
    """The sampler of the loss."""
    how = options.sampling
    if options.loss == 'ranking':
        return LevelSampler(how.lowest, how.others)
    return BinarySampler(how.regions or None, how.positive == '>=')


def loss_of(options: TrainingOptions) -> Loss:
    """The loss of the options: Eq. 3 or Eq. 4."""
    return RankingLoss(options.steps.margin, options.steps.top_h) if options.loss == 'ranking' else binary_loss


def train_ref_nms(train: Dataset, val: Dataset, train_regions: Regions, val_regions: Regions, detector: Any,
                  vectors: WordVectors, out: Path, work_dir: Path, *, detector_hash: str, command: str, seed: int,
                  options: TrainingOptions = EMBEDDED['binary'], checkpoint_every: int | None = None,
                  workers: int = 0, hooks: Sequence[Hook] = ()) -> Path:
    """Train on one dataset, choose the threshold on val, and write the weights that the rules read.

    Args:
        train: with split ``train`` and annotations.
        val: with split ``val`` and annotations.
        train_regions: of ``train``'s images.
        val_regions: of the images of ``val``'s split ``val``.
        detector: whose residual stage the network starts from, if it has one.
        vectors: of words, with their γ.
        out: the safetensors file.
        work_dir: checkpoints, for resuming.
        detector_hash: SHA-256 of the detector's file.
        command: recorded in the file as its origin.
        seed: of everything random.
        options: the default is the shipped weights' recipe.
        checkpoint_every: steps; ``None``: after each epoch.
        workers: processes that load data.
        hooks: of mmengine, to observe the training.
    """
    set_random_seed(seed)
    sampling, steps = options.sampling, options.steps
    counted = [*train.split('train'), *(val.expressions if sampling.vocabulary == 'all' else ())]
    vocabulary = WordEmbedding.build((e.tokens for e in counted), vectors)
    network, built_with = network_of(options, detector, vocabulary)
    model = RefNMSForTraining(network, vocabulary.vectors, options.head_norm == 'fixed', loss_of(options),
                              options.head == 'frozen', sampling.embeddings == 'learned', sampling.draws == 'index')
    constant = constant_sentence(options, vocabulary)
    groups = heard(_groups(val, 'val'), constant)
    longest = LONGEST.get(rehearsed(train.name.removeprefix('mini-')), LONGEST_ELSEWHERE)
    sampler, over = sampler_of(options), None if sampling.at_least else sampling.delta
    pool = IMAGE_POOL if sampling.jitter == 'image' else None
    images = RelatedRegions(heard(_items(train, 'train', sampling.batch_of), constant),
                            critical_boxes(train, 'train', vectors), train_regions, vocabulary, longest,
                            None if sampling.draws == 'stream' else seed * 10 ** 10, sampler, over, pool)
    seen = RelatedRegions(groups, critical_boxes(val, 'val', vectors), val_regions, vocabulary, longest, seed, sampler,
                          over, pool)

    def words() -> WordEmbedding:
        return WordEmbedding(vocabulary.words, model.vectors.detach().cpu())

    def on_val() -> tuple[float, Calibration]:
        ranked = rank_expressions(network, words(), groups, val_regions)
        return mean_loss(model, seen), calibrated(ranked, val_regions)

    def evaluate() -> dict[str, float]:
        loss, found = on_val()
        return {'loss': loss, 'referent recall at greedy\'s number': found.referent_recall}

    if len(images) < sampling.batch_size:
        raise InputError(f'--set batch_size={sampling.batch_size}: {train.name} has {len(images)} {sampling.batch_of} '
                         'to train on; take a smaller batch')
    name = f'{options.weights} {train.name}'
    count = steps.epochs * (len(images) // sampling.batch_size)
    fit(name, model, images, collate=collate, batch_size=sampling.batch_size, epochs=steps.epochs,
        optim_wrapper=optim_wrapper(steps.head_lr, steps.lr, steps.weight_decay, steps.rnn_lr),
        work_dir=work_dir, seed=seed, evaluate=evaluate, param_scheduler=schedule(options, model, count),
        checkpoint_every=checkpoint_every, validate_every=steps.validate_every or None, keep_best=steps.keep == 'best',
        workers=workers, hooks=hooks,
        shaped_by=ref_nms_record(options, train, val, detector_hash, vectors, seed))
    loss, found = on_val()
    console.print(f'{name}: threshold {found.threshold:.4f}, {found.mean_proposals:.2f} proposals on '
                  f'val (greedy {found.mean_greedy:.2f}), referent recall {100 * found.referent_recall:.2f} %')
    if not is_main_process():
        return out
    tensors = {f'model.{name}': value for name, value in network.state_dict().items()}
    save_weights(out, {**tensors, 'words': words().vectors}, {
        'kind': 'ref-nms', 'loss': _LOSS_NAMES[options.loss], 'model': built_with, 'vocabulary': list(vocabulary.words),
        'vectors': vectors.name, 'gamma': vectors.gamma, 'threshold': found.threshold, 'epochs': steps.epochs,
        'text': options.text, 'head': options.head, 'options': options.flat,
        **({} if constant is None else {'sentence': ' '.join(constant)}),
        'validation': {'loss': loss, 'referent_recall': found.referent_recall, 'mean_proposals': found.mean_proposals,
                       'mean_proposals_greedy': found.mean_greedy},
        **provenance(command, seed, train.data_hash)})
    return out


def network_of(options: TrainingOptions, detector: Any, vocabulary: WordEmbedding) -> tuple[RefNMS, dict[str, Any]]:
    """An untrained network and the arguments that build it again.

    Its head is the detector's residual stage, as released; on a detector without one (a pyramid) it is a stage of its
    own, of the options ``planes`` and ``blocks``, as in :mod:`harness.mmdet_plugin`. Candidates are among the
    arguments: the threshold is chosen for those that ``delta`` and ``delta_step`` let through.
    """
    choices, stage = options.network, stage_of(detector)
    if stage is None:
        channels, planes, blocks = crop_channels(detector.network.roi_head), choices.planes, choices.blocks
    else:
        (planes, channels), blocks = stage[0].conv1.weight.shape[:2], len(stage)
    arguments: dict[str, Any] = dict(in_channels=channels, planes=planes, blocks=blocks, hidden=choices.hidden,
                                     mlp=choices.mlp, word_dim=vocabulary.vectors.shape[1])
    arguments |= {k: v for k, v in asdict(choices).items() if v != getattr(type(choices), k) and k not in arguments}
    arguments |= dict(delta=options.sampling.delta, delta_step=options.sampling.delta_step)
    network = RefNMS(**arguments)
    network.init_weights()
    if stage is not None:
        network.head.load_state_dict({name: value.cpu() for name, value in stage.state_dict().items()})
    return network, arguments


def stage_of(detector: Any) -> Any:
    """The residual stage of a detector that Ref-NMS's head starts from; ``None`` if it has none of that kind."""
    stage = getattr(getattr(detector.network.roi_head, 'shared_head', None), 'layer4', None)
    return stage if stage is not None and hasattr(stage[0], 'conv3') else None


def constant_sentence(options: TrainingOptions, vocabulary: WordEmbedding) -> tuple[str, ...] | None:
    """The constant that a text-blind network reads instead of every sentence: the first word of the vocabulary.

    ``None`` where the text is read.

    It must be a known word. ``<unk>`` is the zero vector, which the GRU, whose biases start at zero, maps to zero: the
    product of Eq. 2 is then zero for every box and has no gradient behind its ReLU, so nothing is learned.
    """
    return vocabulary.words[1:2] if options.text == 'blind' else None


def heard(groups: Sequence[Sequence[Expression]], constant: tuple[str, ...] | None) -> Sequence[Sequence[Expression]]:
    """Groups of expressions as the network reads them: unchanged, or each replaced by the constant."""
    return groups if constant is None else [all_saying(constant, group) for group in groups]


def _items(dataset: Dataset, split: str, batch_of: str) -> list[list[Expression]]:
    return _groups(dataset, split) if batch_of == 'images' else [[e] for e in dataset.split(split)]


def _groups(dataset: Dataset, split: str) -> list[list[Expression]]:
    return [group for _, group in dataset.by_image(dataset.split(split))]
