"""What MAttNet and CM-A-E take as input: the expressions of an image with their proposals, nothing held twice."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from adapters.modular.metadata import ModularMetadata
from adapters.modular.object_features import ObjectFeatures
from adapters.modular.place_features import SLOTS, place_features
from grounders.modular import Grounding, ModularNetwork, Rows
from grounders.visual import Places
from harness.boxes import xyxy_to_xywh
from harness.errors import InputError
from harness.files.metadata import read_metadata
from harness.files.weights import Weights, built, moved_to, shared
from harness.plugins import Grounder
from harness.types import Expression, ImageFeatures


class Seen(NamedTuple):
    """Inputs of the networks' ``ground``: b boxes' ``pool5`` (b, C, 7, 7) and ``fc7`` (b, F, 7, 7), their ``places``,
    the ``labels`` (s, L) of the sentences, and a row for each proposal of each expression, in order."""

    pool5: Tensor
    fc7: Tensor
    places: Places
    labels: Tensor
    rows: Rows


class ModularGrounder(Grounder):
    """A trained network of modules as a grounder.

    Args:
        weights: with the metadata that :mod:`adapters.modular.metadata` describes.
        with_st: whether boxes of the same category can be context; by default as in training.

    Raises:
        InputError: the weights are of another network.
    """

    title: str
    metadata: type[ModularMetadata]
    network: ModularNetwork

    def __init__(self, weights: Weights, with_st: bool | None = None) -> None:
        meta, self.network = shared(weights, self.load)
        self.path = weights.path
        self.options = meta.opt.options
        self.vocabulary = meta.read_vocabulary()
        self.longest = self.vocabulary.max_length
        self.slots = meta.opt.context_slots
        self.with_st = meta.opt.with_same_category if with_st is None else with_st

    @classmethod
    def load(cls, weights: Weights) -> tuple[ModularMetadata, ModularNetwork]:
        """The metadata and the network, which all grounders with the same weights share."""
        meta = read_metadata(weights, cls.metadata)
        return meta, built(meta.opt.network, weights.tensors, weights.path)

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> list[Tensor]:
        """Scores ``(n_i,)`` of the proposals of each expression; empty for an expression without proposals.

        The neighbours and the context of a box are proposals of the same expression.
        """
        grounding = self.ground(image, expressions, proposals)
        scores = image.feature_map.new_zeros(0) if grounding is None else grounding.scores
        return list(scores.split([len(p) for p in proposals]))

    @torch.inference_mode()
    def ground(self, image: ImageFeatures, expressions: Sequence[Expression],
               proposals: Sequence[InstanceData]) -> Grounding | None:
        """The results of the network, one row per proposal, expression by expression; ``None`` without any proposal.

        NMTree asks for what MAttNet has just said: it is computed once for all that share the network.
        """
        some = [(e, p) for e, p in zip(expressions, proposals, strict=True) if len(p)]
        return image.once(_Grounded(self.network, self.with_st, self), tuple(some)) if some else None

    @abstractmethod
    def match(self, image: ImageFeatures, seen: Seen) -> Grounding:
        """Call the network once."""

    def see(self, image: ImageFeatures, expressions: Sequence[Expression], proposals: Sequence[InstanceData]) -> Seen:
        """Pool the boxes that are new and lay out the rows. There must be at least one proposal."""
        laid = image.once(_laid_out, tuple(proposals), self.with_st, self.slots)
        self._check_widths(laid.pool5.shape[1], laid.fc7.shape[1])
        read = {tokens: i for i, tokens in enumerate(dict.fromkeys(e.tokens for e in expressions))}
        words = self.vocabulary.encode(list(read)).to(laid.box.device)
        heard = torch.tensor([read[e.tokens] for e in expressions], device=laid.box.device)
        return Seen(laid.pool5, laid.fc7, laid.places, words, Rows(heard[laid.sentence], laid.box, laid.place))

    def _check_widths(self, pool5: int, fc7: int) -> None:
        wanted = self.options.pool5_dim, self.options.fc7_dim
        if (pool5, fc7) != wanted:
            raise InputError(f'{self.path}: {self.title} takes features of {wanted[0]} and {wanted[1]} channels, the '
                             f'detector gives {pool5} and {fc7}; name the one that it was trained with by --weights '
                             'detector=FILE')


@dataclass(frozen=True)
class _Grounded:
    """What a network says of pairs of an expression and its proposals, the same for all grounders that share it."""

    network: ModularNetwork
    with_st: bool
    grounder: ModularGrounder = field(compare=False)

    def __call__(self, image: ImageFeatures, pairs: Sequence[tuple[Expression, InstanceData]]) -> Grounding:
        moved_to(self.network, image.feature_map.device)
        expressions, proposals = zip(*pairs, strict=True)
        return self.grounder.match(image, self.grounder.see(image, expressions, proposals))


class _Layout(NamedTuple):
    """The proposals of an image's sentences, whatever the sentences say: b distinct boxes' ``pool5``, ``fc7`` and
    ``places``, and for each of n rows its ``sentence``, ``box`` and ``place`` ``(n,)``."""

    pool5: Tensor
    fc7: Tensor
    places: Places
    sentence: Tensor
    box: Tensor
    place: Tensor


def _laid_out(image: ImageFeatures, proposals: Sequence[InstanceData], with_st: bool, slots: int) -> _Layout:
    """The layout of the proposals of each sentence; grounders with the same options share it."""
    device = image.feature_map.device
    boxes = torch.cat([p.bboxes for p in proposals]).to(device)
    labels = torch.cat([p.labels for p in proposals]).to(device)
    sentence, position = _rows_of(torch.tensor([len(p) for p in proposals], device=device))
    objects = ObjectFeatures.of(image)
    used, box = objects.rows(boxes).unique(return_inverse=True)
    pool5, fc7 = objects.pool5[used], objects.fc7[used]
    sets, chosen = _padded_sets(box, labels, sentence, position)
    distinct = boxes.new_zeros(len(used), 4)
    distinct[box] = boxes
    places = _places(image, distinct, fc7.mean((2, 3)), sets, with_st, slots)
    return _Layout(pool5, fc7, places, sentence, box, chosen[sentence] * sets.shape[1] + position)


def _places(image: ImageFeatures, boxes: Tensor, neighbours: Tensor, sets: Tensor, with_st: bool,
            slots: int) -> Places:
    """Location features and context slots in each distinct set of proposals.

    ``boxes`` (b, 4) xyxy, ``neighbours`` (b, F) their mean fc7, ``sets`` (u, P, 2) box and label, -1 where a set is
    shorter.
    """
    member, label = sets.unbind(2)
    features = place_features(xyxy_to_xywh(boxes)[member], label, (image.info.width, image.info.height),
                              with_same_category=with_st, present=member >= 0, slots=max(SLOTS, slots))
    slot = features.cxt_index[..., :slots]
    context = member.gather(1, slot.clamp(min=0).flatten(1)).view_as(slot).masked_fill(slot < 0, -1)
    # ``num_cxt`` is of the context alone: the originals always have 5 neighbours of the same category.
    return Places(features.lfeats.flatten(0, 1), features.dif_lfeats[..., :5 * SLOTS].flatten(0, 1),
                  context.flatten(0, 1), features.cxt_lfeats[..., :slots, :].flatten(0, 1), neighbours)


def _rows_of(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The owner of each row and its position there: for counts 2, 0, 1 they are 0, 0, 2 and 0, 1, 0."""
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    first = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - first[owner]


def _padded_sets(box: Tensor, labels: Tensor, sentence: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct sets of proposals ``(u, P, 2)``, -1 after their ends, and which one each sentence has ``(s,)``."""
    members = box.new_full((int(sentence.max()) + 1, int(position.max()) + 1, 2), -1)
    members[sentence, position] = torch.stack([box, labels], 1)
    return members.unique(dim=0, return_inverse=True)
