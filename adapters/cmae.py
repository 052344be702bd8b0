"""CM-A-E as a grounder: an image's proposals and expressions to scores, all of them in one call of the network."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from adapters.box_features import box_features, xyxy_to_xywh
from adapters.object_features import ObjectFeatures, whole_image
from adapters.vocabulary import Vocabulary
from grounders.cmae import CMAE
from grounders.modular import Rows
from grounders.visual import Places
from harness.errors import InputError
from harness.registry import GROUNDERS
from harness.types import Expression, ImageFeatures
from harness.weights import Weights, fill

if TYPE_CHECKING:
    from harness.training.grounder import Material, Recipe


@GROUNDERS.register_module(name='cmae')
class CMAEGrounder:
    """CM-A-E: modular attention trained with erasing (CVPR 2019).

    Args:
        weights: ``meta['opt']`` are the network's options, ``meta['vocabulary']`` its words.
        with_st: whether boxes of the same category can be context; ``None`` as trained.

    Raises:
        InputError: the weights are of another network.
    """

    weights = 'cmae'

    def __init__(self, weights: Weights, with_st: bool | None = None) -> None:
        try:
            self.opt = dict(weights.meta['opt'])
            self.vocabulary = Vocabulary.from_json(weights.meta['vocabulary'])
            self.longest = self.vocabulary.max_length
            self.network = CMAE(self.opt).eval()
            self.slots = int(self.opt.get('num_cxt', 5))
            self.with_st = bool(self.opt.get('with_st', 1)) if with_st is None else bool(with_st)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f'{weights.path}: no weights of CM-A-E ({type(error).__name__}: {error}); train them with '
                             '"make weights" or name others with --weights cmae=FILE') from error
        if len(self.vocabulary) != self.opt['vocab_size']:
            raise InputError(f'{weights.path}: {len(self.vocabulary)} words in the vocabulary but '
                             f'{self.opt["vocab_size"]} in the network; give the file that belongs here')
        fill(self.network, weights.tensors, weights.path)

    @classmethod
    def recipe(cls, material: Material, seed: int) -> Recipe:
        """How ``train cmae`` trains it: attention first, then erasing from it."""
        from adapters.cmae_training import cmae_recipe
        return cmae_recipe(material, seed)

    @torch.inference_mode()
    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> list[Tensor]:
        """Scores ``(n_i,)`` of each expression's proposals, none for an expression without any.

        Neighbours and context come from an expression's own proposals, which Ref-NMS chooses for it.
        """
        counts = [len(p) for p in proposals]
        if sum(counts) == 0:
            return [image.feature_map.new_zeros(0) for _ in counts]
        device = image.feature_map.device
        network = self.network.to(device)

        boxes = torch.cat([p.bboxes for p in proposals]).to(device)
        labels = torch.cat([p.labels for p in proposals]).to(device)
        sentence, position = _rows_of(torch.tensor(counts, device=device))
        objects = ObjectFeatures.of(image)
        known = objects.rows(boxes)
        used, box = known.unique(return_inverse=True)
        pool5, fc7 = objects.pool5[used], objects.fc7[used]

        sets, chosen = _padded_sets(box, labels, sentence, position)
        places = self._places(image, boxes, box, fc7.mean((2, 3)), sets)
        rows = Rows(sentence, box, chosen[sentence] * sets.shape[1] + position)
        words = self.vocabulary.encode([e.tokens for e in expressions]).to(device)
        read_with = torch.zeros(len(words), dtype=torch.int64, device=device)
        grounding = network.ground(pool5, fc7, places, words, whole_image(image), read_with, rows)
        return list(grounding.scores.split(counts))

    def _places(self, image: ImageFeatures, boxes: Tensor, box: Tensor, neighbours: Tensor, sets: Tensor) -> Places:
        """Location features and context slots in each distinct set of proposals.

        ``boxes`` (n, 4) xyxy of all rows, ``box`` (n,) which distinct box each is, ``neighbours`` (b, F) the distinct
        boxes' mean fc7, ``sets`` (u, P, 2) distinct box and label, -1 where a set is shorter.
        """
        distinct = boxes.new_zeros(len(neighbours), 4)
        distinct[box] = boxes
        member, label = sets.unbind(2)
        features = box_features(xyxy_to_xywh(distinct)[member], label, (image.info.width, image.info.height),
                                with_same_category=self.with_st, present=member >= 0, slots=self.slots)
        slot = features.cxt_index
        context = member.gather(1, slot.clamp(min=0).flatten(1)).view_as(slot).masked_fill(slot < 0, -1)
        return Places(features.lfeats.flatten(0, 1), features.dif_lfeats.flatten(0, 1), context.flatten(0, 1),
                      features.cxt_lfeats.flatten(0, 1), neighbours)


def _rows_of(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For counts 2, 0, 1: whose each row is, 0, 0, 2, and which of them, 0, 1, 0."""
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    first = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - first[owner]


def _padded_sets(box: Tensor, labels: Tensor, sentence: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct sets of proposals ``(u, P, 2)``, -1 after the end, and which one each sentence has ``(s,)``."""
    members = box.new_full((int(sentence.max()) + 1, int(position.max()) + 1, 2), -1)
    members[sentence, position] = torch.stack([box, labels], 1)
    return members.unique(dim=0, return_inverse=True)
