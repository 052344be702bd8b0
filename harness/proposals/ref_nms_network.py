"""The network of Ref-NMS, which scores how related boxes are to expressions, and the suppression by its scores.

Source: Ref-NMS (AAAI 2021), Eqs. 1-3; ChopinSharp/ref-nms ``lib/predictor.py: AttVanillaPredictorV2`` is the released
network, ``tools/save_ref_nms_proposals.py`` and ``tools/save_matt_dets.py`` the released inference. Training is in
``harness/training/ref_nms/training.py``.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from harness.detection.c4_head import residual_stage
from harness.detection.crop import CELLS, to_cells
from harness.errors import InputError
from harness.files.metadata import read_metadata
from harness.files.weights import Weights, built, check_fits
from harness.options import Share, Step
from harness.proposals.nms import class_wise_nms
from harness.proposals.ranking import ordered
from harness.proposals.ref_nms_metadata import RefNMSMetadata
from harness.words.vectors import WordEmbedding


@MODELS.register_module()
class RefNMS(BaseModule):
    """Scores how related boxes are to expressions and suppresses by relatedness × confidence.

    Parameters carry the released names (``head.*``, ``vis_a_fc.*``, ``vis_r_fc.*``, ``att_fc``, ``rank_fc``, ``rnn``),
    so released weights load as they are. The defaults are the released sizes.

    The attention of Eq. 1 is linear in [box; word], so the box's part is the same for all words of an expression and
    cancels in the softmax over them: without dropout an expression's words are weighted alike for every box.
    :meth:`relatedness` therefore needs one sentence vector per expression and never runs ``vis_a_fc``; in training,
    dropout hides different parts of the box from different words, and :meth:`forward` keeps the form of the paper.

    Args:
        in_channels: channels of the pooled regions.
        planes: width of the head's bottlenecks; its output F has ``4 · planes`` channels.
        blocks: number of the head's bottlenecks.
        word_dim: D, length of a word vector.
        hidden: H, width of the GRU in each direction.
        mlp: width between the two layers of each branch.
        threshold: fused score over which a box is proposed; ``None`` proposes all that NMS keeps.
        nms_iou: IoU over which a box is suppressed by a better one of its class.
        delta: confidence over which a box is a candidate.
        delta_step: how far ``delta`` is lowered at a time where it leaves too few.
        att_dropout: dropout on [box; word] before the attention.
        rank_dropout: dropout on the fused feature before the last layer.
        relu: the released ReLU before the L2 norm of Eq. 2.
        init_cfg: mmengine's.
    """

    def __init__(self, in_channels: int = 1024, planes: int = 512, blocks: int = 3, word_dim: int = 300,
                 hidden: int = 256, mlp: int = 1024, threshold: float | None = None, nms_iou: float = 0.3,
                 delta: Share = 0.05, delta_step: Step = 0.005, att_dropout: float = 0.5, rank_dropout: float = 0.5,
                 relu: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.threshold, self.nms_iou = threshold, nms_iou
        self.delta, self.delta_step = delta, delta_step
        self.relu = relu
        self.in_channels, self.features = in_channels, 4 * planes
        self.head = residual_stage(in_channels, planes, blocks)
        self.rnn = nn.GRU(word_dim, hidden, bidirectional=True, batch_first=True)
        self.vis_a_fc = _two_layers(4 * planes, mlp, 2 * hidden)
        self.vis_r_fc = _two_layers(4 * planes, mlp, 2 * hidden)
        self.att_fc = nn.Linear(4 * hidden, 1)
        self.rank_fc = nn.Linear(2 * hidden, 1)
        self.att_dropout = nn.Dropout(att_dropout)
        self.rank_dropout = nn.Dropout(rank_dropout)

    def init_weights(self) -> None:
        """Xavier-uniform weights and zero biases outside the head, then what ``init_cfg`` says.

        The head's weights come from the detector. Source: ref-nms ``tools/train_att_vanilla.py:
        init_att_vanilla_predictor``.
        """
        for name, parameter in self.named_parameters():
            if name.startswith('head.'):
                continue
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
        if self.init_cfg:
            super().init_weights()

    def encode_boxes(self, pooled: Tensor) -> Tensor:
        """``(n, C, 7, 7)`` pooled regions to ``(n, F)``: the head, averaged over cells."""
        if len(pooled) == 0:
            return pooled.new_zeros(0, self.features)
        if max(pooled.shape[-2:]) > CELLS:
            pooled = to_cells(pooled)
        # Channels last in memory is nearly half as fast again on CPUs.
        return self.head(pooled.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))

    def encode_words(self, sentences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """All sentences at once through the GRU.

        Args:
            sentences: E tensors ``(length, D)``; one of no words counts as one unknown word.

        Returns:
            ``(E, S, 2H)`` outputs, zeros after a sentence's end, and ``(E, S)`` bool, true up to its end.
        """
        sentences = [words if len(words) else words.new_zeros(1, self.rnn.input_size) for words in sentences]
        lengths = torch.tensor([len(words) for words in sentences])
        packed = pack_padded_sequence(pad_sequence(list(sentences), batch_first=True), lengths, batch_first=True,
                                      enforce_sorted=False)
        words, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        real = torch.arange(words.shape[1]) < lengths[:, None]
        return words, real.to(words.device)

    def forward(self, boxes: Tensor, sentences: Sequence[Tensor]) -> Tensor:
        """Relatedness before the sigmoid, for boxes given per expression, with dropout in training mode.

        Args:
            boxes: ``(E, R, F)`` from :meth:`encode_boxes`.
            sentences: as in :meth:`encode_words`.

        Returns:
            ``(E, R)`` logits.
        """
        words, real = self.encode_words(sentences)
        pairs = (-1, boxes.shape[1], words.shape[1], -1)
        keys = self.vis_a_fc(boxes)[:, :, None].expand(pairs)
        values = words[:, None].expand(pairs)
        logits = self.att_fc(self.att_dropout(torch.cat((keys, values), dim=3)))[..., 0]
        attention = logits.masked_fill(~real[:, None], float('-inf')).softmax(dim=2)
        return self.match(self.vis_r_fc(boxes), attention @ words)

    def word_attention(self, words: Tensor, real: Tensor) -> Tensor:
        """``(E, S)``: what :meth:`forward`'s attention is for every box when nothing is dropped."""
        logits = words @ self.att_fc.weight[0, words.shape[2]:]
        return logits.masked_fill(~real, float('-inf')).softmax(dim=1)

    def relatedness(self, pooled: Tensor, sentences: Sequence[Tensor]) -> Tensor:
        """Every pair of the same n boxes and E expressions, without dropout.

        Args:
            pooled: ``(n, C, 7, 7)`` pooled regions, or ``(n, F)`` from :meth:`encode_boxes`.
            sentences: as in :meth:`encode_words`.

        Returns:
            ``(E, n)`` in [0, 1].
        """
        return self._relatedness(pooled, sentences)[0]

    def _relatedness(self, pooled: Tensor, sentences: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """:meth:`relatedness`, and the ``(length,)`` attention over each sentence's words."""
        boxes = self.encode_boxes(pooled) if pooled.dim() == 4 else pooled
        words, real = self.encode_words(sentences)
        attention = self.word_attention(words, real)
        phrases = attention[:, None] @ words
        logits = self.match(self.vis_r_fc(boxes)[None], phrases)
        return logits.sigmoid(), [row[mask] for row, mask in zip(attention, real, strict=True)]

    def match(self, boxes: Tensor, phrases: Tensor) -> Tensor:
        """Eq. 2: ``(E or 1, R, 2H)`` and ``(E, R or 1, 2H)`` to ``(E, R)``."""
        return self.rank_fc(self.rank_dropout(self.fuse(boxes, phrases)))[..., 0]

    def fuse(self, boxes: Tensor, phrases: Tensor) -> Tensor:
        """Eq. 2 up to its linear layer, with or without the released ReLU before the norm."""
        product = boxes * phrases
        return F.normalize(F.relu(product) if self.relu else product, dim=-1)

    @torch.no_grad()
    def rank(self, pooled: Tensor, candidates: InstanceData, sentences: Sequence[Tensor]) -> list[InstanceData]:
        """The boxes that class-wise NMS on relatedness × confidence keeps per expression, without a threshold.

        Args:
            pooled: ``(n, C, 7, 7)`` regions pooled at the candidates, or their ``(n, F)`` features.
            candidates: n boxes as from :func:`find_candidates` (``bboxes``, ``labels``, ``det_scores``).
            sentences: E tensors ``(length, D)`` of word vectors.

        Returns:
            E ``InstanceData``, best first, equal scores in the order of the candidates: ``bboxes``, ``labels``,
            ``scores`` (fused), ``det_scores``, ``relatedness``, ``index`` into the candidates; metainfo
            ``word_attention``, one number per word.

        Raises:
            InputError: some features are not numbers.
        """
        if not sentences:
            return []
        related = self.relate(pooled, candidates, sentences)
        return rank_by(related.relatedness * candidates.det_scores, related, self.nms_iou)

    def relate(self, pooled: Tensor, candidates: InstanceData, sentences: Sequence[Tensor]) -> Related:
        """The relatedness of the candidates; arguments as in :meth:`rank`, at least one sentence."""
        if self.training:
            raise RuntimeError('RefNMS ranks in evaluation mode: call .eval() first')
        return Related(candidates, *self._relatedness(pooled, sentences))

    def predict(self, pooled: Tensor, candidates: InstanceData, sentences: Sequence[Tensor]) -> list[InstanceData]:
        """:meth:`rank`, then only the best one and those whose fused score is over ``self.threshold``."""
        ranked = self.rank(pooled, candidates, sentences)
        return ranked if self.threshold is None else [over_threshold(boxes, self.threshold) for boxes in ranked]


@dataclass(frozen=True, eq=False)
class Related:
    """An image's n candidates with their relatedness to E expressions ``(E, n)``, and the attention over each
    expression's words ``(length,)``."""

    candidates: InstanceData
    relatedness: Tensor
    attention: Sequence[Tensor]


def rank_by(scores: Tensor, related: Related, nms_iou: float) -> list[InstanceData]:
    """The boxes that class-wise NMS on these scores keeps per expression, as :meth:`RefNMS.rank` describes.

    Args:
        scores: ``(E, n)`` of the n candidates.
        related: the candidates.
        nms_iou: IoU over which a box is suppressed by a better one of its class.

    Raises:
        InputError: some scores are not numbers.
    """
    if scores.isnan().any():
        raise InputError('Ref-NMS: features or confidences are not numbers; check the weights of the detector and '
                         'of Ref-NMS (--weights)')
    candidates = related.candidates
    kept = class_wise_nms(candidates.bboxes, candidates.labels, scores, nms_iou)
    ranked = [ordered(candidates, *own) for own in zip(scores, kept, strict=True)]
    for boxes, relatedness, attention in zip(ranked, related.relatedness, related.attention, strict=True):
        boxes.relatedness = relatedness[boxes.index]
        boxes.set_metainfo(dict(word_attention=attention.tolist()))
    return ranked


def over_threshold(ranked: InstanceData, threshold: float) -> InstanceData:
    """The best box, and those others whose score exceeds the threshold (ref-nms ``tools/save_matt_dets.py``)."""
    return ranked[:max(1, int((ranked.scores > threshold).sum()))]


def _two_layers(inputs: int, between: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, between), nn.ReLU(inplace=True), nn.Linear(between, outputs))


def load_ref_nms(weights: Weights) -> tuple[RefNMS, WordEmbedding]:
    """The trained network, in evaluation mode, with its words.

    Args:
        weights: ``meta['model']`` (arguments of :class:`RefNMS`), ``meta['vocabulary']`` (words, ``<unk>`` first) and
            the tensors ``words`` (V, D) and ``model.*``.

    Raises:
        InputError: something is missing, or of another shape or vocabulary.
    """
    meta = read_metadata(weights, RefNMSMetadata)
    network = built(lambda: RefNMS(**meta.model), weights.under('model'), weights.path)
    beside = {name: tensor for name, tensor in weights.tensors.items() if not name.startswith('model.')}
    words, vectors = meta.vocabulary, beside.get('words', torch.empty(0)).float()
    if vectors.shape != (len(words), network.rnn.input_size):
        raise InputError(f'{weights.path}: {len(words)} words but vectors of shape {tuple(vectors.shape)} for a '
                         f'network that takes {network.rnn.input_size} numbers a word; give the file that belongs here')
    check_fits(beside, {'words': vectors}, weights.path)
    return network, WordEmbedding(words, vectors)
