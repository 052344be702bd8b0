"""The threshold of Ref-NMS, chosen on val so that it proposes no more than greedy does."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from harness.boxes import corners, pairwise_iou
from harness.detection.crop import crop_and_resize
from harness.proposals.ref_nms_network import RefNMS, over_threshold
from harness.training.ref_nms.image_regions import Regions
from harness.training.ref_nms.pooled_regions import KEPT
from harness.types import Expression
from harness.words.vectors import WordEmbedding


@torch.no_grad()
def rank_expressions(network: RefNMS, vocabulary: WordEmbedding, groups: Iterable[Sequence[Expression]],
                     regions: Regions) -> list[tuple[Expression, InstanceData]]:
    """What the rules would rank: each expression with its boxes after NMS, best first."""
    was_training = network.training
    network.eval()
    device = network.rank_fc.weight.device
    ranked: list[tuple[Expression, InstanceData]] = []
    for group in groups:
        image = regions[group[0].image_id]
        seen = image['evaluated']
        candidates = InstanceData(bboxes=image['boxes'][seen], labels=image['labels'][seen],
                                  det_scores=image['det_scores'][seen]).to(device)
        kept = next((kind for kind in KEPT if kind in image), None)
        if kept is not None:
            pooled = image[kept][seen].float().to(device)
        elif 'cut' in image:
            pooled = image['cut'](candidates.bboxes).to(device)
        else:
            pooled = crop_and_resize(image['feature_map'][None].float().to(device),
                                     candidates.bboxes * image['scale'])
        sentences = [vocabulary(e.tokens).to(device) for e in group]
        ranked += zip(group, (boxes.cpu() for boxes in network.rank(pooled, candidates, sentences)), strict=True)
    network.train(was_training)
    return ranked


def calibrate(scores: Sequence[Tensor], most: float) -> float:
    """The smallest threshold at which the mean number of proposals is at most ``most``.

    Every expression keeps its best box, so the number cannot fall below one.

    Args:
        scores: of each expression's boxes after NMS, best first; fused scores, never negative.
        most: highest mean number of proposals allowed.
    """
    others = torch.cat([s[1:] for s in scores]).sort(descending=True).values
    allowed = int(most * len(scores) + 1e-9) - sum(len(s) > 0 for s in scores)
    if allowed >= len(others) or not len(others):
        return 0.
    return float(others[max(allowed, 0)])


@dataclass(frozen=True)
class Calibration:
    """A threshold and its figures on the split that it was chosen on; recall is that of referents at IoU > 0.5."""

    threshold: float
    mean_proposals: float
    mean_greedy: float
    referent_recall: float


def calibrated(ranked: Sequence[tuple[Expression, InstanceData]], regions: Regions) -> Calibration:
    """:func:`calibrate` to greedy's mean number of proposals for the same expressions."""
    greedy = sum(regions[e.image_id]['n_greedy'] for e, _ in ranked) / max(len(ranked), 1)
    threshold = calibrate([boxes.scores for _, boxes in ranked], greedy) if ranked else 0.
    kept = [(e, over_threshold(boxes, threshold)) for e, boxes in ranked]
    hits = sum(bool((pairwise_iou(boxes.bboxes, _referent(e)) > 0.5).any()) for e, boxes in kept)
    number = sum(len(boxes) for _, boxes in kept)
    return Calibration(threshold, number / max(len(kept), 1), greedy, hits / max(len(kept), 1))


def _referent(expression: Expression) -> Tensor:
    return torch.tensor([corners(expression.gt_xywh)], dtype=torch.float64)
