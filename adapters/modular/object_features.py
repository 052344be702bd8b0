"""The boxes of an image as the grounders see them. A box is pooled once, however many rules or grounders ask for it."""
from __future__ import annotations

import torch
from torch import Tensor

from adapters.modular.place_features import last_pixel_corners
from harness.detection.crop import CELLS, to_cells, whole_map
from harness.types import ImageFeatures


class ObjectFeatures:
    """The features of all boxes of one image that were asked for so far.

    Attributes:
        boxes: ``(m, 4)`` xyxy image pixels, each once.
        pool5: ``(m, C, 7, 7)`` crops from x, y to the last pixel x + w − 1, y + h − 1, as in the originals.
        fc7: ``(m, F, 7, 7)``.
    """

    def __init__(self, image: ImageFeatures) -> None:
        self._image = image
        self.boxes = image.feature_map.new_zeros(0, 4)
        crops = image.pool(self.boxes)
        self.pool5, self.fc7 = cells(crops), cells(image.head(crops))

    @classmethod
    def of(cls, image: ImageFeatures) -> ObjectFeatures:
        """The object features of this image, which are made once and shared."""
        return image.once(cls)

    def rows(self, boxes: Tensor) -> Tensor:
        """Rows ``(n,)`` of ``boxes`` (n, 4) xyxy, after pooling those that are new."""
        boxes = boxes.to(self.boxes)
        equal = _equal(boxes, self.boxes)
        new = boxes[~equal.any(1)].unique(dim=0)
        if len(new):
            crops = self._image.pool(last_pixel_corners(new))
            self.boxes = torch.cat([self.boxes, new])
            self.pool5 = torch.cat([self.pool5, cells(crops)])
            self.fc7 = torch.cat([self.fc7, cells(self._image.head(crops))])
            equal = _equal(boxes, self.boxes)
        return equal.int().argmax(1)


def cells(features: Tensor) -> Tensor:
    """Features as the 7 × 7 cells ``(n, C, 7, 7)`` that the grounders attend over.

    Those of more cells (mmdet's C4 networks cut 14 × 14) are averaged down. Those without space, ``(n, F, 1, 1)`` of
    a pyramid's fully connected layers, are the same in every cell: attention over the cells then chooses among
    the crop's own features alone.
    """
    if features.shape[-1] == 1:
        return features.expand(-1, -1, CELLS, CELLS)
    return to_cells(features)


def whole_image(image: ImageFeatures) -> Tensor:
    """The crop ``(1, C, 7, 7)`` of the whole image, from the centre of the map's first cell to that of its last.

    Source: ``lib/mrcn/inference_no_imdb.py: img_to_spatial_fc7`` of ChopinSharp/CM-Erase-REG, a region 0, 0, 16(w − 1),
    16(h − 1) of the network's input for a map of w × h.
    """
    return image.once(_pooled_whole)


def _pooled_whole(image: ImageFeatures) -> Tensor:
    return cells(image.pool(whole_map(image.feature_map) / image.scale))


def _equal(boxes: Tensor, others: Tensor) -> Tensor:
    return (boxes[:, None] == others[None]).all(2)
