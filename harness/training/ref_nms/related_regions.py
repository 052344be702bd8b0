"""The data set of Ref-NMS's training: images, or single expressions, with the regions that they sample."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from harness.boxes import pairwise_iou
from harness.training.ref_nms.binary_loss import BinarySampler
from harness.training.ref_nms.image_regions import Regions
from harness.training.ref_nms.jitter import jittered
from harness.training.ref_nms.jitter_pool import KEPT_POOL, JitterPool
from harness.training.ref_nms.levels import bounds
from harness.training.ref_nms.pooled_regions import KEPT
from harness.training.ref_nms.sampler import Sampler
from harness.types import Expression
from harness.words.vectors import WordEmbedding

#: Distance between the seeds of two epochs: more than an epoch has items.
_AN_EPOCH = 10 ** 7


class _Item(NamedTuple):
    """One image's expressions: which of its regions they may use (``None``: all), labels, word ids, and targets, those
    of all expressions one after the other."""

    image_id: int
    usable: Tensor | None
    labels: Tensor
    words: list[Tensor]
    targets: Tensor
    n_targets: Tensor


class RelatedRegions(TorchDataset):
    """One item per group of expressions of an image: the regions that they sample, with labels.

    Args:
        groups: the expressions, grouped; each group is an item.
        targets: boxes of each expression's critical objects, ``(t, 4)`` xyxy image pixels, by ``sent_id``.
        regions: of every image, from :class:`~harness.training.ref_nms.image_regions.ImageRegions` or
            :class:`~harness.training.ref_nms.pooled_regions.PooledRegions`.
        vocabulary: of the words.
        longest: words of a sentence that are read.
        seed: fixes what an item samples in each epoch; ``None`` draws from torch's global randomness.
        sampler: of regions.
        over: confidence that a region must exceed; ``None`` takes all collected regions.
        pool: of jittered boxes that an item's expressions share; ``None``: each place has a box of its own. Regions
            that are kept have their own pool.
    """

    def __init__(self, groups: Iterable[Sequence[Expression]], targets: Mapping[int, Tensor], regions: Regions,
                 vocabulary: WordEmbedding, longest: int, seed: int | None = None, sampler: Sampler | None = None,
                 over: float | None = None, pool: JitterPool | None = None) -> None:
        self.regions, self.seed, self.epoch, self.pool = regions, seed, 0, pool
        self.sampler: Sampler = sampler or BinarySampler()
        self._items: list[_Item] = []
        for group in groups:
            image = regions[group[0].image_id]
            usable = None if over is None else (image['det_scores'] > over).nonzero()[:, 0]
            boxes = image['boxes'] if usable is None else image['boxes'][usable]
            if len(boxes) == 0 and not self.sampler.fills:
                continue
            mine = [targets[e.sent_id] for e in group]
            overlap = torch.stack([pairwise_iou(boxes, own).amax(dim=1) for own in mine]).nan_to_num()
            words = [vocabulary.ids(e.tokens, longest) for e in group]
            if self.sampler.fills:
                mine = [_inside(own, image['size']) for own in mine]
            self._items.append(_Item(group[0].image_id, usable, self.sampler.labels(overlap), words, torch.cat(mine),
                                     torch.tensor([len(own) for own in mine])))

    def __len__(self) -> int:
        return len(self._items)

    def set_epoch(self, epoch: int) -> None:
        """Draw new samples for an epoch."""
        self.epoch = epoch

    def __getitem__(self, number: int) -> dict[str, Any]:
        """One item with E expressions that sample R regions each, U different ones together.

        ``index`` (E, R) into the U regions, ``labels`` (E, R) as the sampler gives them, ``words`` E tensors of word
        ids, and the regions: ``features`` (U, F), ``crops`` (U, C, 7, 7), or ``feature_map`` (C, h, w) and ``boxes``
        (U, 4) network-input pixels.
        """
        item = self._items[number]
        image = self.regions[item.image_id]
        generator = None if self.seed is None else torch.Generator().manual_seed(
            self.seed + self.epoch * _AN_EPOCH + number)
        draw = self.sampler.draw(item.labels, generator)
        used, index = draw.region.unique(return_inverse=True)
        missing = draw.region < 0
        rows, levels = missing.nonzero()[:, 0], draw.labels[missing].long()
        if len(rows):
            used, index = used[1:], index - 1
        if item.usable is not None:
            used = item.usable[used]
        added = torch.arange(len(rows))  # of what is made, which one is in each missing place
        kept = next((kind for kind in KEPT if kind in image), None)
        seen: dict[str, Tensor]
        if kept is not None:
            seen = {kept: image[kept][used]}
            if len(rows):
                drawn = KEPT_POOL.drawn(image['pool_targets'], self._targets(item, rows, generator).double(), levels,
                                        generator)
                places, added = drawn.unique(return_inverse=True)
                seen = {kept: torch.cat((seen[kept], image['pool'].flatten(0, 1)[places]))}
        else:
            boxes = image['boxes'][used]
            if len(rows):
                made, added = self._jittered(item, self._targets(item, rows, generator), levels, generator)
                boxes = torch.cat((boxes, made.to(boxes.dtype)))
            seen = ({'crops': image['cut'](boxes)} if 'cut' in image else
                    {'feature_map': image['feature_map'], 'boxes': boxes * image['scale']})
        return {'index': index.masked_scatter(missing, len(used) + added), 'labels': draw.labels, 'words': item.words,
                **seen}

    def _jittered(self, item: _Item, targets: Tensor, levels: Tensor,
                  generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Jittered boxes for k targets ``(k, 4)`` and levels ``(k,)``, and which of them each gets ``(k,)``."""
        width, height = self.regions[item.image_id]['size']
        if self.pool is None:
            return jittered(targets, *bounds(levels), width, height, generator), torch.arange(len(targets))
        among = item.targets.unique(dim=0)
        places, added = self.pool.drawn(among, targets, levels, generator).unique(return_inverse=True)
        return self.pool.boxes(among, width, height, generator)[places], added

    @staticmethod
    def _targets(item: _Item, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        """``(k, 4)``: for each row, a random target of its expression."""
        counts = item.n_targets[rows]
        within = (torch.rand(len(rows), generator=generator) * counts).long().clamp(max=counts - 1)
        return item.targets[(item.n_targets.cumsum(0) - item.n_targets)[rows] + within]


def _inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes that have an area inside the image, or the first box if none has."""
    width, height = size
    limit = boxes.new_tensor([width, height, width, height])
    cut = torch.minimum(boxes.clamp(min=0), limit)
    good = (cut[:, 2:] > cut[:, :2]).all(dim=1)
    return boxes[good] if bool(good.any()) else boxes[:1]


def collate(items: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """A batch is a list of items, since their maps differ in size."""
    return {'images': items}
