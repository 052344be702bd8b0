"""Any two-stage mmdet detector with Ref-NMS instead of its last NMS.

Two lines change an mmdet config into one; the rest of it stays::

    model = dict(type='GroundingDetector', ref_nms=dict(type='RefNMS', weights='ref-nms.safetensors'))

The detector keeps its tensors' names, so its checkpoints load unchanged. It is never trained here: ``loss`` is that of
Ref-NMS alone (Eq. 3 of the paper).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional as F

from harness.boxes import pairwise_iou
from harness.detection.two_stage_parts import class_boxes
from harness.errors import InputError
from harness.files.weights import fill, load_weights
from harness.mmdet_plugin.box_features import BOX_FEATURES, channels
from harness.mmdet_plugin.model_block import build_ref_nms, check_classes, check_model
from harness.mmdet_plugin.words import WordLookup
from harness.proposals.candidates import find_candidates
from harness.proposals.confidence import Confidence
from harness.training.ref_nms.binary_loss import REGIONS_AN_EXPRESSION, choose_regions

_CROPS_AT_ONCE = 256  # bounds the memory of Ref-NMS's head


@MODELS.register_module()
class GroundingDetector(TwoStageDetector):
    """Proposals for each sentence of an image: relatedness × confidence, then class-wise NMS.

    ``predict`` reads ``text`` of each data sample, a string or a list of strings, and gives it

    - ``expressions``: one ``InstanceData`` per sentence, best first: ``scores`` (fused), ``det_scores``,
      ``relatedness``, ``labels``, ``bboxes`` (n, 4) xyxy and, with a mask head, ``masks`` (n, H, W) bool, both in
      pixels of the image as it was read; metainfo ``text``, ``words`` that were read, ``word_attention`` and
      ``left_out``, the number of words past ``longest``.
    - ``greedy``: for each of these, what plain class-wise NMS proposes from the same candidates by confidence alone, at
      most as many boxes, most confident first: the same fields without masks. ``scores`` are fused here too, so that
      an answer is chosen in the same way.
    - ``pred_instances``, what mmdet's own metrics read: the same for one string, and the best box of each sentence, row
      by row, for a list. Where a sentence of a list has no proposal its row is zeros with label -1.

    Args:
        ref_nms: ``dict(type='RefNMS', …)``, options of :class:`~harness.proposals.ref_nms_network.RefNMS`; channels
            that are left out are those of the detector. With ``weights=FILE`` sizes, words and threshold come from the
            file.
        box_features: ``'crops'``: the RoI extractor's crops through a residual stage of Ref-NMS, as in the
            original; ``'head'``: the features from which the detector classifies boxes, without further parameters.
        vectors: word vectors of a network without ``weights``; ``None`` takes the shipped ones (D = 100).
        longest: how many words of a sentence are read.
        max_candidates: how many candidates of an image are used, the most confident first.
        weights: all of the detector from a file that ``train`` or ``convert`` wrote.
        detector: what mmdet's ``TwoStageDetector`` takes.

    Raises:
        InputError: a part is missing, or parts do not fit each other.
    """

    def __init__(self, ref_nms: dict | None = None, box_features: str = 'crops', vectors: str | None = None,
                 longest: int = 64, max_candidates: int = 1000, weights: str | None = None, **detector: Any) -> None:
        block = check_model(ref_nms, box_features, detector)
        super().__init__(**detector)
        check_classes(self.roi_head)
        self.max_candidates = max_candidates
        if weights is not None:
            fill(self, load_weights(Path(weights)).tensors, Path(weights))
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.box_features = BOX_FEATURES[box_features]
        self.ref_nms, vocabulary = build_ref_nms(block, channels(self.roi_head, box_features), box_features == 'head',
                                                 vectors)
        self.words = WordLookup(vocabulary, longest)
        self._read = (weights is not None, 'weights' in block)

    def init_weights(self) -> None:
        """Initialise as mmdet and Ref-NMS do; weights that were read from files stay."""
        detector, ref_nms = self._read
        kept = {name: value.clone() for name, value in self.state_dict().items()
                if (ref_nms if name.startswith('ref_nms.') else detector)}
        super().init_weights()
        self.load_state_dict(kept, strict=False)

    def train(self, mode: bool = True) -> GroundingDetector:
        """Only Ref-NMS ever trains: the detector's batch norms and dropout stay as in prediction."""
        super().train(False)
        self.training = mode
        self.ref_nms.train(mode)
        return self

    # ------------------------------------------------------------------------------------------ what is predicted

    @torch.no_grad()
    def predict(self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample],
                rescale: bool = True) -> list[DetDataSample]:
        """Add proposals to each data sample, as the class describes.

        Args:
            batch_inputs: ``(N, 3, H, W)``.
            batch_data_samples: with ``text``.
            rescale: boxes in pixels of the image as it was read, not of the network's input.

        Raises:
            InputError: no ``text``, or features that are not numbers.
        """
        asked = [sentences_of(sample) for sample in batch_data_samples]
        maps, candidates = self.look(batch_inputs, batch_data_samples)
        features = [self.encode(maps, number, found.bboxes) for number, found in enumerate(candidates)]
        ranked = [self.rank(*own) for own in zip(features, candidates, asked, strict=True)]
        greedy = [self.greedy(*own) for own in zip(features, candidates, ranked, strict=True)]
        self._finish(maps, candidates, ranked, batch_data_samples, rescale)
        for sample, expressions, plain in zip(batch_data_samples, ranked, greedy, strict=True):
            if rescale:
                for boxes in plain:
                    boxes.bboxes = _in_image_pixels(boxes.bboxes, sample.metainfo)
            sample.expressions, sample.greedy = expressions, plain
            sample.pred_instances = expressions[0] if isinstance(sample.text, str) else _best(expressions, sample)
        return list(batch_data_samples)

    @torch.no_grad()
    def look(self, batch_inputs: Tensor, samples: Sequence[DetDataSample],
             at_least: int = 1) -> tuple[Sequence[Tensor], list[InstanceData]]:
        """The feature maps, and each image's candidates before NMS (``bboxes`` in network-input pixels)."""
        maps = self.extract_feat(batch_inputs)
        if not all(bool(level.isfinite().all()) for level in maps):
            bad = torch.stack([level.flatten(1).isfinite().all(1) for level in maps]).all(0).tolist().index(False)
            raise _not_numbers(samples[bad], 'features')
        found = class_boxes(self, maps, samples, rescale=False)
        return maps, [self._candidates(*own, sample, at_least) for own, sample in zip(found, samples, strict=True)]

    def _candidates(self, boxes: Tensor, scores: Tensor, sample: DetDataSample, at_least: int) -> InstanceData:
        """``(R, K, 4)`` class boxes and ``(R, K)`` confidences to one image's candidates."""
        if scores.isnan().any():
            raise _not_numbers(sample, 'confidences')
        found = find_candidates(boxes, scores, self.ref_nms.delta, self.ref_nms.delta_step, at_least)
        if len(found) <= self.max_candidates:
            return found
        return found[found.det_scores.topk(self.max_candidates).indices.sort().values]

    def rank(self, features: Tensor, candidates: InstanceData, sentences: Sequence[str]) -> list[InstanceData]:
        """The candidates of one image, ranked for each sentence, best first; ``features`` are ``(n, F)``."""
        read = [self.words(sentence) for sentence in sentences]
        most = self.test_cfg.rcnn.get('max_per_img', -1)
        ranked = self.ref_nms.predict(features, candidates, [v for v, _ in read])
        ranked = [boxes[:most] if most > 0 else boxes for boxes in ranked]
        for boxes, (_, told) in zip(ranked, read, strict=True):
            boxes.set_metainfo(told)
        return ranked

    def greedy(self, features: Tensor, candidates: InstanceData, ranked: Sequence[InstanceData]) -> list[InstanceData]:
        """The most confident candidates after NMS, for each of ``ranked`` at most as many boxes."""
        if not ranked:
            return []
        best = Confidence(nms_iou=self.ref_nms.nms_iou).suppress(candidates)[:max(map(len, ranked))]
        related = self.ref_nms.relatedness(features[best.index], [self.words(boxes.text)[0] for boxes in ranked])
        return [InstanceData(bboxes=best.bboxes, labels=best.labels, det_scores=best.det_scores, relatedness=own,
                             scores=own * best.det_scores)[:len(boxes)]
                for own, boxes in zip(related, ranked, strict=True)]

    def encode(self, maps: Sequence[Tensor], number: int, boxes: Tensor) -> Tensor:
        """``(n, 4)`` boxes of one image in network-input pixels to ``(n, F)`` features of Ref-NMS."""
        rois = F.pad(boxes, (1, 0), value=number)
        parts = rois.split(_CROPS_AT_ONCE) if len(rois) else (rois,)
        return torch.cat([self.ref_nms.encode_boxes(self._crop(maps, part)) for part in parts])

    @torch.no_grad()
    def _crop(self, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
        if len(rois) == 0:
            return rois.new_zeros(0, channels(self.roi_head, 'crops'), 1, 1)
        return self.box_features(self.roi_head, maps, rois)

    def _finish(self, maps: Sequence[Tensor], candidates: Sequence[InstanceData],
                ranked: Sequence[list[InstanceData]], samples: Sequence[DetDataSample], rescale: bool) -> None:
        """Add masks and convert to image pixels, once per box, however many sentences keep it."""
        used = [torch.cat([p.index for p in of_image] or [found.labels.new_zeros(0)]).unique()
                for of_image, found in zip(ranked, candidates, strict=True)]
        boxes = [InstanceData(bboxes=found.bboxes[kept], labels=found.labels[kept])
                 for found, kept in zip(candidates, used, strict=True)]
        metas = [sample.metainfo for sample in samples]
        if self.with_mask:
            boxes = self.roi_head.predict_mask(maps, metas, boxes, rescale=rescale)
        elif rescale:
            for own, meta in zip(boxes, metas, strict=True):
                own.bboxes = _in_image_pixels(own.bboxes, meta)
        for of_image, kept, own in zip(ranked, used, boxes, strict=True):
            for proposals in of_image:
                place = torch.searchsorted(kept, proposals.pop('index'))
                proposals.bboxes = own.bboxes[place]
                if self.with_mask:
                    proposals.masks = own.masks[place]

    # ------------------------------------------------------------------------------------------ what is learned

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample]) -> dict[str, Tensor]:
        """Binary cross-entropy of relatedness on 32 candidates a sentence (Eq. 3), positive from IoU 0.5 on.

        Only the referents are positives: mmdet's datasets do not say which other objects a sentence speaks of
        (``run_benchmark.py train`` finds them).

        Args:
            batch_inputs: ``(N, 3, H, W)``.
            batch_data_samples: with ``text`` and one row of ``gt_instances`` per sentence, ``bboxes`` or ``masks``, in
                network-input pixels.
        """
        maps, candidates = self.look(batch_inputs, batch_data_samples, REGIONS_AN_EXPRESSION)
        logits, labels = [], []
        for number, (found, sample) in enumerate(zip(candidates, batch_data_samples, strict=True)):
            sentences, targets = sentences_of(sample), _referents(sample).to(found.bboxes)
            if len(targets) != len(sentences):
                raise InputError(f'{_name(sample)}: {len(sentences)} sentences but {len(targets)} objects in '
                                 'gt_instances; give one for each sentence')
            if not len(found) or not sentences:
                continue
            positive = pairwise_iou(targets, found.bboxes) >= 0.5
            chosen = choose_regions(positive.cpu()).to(positive.device)
            used = chosen.any(dim=0)
            rows = chosen[:, used].nonzero()[:, 1].reshape(len(sentences), -1)
            features = self.encode(maps, number, found.bboxes[used])
            logits.append(self.ref_nms(features[rows], [self.words(s)[0] for s in sentences]).flatten())
            labels.append(positive[chosen].float())
        if not logits:
            return {'loss_ref_nms': sum(p.sum() for p in self.ref_nms.parameters()) * 0}
        return {'loss_ref_nms': F.binary_cross_entropy_with_logits(torch.cat(logits), torch.cat(labels))}

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others: Any) -> None:
        """Refuse tensors of other shapes, which mmengine would skip with a warning, leaving random weights."""
        own = self.state_dict()
        wrong = [name for name in own if (stored := state_dict.get(prefix + name)) is not None
                 and stored.shape != own[name].shape]
        if wrong:
            stored, here = tuple(state_dict[prefix + wrong[0]].shape), tuple(own[wrong[0]].shape)
            classes = ' (the classes and the background)' if 'fc_cls' in wrong[0] else ''
            raise InputError(f'the checkpoint is of another model: {wrong[0]} is {stored}, not {here}{classes}; set '
                             'num_classes and widths of the config to the checkpoint\'s')
        super()._load_from_state_dict(state_dict, prefix, *others)


