"""Train Ref-NMS with binary cross-entropy (Eq. 3) and calibrate its threshold.

Source: ChopinSharp/ref-nms ``lib/vanilla_utils.py: DetBoxDataset`` (sampling), ``tools/train_att_vanilla.py`` (loss,
optimiser, initial weights). There, one item is an expression and the head runs on the 32 regions that it samples; here,
one item is an image and the head runs once on the regions that all of its expressions sample. Each expression's own
sample is the same in distribution. The learning rate falls along a cosine instead of on plateaus of the loss on val.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.runner import set_random_seed
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset as TorchDataset

from harness.detection.crop import crop_and_resize
from harness.detection.detector import Detector
from harness.proposals.critical_objects import CriticalObjects
from harness.proposals.greedy import Greedy
from harness.proposals.nms import pairwise_iou
from harness.proposals.ref_nms import RefNMS, find_candidates, over_threshold
from harness.training.runner import console, fit
from harness.types import XYWH, Dataset, Expression, ImageFeatures
from harness.vectors import Vocabulary, WordVectors
from harness.weights import provenance, save_weights

REGIONS_AN_EXPRESSION = 32
LONGEST = {'refcoco': 10, 'refcoco+': 10}
LONGEST_ELSEWHERE = 20
WIDTHS = dict(hidden=128, mlp=256)
Regions = Mapping[int, Mapping[str, Any]]


class ImageRegions:
    """Collects what Ref-NMS sees of each image, whatever the expressions.

    Args:
        dtype: of the stored C4 maps; float32 where scores have to be those of a later run to the last digit.
    """

    def __init__(self, dtype: torch.dtype = torch.float16) -> None:
        self.dtype = dtype
        self._images: dict[int, dict[str, Any]] = {}
        self._greedy = Greedy()

    @torch.no_grad()
    def add(self, image: ImageFeatures) -> None:
        """Find one image's candidates and count what greedy would propose."""
        found = find_candidates(image.class_boxes, image.class_scores, at_least=REGIONS_AN_EXPRESSION)
        evaluated = len(find_candidates(image.class_boxes, image.class_scores).labels)
        least = found.det_scores.sort(descending=True).values[evaluated - 1] if evaluated else float('inf')
        self._images[image.info.image_id] = {
            'feature_map': image.feature_map[0].to(self.dtype).cpu(), 'scale': image.scale,
            'boxes': found.bboxes.cpu(), 'labels': found.labels.cpu(), 'det_scores': found.det_scores.cpu(),
            'evaluated': (found.det_scores >= least).cpu(), 'n_greedy': len(self._greedy.propose(image))}

    def collected(self) -> dict[int, dict[str, Any]]:
        """By image id, plain tensors and numbers.

        ``feature_map`` (C, h, w), ``scale``, ``n_greedy``, and for each of the n candidates of training: ``boxes``
        (n, 4) xyxy image pixels, ``labels``, ``det_scores``, ``evaluated``, whether it is one in evaluation too.
        """
        return self._images


