"""Where boxes are, in numbers: location features and context slots of MAttNet and CM-A-E, all boxes at once.

Source: ``compute_lfeats``, ``compute_dif_lfeats``, ``fetch_neighbour_ids`` and ``fetch_cxt_feats`` of
``lib/loaders/dets_loader.py`` in ChopinSharp/CM-Erase-REG (the same in lichengunc/MAttNet). Computed in float64 and
returned as float32, as there. Leading dimensions are batches: only boxes of the same one are neighbours, for
instance the proposals of one expression.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SLOTS = 5
EMPTY = -1


class PlaceFeatures(NamedTuple):
    """Features of ``(..., n)`` boxes.

    Attributes:
        lfeats: ``(..., n, 5)``: x/W, y/H, (x+w−1)/W, (y+h−1)/H, wh/WH.
        dif_lfeats: ``(..., n, 5 · slots)``: for the nearest boxes of the same category, their corners x, y, x+w, y+h
            minus the box's centre over the box's w and h, then the ratio of areas; zeros fill the rest.
        cxt_lfeats: ``(..., n, slots, 5)``: the same five numbers of the context slots.
        cxt_index: ``(..., n, slots)``: which of the n boxes fills a context slot; -1 is an empty one.
    """

    lfeats: Tensor
    dif_lfeats: Tensor
    cxt_lfeats: Tensor
    cxt_index: Tensor


def place_features(boxes: Tensor, categories: Tensor, image_wh: Tensor | tuple[float, float], *,
                 with_same_category: bool = True, present: Tensor | None = None, slots: int = SLOTS) -> PlaceFeatures:
    """Location features and context slots.

    Args:
        boxes: ``(..., n, 4)`` xywh in image pixels. A width or height of zero, by which the original
            divides, is taken as one pixel when other boxes are put in relation to it.
        categories: ``(..., n)`` integers; boxes of equal ones are of the same category.
        image_wh: width and height in pixels, or a tensor ``(..., 2)`` of them.
        with_same_category: whether boxes of the same category, after all others, can fill context slots.
        present: ``(..., n)`` bool, which boxes exist; all by default. One that does not is no neighbour of any other,
            and its own features mean nothing.
        slots: how many neighbours a box has at most.
    """
    boxes = boxes.double()
    same, other = _candidates(categories, present)
    nearest = _by_distance(boxes)
    same_index = _first(nearest, [same], slots)
    cxt_index = _first(nearest, [other, same] if with_same_category else [other], slots)
    return PlaceFeatures(_in_image(boxes, image_wh).float(),
                       _relative(boxes, same_index).flatten(-2).float(),
                       _relative(boxes, cxt_index).float(), cxt_index)


def gather_context(fc7: Tensor, cxt_index: Tensor) -> Tensor:
    """The slots' features: ``(n, F)`` of the boxes and ``(n, slots)`` to ``(n, slots, F)``, zeros where empty."""
    return torch.cat([fc7, fc7.new_zeros(1, fc7.shape[1])])[cxt_index]


def last_pixel_corners(boxes: Tensor) -> Tensor:
    """``(n, 4)`` xyxy with x2 = x + w to the corners that the originals pool: x, y, x + w − 1, y + h − 1.

    Source: ``xywh_to_xyxy`` of ``lib/loaders/dets_loader.py``.
    """
    return boxes - boxes.new_tensor([0, 0, 1, 1])


def _candidates(categories: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Two masks ``(..., n, n)``: which boxes can be neighbours of each box, those of its category and the others."""
    equal = categories[..., :, None] == categories[..., None, :]
    itself = torch.eye(categories.shape[-1], dtype=torch.bool, device=categories.device)
    same, other = equal & ~itself, ~equal
    if present is None:
        return same, other
    return same & present[..., None, :], other & present[..., None, :]


def _by_distance(boxes: Tensor) -> Tensor:
    """``(..., n, n)`` indices of all boxes, nearest centre first; of equally near ones the later comes first.

    The originals sort with a comparison that also answers "before" for equal distances. With it, Python's merge sort
    puts the later of two equals first.
    """
    centres = boxes[..., :2] + boxes[..., 2:] / 2
    apart = centres[..., :, None, :] - centres[..., None, :, :]
    squared = apart[..., 0] ** 2 + apart[..., 1] ** 2
    return squared.shape[-1] - 1 - squared.flip(-1).argsort(dim=-1, stable=True)


def _first(nearest: Tensor, groups: list[Tensor], slots: int) -> Tensor:
    """The first ``slots`` boxes in order of (group, distance), ``(..., n, slots)``, padded with -1."""
    rank = torch.full_like(nearest, len(groups))
    for place, group in enumerate(groups):
        rank = rank.masked_fill(group.gather(-1, nearest), place)
    rank, order = rank.sort(dim=-1, stable=True)
    index = nearest.gather(-1, order).masked_fill(rank == len(groups), EMPTY)[..., :slots]
    return torch.nn.functional.pad(index, (0, slots - index.shape[-1]), value=EMPTY)


def _in_image(boxes: Tensor, image_wh: Tensor | tuple[float, float]) -> Tensor:
    x, y, w, h = boxes.unbind(-1)
    width, height = torch.as_tensor(image_wh, dtype=torch.float64, device=boxes.device)[..., None, :].unbind(-1)
    return torch.stack([x / width, y / height, (x + w - 1) / width, (y + h - 1) / height,
                        w * h / (width * height)], -1)


def _relative(boxes: Tensor, index: Tensor) -> Tensor:
    """``(..., n, slots, 5)``: the boxes at ``index`` seen from each of the n boxes, zeros where it is -1."""
    flat = index.clamp(min=0).flatten(-2)
    neighbour = boxes.gather(-2, flat[..., None].expand(*flat.shape, 4)).unflatten(-2, index.shape[-2:])
    corner, size = neighbour[..., :2], neighbour[..., 2:]
    own_size = boxes[..., None, 2:]
    centre = boxes[..., None, :2] + own_size / 2
    own_size = torch.where(own_size > 0, own_size, 1.0)
    ratio = size.prod(-1, keepdim=True) / own_size.prod(-1, keepdim=True)
    seen = torch.cat([(corner - centre) / own_size, (corner + size - centre) / own_size, ratio], -1)
    return seen.masked_fill((index == EMPTY)[..., None], 0)