def sentences_of(sample: DetDataSample) -> list[str]:
    """The sentences of a data sample's ``text``.

    Raises:
        InputError: there is no ``text``, or it is neither a string nor strings.
    """
    text = sample.get('text')
    if text is None:
        raise InputError(f"{_name(sample)}: has no text; add 'text' to meta_keys of PackDetInputs, and text_prompt or "
                         'text to what the pipeline reads')
    sentences = [text] if isinstance(text, str) else text
    if not isinstance(sentences, list | tuple) or not all(isinstance(sentence, str) for sentence in sentences):
        raise InputError(f'{_name(sample)}: its text is {str(text)[:40]!r}; give a string or a list of strings')
    return list(sentences)


def _in_image_pixels(boxes: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """``(n, 4)`` network-input pixels to those of the image as it was read."""
    return scale_boxes(boxes, [1 / factor for factor in meta['scale_factor']])


def _best(expressions: Sequence[InstanceData], sample: DetDataSample) -> InstanceData:
    """The best box of each sentence, one row per sentence."""
    if not expressions:
        return InstanceData()
    first = [boxes[:1] if len(boxes) else _nothing(boxes) for boxes in expressions]
    return InstanceData(**{key: torch.cat([own[key] for own in first]) for key in first[0].keys()})  # noqa: SIM118


def _nothing(empty: InstanceData) -> InstanceData:
    """A row of zeros with label -1."""
    row = InstanceData(**{key: value.new_zeros((1, *value.shape[1:])) for key, value in empty.items()})
    row.labels = row.labels - 1
    return row


def _referents(sample: DetDataSample) -> Tensor:
    """``(E, 4)`` boxes of the annotated objects; where there are only masks, their bounding boxes."""
    objects = sample.get('gt_instances')
    if objects is None or not ('bboxes' in objects or 'masks' in objects):
        raise InputError(f'{_name(sample)}: has no gt_instances to learn from; add LoadAnnotations to the pipeline')
    boxes = objects.bboxes if 'bboxes' in objects else objects.masks.get_bboxes('hbox')
    return getattr(boxes, 'tensor', boxes)


def _name(sample: DetDataSample) -> str:
    return f'image {sample.get("img_path") or sample.get("img_id", "?")}'


def _not_numbers(sample: DetDataSample, what: str) -> InputError:
    return InputError(f'{_name(sample)}: the detector gave {what} that are not numbers; check its weights (load_from) '
                      'and the image')