def choose_regions(positive: Tensor, number: int = REGIONS_AN_EXPRESSION,
                   generator: torch.Generator | None = None) -> Tensor:
    """A random sample of regions for each expression: half positive, half negative, more of one where the other lacks.

    Source: ``DetBoxDataset.__getitem__``: up to half positives, negatives for the rest, positives again for what
    negatives can't fill. Where there are fewer than ``number`` regions, all are taken.

    Args:
        positive: ``(E, n)`` bool.
        number: regions an expression.
        generator: of randomness; ``None`` is torch's global one.

    Returns:
        ``(E, n)`` bool with the same number of true entries, ``min(number, n)``, in each row.
    """
    positives = positive.sum(dim=1, keepdim=True)
    negatives = positive.shape[1] - positives
    from_negatives = torch.minimum(negatives, number - positives.clamp(max=number // 2))
    from_positives = torch.minimum(positives, number - from_negatives)
    # Random rank of each region in its row, all positives before all negatives.
    rank = (torch.rand(positive.shape, generator=generator) + 2 * ~positive).argsort(dim=1).argsort(dim=1)
    return torch.where(positive, rank < from_positives, rank - positives < from_negatives)


class RelatedRegions(TorchDataset):
    """One item an image: the regions that its expressions sample, and which of them are critical objects.

    Args:
        groups: the expressions, image by image.
        targets: boxes of each expression's critical objects, ``(t, 4)`` xyxy image pixels, by ``sent_id``.
        regions: of every image, from :class:`ImageRegions`.
        vocabulary: of the words.
        longest: words of a sentence that are read.
        seed: fixes the sample of every image; ``None`` draws anew each time from torch's global randomness.
    """

    def __init__(self, groups: Iterable[Sequence[Expression]], targets: Mapping[int, Tensor], regions: Regions,
                 vocabulary: Vocabulary, longest: int, seed: int | None = None) -> None:
        self.regions, self.seed = regions, seed
        self._images: list[tuple[int, Tensor, list[Tensor]]] = []
        for group in groups:
            boxes = regions[group[0].image_id]['boxes']
            if len(boxes) == 0:
                continue
            positive = torch.stack([(pairwise_iou(boxes, targets[e.sent_id]) >= 0.5).any(dim=1) for e in group])
            words = [vocabulary.ids(e.tokens, longest) for e in group]
            self._images.append((group[0].image_id, positive, words))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, item: int) -> dict[str, Any]:
        """One image with E expressions that sample R regions each, U different ones together.

        ``feature_map`` (C, h, w), ``boxes`` (U, 4) network-input pixels, ``index`` (E, R) into them, ``labels`` (E, R)
        1 for critical objects, ``words`` E tensors of word ids.
        """
        image_id, positive, words = self._images[item]
        image = self.regions[image_id]
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed + item)
        chosen = choose_regions(positive, generator=generator)
        used = chosen.any(dim=0)
        index = chosen[:, used].nonzero()[:, 1].reshape(len(words), -1)
        return {'feature_map': image['feature_map'], 'boxes': image['boxes'][used] * image['scale'], 'index': index,
                'labels': positive[chosen].reshape(len(words), -1).float(), 'words': words}


def collate(items: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """A batch is a list of images, since their maps differ in size."""
    return {'images': items}


class RefNMSForTraining(BaseModel):
    """Binary cross-entropy of the relatedness of every expression's sampled regions.

    Args:
        network: what is trained.
        vectors: ``(V, D)`` of the vocabulary; they stay as they are.
        freeze_norm: keep the head's batch norms at the detector's statistics. The released training does not.
    """

    def __init__(self, network: RefNMS, vectors: Tensor, freeze_norm: bool = False) -> None:
        super().__init__()
        self.network = network
        self.freeze_norm = freeze_norm
        self.register_buffer('vectors', vectors, persistent=False)

    def train(self, mode: bool = True) -> RefNMSForTraining:
        super().train(mode)
        if self.freeze_norm:
            for module in self.network.head.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, images: list[dict[str, Any]], mode: str = 'loss') -> dict[str, Tensor] | tuple[Tensor, Tensor]:
        """A batch of images as from :class:`RelatedRegions`.

        ``'loss'`` gives the loss, ``'tensor'`` the logits and labels of every sampled region of every expression.
        """
        logits, labels = self._logits(images)
        real = labels >= 0
        if mode == 'tensor':
            return logits[real], labels[real]
        return {'loss': F.binary_cross_entropy_with_logits(logits[real], labels[real])}

    def _logits(self, images: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        """``(E, R)`` each, of all images' expressions; label -1 where an expression has fewer than R regions."""
        crops = [crop_and_resize(i['feature_map'][None].float(), i['boxes']) for i in images]
        features = self.network.encode_boxes(torch.cat(crops))
        width = max(i['index'].shape[1] for i in images)
        first, rows, labels = 0, [], []
        for image, own in zip(images, crops, strict=True):
            short = width - image['index'].shape[1]
            rows.append(F.pad(image['index'] + first, (0, short)))
            labels.append(F.pad(image['labels'], (0, short), value=-1))
            first += len(own)
        sentences = [self.vectors[ids] for image in images for ids in image['words']]
        return self.network(features[torch.cat(rows)], sentences), torch.cat(labels)


def optim_wrapper(head_lr: float = 2e-4, lr: float = 5e-4, weight_decay: float = 1e-3) -> dict[str, Any]:
    """Adam as released: a slower head, weight decay everywhere (``tools/train_att_vanilla.py: CONFIG``)."""
    return dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=lr, weight_decay=weight_decay),
                paramwise_cfg=dict(custom_keys={'network.head': dict(lr_mult=head_lr / lr)}))


@torch.no_grad()
def mean_loss(model: RefNMSForTraining, images: RelatedRegions, batch_size: int = 16) -> float:
    """The loss over all sampled regions of a fixed sample, without dropout."""
    was_training = model.training
    model.eval()
    total, count = 0., 0
    for start in range(0, len(images), batch_size):
        logits, labels = model([images[i] for i in range(start, min(start + batch_size, len(images)))], mode='tensor')
        total += float(F.binary_cross_entropy_with_logits(logits, labels, reduction='sum'))
        count += len(labels)
    model.train(was_training)
    return total / max(count, 1)


@torch.no_grad()
def rank_expressions(network: RefNMS, vocabulary: Vocabulary, groups: Iterable[Sequence[Expression]],
                     regions: Regions) -> list[tuple[Expression, InstanceData]]:
    """What the rules would rank: each expression with its boxes after NMS, best first."""
    was_training = network.training
    network.eval()
    ranked: list[tuple[Expression, InstanceData]] = []
    for group in groups:
        image = regions[group[0].image_id]
        seen = image['evaluated']
        candidates = InstanceData(bboxes=image['boxes'][seen], labels=image['labels'][seen],
                                  det_scores=image['det_scores'][seen])
        pooled = crop_and_resize(image['feature_map'][None].float(), candidates.bboxes * image['scale'])
        ranked += zip(group, network.rank(pooled, candidates, [vocabulary(e.tokens) for e in group]), strict=True)
    network.train(was_training)
    return ranked


def calibrate(scores: Sequence[Tensor], most: float) -> float:
    """The smallest threshold at which the mean number of proposals is at most ``most``.

    Every expression keeps its best box and those over the threshold, so that the number can't fall under one.

    Args:
        scores: of each expression's boxes after NMS, best first; fused scores, never negative.
        most: mean number of proposals that is allowed.
    """
    others = torch.cat([s[1:] for s in scores]).sort(descending=True).values
    allowed = int(most * len(scores) + 1e-9) - sum(len(s) > 0 for s in scores)
    if allowed >= len(others) or not len(others):
        return 0.
    return float(others[max(allowed, 0)])


@dataclass(frozen=True)
class Calibration:
    """A threshold with what it gives on the split that it was chosen on; recall is the referent's at IoU > 0.5."""

    threshold: float
    mean_proposals: float
    mean_greedy: float
    referent_recall: float


def calibrated(ranked: Sequence[tuple[Expression, InstanceData]], regions: Regions) -> Calibration:
    """:func:`calibrate` to greedy's mean number of proposals for the same expressions."""
    greedy = sum(regions[e.image_id]['n_greedy'] for e, _ in ranked) / max(len(ranked), 1)
    threshold = calibrate([boxes.scores for _, boxes in ranked], greedy) if ranked else 0.
    kept = [(e, over_threshold(boxes, threshold)) for e, boxes in ranked]
    hits = sum(bool((pairwise_iou(boxes.bboxes, _xyxy([e.gt_xywh])) > 0.5).any()) for e, boxes in kept)
    number = sum(len(boxes) for _, boxes in kept)
    return Calibration(threshold, number / max(len(kept), 1), greedy, hits / max(len(kept), 1))


def train_ref_nms(train: Dataset, val: Dataset, train_regions: Regions, val_regions: Regions, detector: Detector,
                  vectors: WordVectors, out: Path, work_dir: Path, *, command: str, seed: int, epochs: int = 3,
                  batch_size: int = 5, widths: Mapping[str, int] | None = None) -> Path:
    """Train on one dataset, choose the threshold on val, and write the weights that the rules read.

    Args:
        train: with split ``train`` and annotations.
        val: with split ``val`` and annotations.
        train_regions: of ``train``'s images, :meth:`ImageRegions.collected`.
        val_regions: of the images of ``val``'s split ``val``.
        detector: whose head the network starts from.
        vectors: of words, with their γ.
        out: the safetensors file.
        work_dir: checkpoints, for resuming.
        command: what to put down as this file's origin.
        seed: of everything random.
        epochs: passes over the images.
        batch_size: images.
        widths: ``hidden`` and ``mlp`` of :class:`RefNMS`.
    """
    set_random_seed(seed)
    vocabulary = Vocabulary.build((e.tokens for e in train.split('train')), vectors)
    network_of_detector: Any = detector.network
    head = network_of_detector.roi_head.shared_head.layer4
    planes, in_channels = head[0].conv1.weight.shape[:2]
    options = dict(in_channels=in_channels, planes=planes, blocks=len(head), word_dim=vocabulary.vectors.shape[1],
                   **(widths or WIDTHS))
    network = RefNMS(**options)
    network.init_weights()
    network.head.load_state_dict({name: value.cpu() for name, value in head.state_dict().items()})
    model = RefNMSForTraining(network, vocabulary.vectors)
    longest = LONGEST.get(train.name.removeprefix('mini-'), LONGEST_ELSEWHERE)
    images = RelatedRegions(_groups(train, 'train'), critical_boxes(train, 'train', vectors), train_regions, vocabulary,
                            longest)
    seen = RelatedRegions(_groups(val, 'val'), critical_boxes(val, 'val', vectors), val_regions, vocabulary, longest,
                          seed=seed)

    def on_val() -> tuple[float, Calibration]:
        ranked = rank_expressions(network, vocabulary, _groups(val, 'val'), val_regions)
        return mean_loss(model, seen), calibrated(ranked, val_regions)

    def evaluate() -> dict[str, float]:
        loss, found = on_val()
        return {'loss': loss, 'referent recall at greedy\'s number': found.referent_recall}

    steps = epochs * (len(images) // batch_size)
    fit(f'ref-nms-b {train.name}', model, images, collate=collate, batch_size=batch_size, epochs=epochs,
        optim_wrapper=optim_wrapper(), work_dir=work_dir, seed=seed, evaluate=evaluate,
        param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=False, T_max=steps, begin=0, end=steps, eta_min=1e-6)])
    loss, found = on_val()
    console.print(f'ref-nms-b {train.name}: threshold {found.threshold:.4f}, {found.mean_proposals:.2f} proposals on '
                  f'val (greedy {found.mean_greedy:.2f}), referent recall {100 * found.referent_recall:.2f} %')
    tensors = {f'model.{name}': value for name, value in network.state_dict().items()}
    save_weights(out, {**tensors, 'words': vocabulary.vectors}, {
        'kind': 'ref-nms', 'loss': 'binary cross-entropy', 'model': options, 'vocabulary': list(vocabulary.words),
        'vectors': vectors.name, 'gamma': vectors.gamma, 'threshold': found.threshold, 'epochs': epochs,
        'validation': {'loss': loss, 'referent_recall': found.referent_recall, 'mean_proposals': found.mean_proposals,
                       'mean_proposals_greedy': found.mean_greedy},
        **provenance(command, seed, train.data_hash)})
    return out


def critical_boxes(dataset: Dataset, split: str, vectors: WordVectors) -> dict[int, Tensor]:
    """By ``sent_id``: the referent's box first, then those of contextual objects, ``(t, 4)`` xyxy image pixels."""
    expressions = dataset.split(split)
    context = CriticalObjects(vectors).context(expressions, dataset.annotations or {})
    return {e.sent_id: _xyxy([e.gt_xywh, *(a.xywh for a in objects)])
            for e, objects in zip(expressions, context, strict=True)}


def _groups(dataset: Dataset, split: str) -> list[list[Expression]]:
    return [group for _, group in dataset.by_image(dataset.split(split))]


def _xyxy(boxes: Sequence[XYWH]) -> Tensor:
    xywh = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    return torch.cat((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), dim=1)
