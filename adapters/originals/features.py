"""Features that the originals extracted from their detector, per image or per box.

Sources, all of lichengunc/MAttNet: ``tools/extract_mrcn_det_feats.py`` and ``extract_mrcn_ann_feats.py`` (``main``)
write ``fc7`` (boxes, 2048) and ``pool5`` (boxes, 1024) float32, averaged over the crop's cells, row ``h5_id``;
``tools/extract_mrcn_head_feats.py`` (``main``) writes one ``<image_id>.h5`` per image with ``head`` (1, 1024, h, w) and
``im_info`` (1, 3), the network input's height and width and its scale, float32. ``matt_feats_*.h5``, which
``tools/eval_ref.py`` of ChopinSharp/CM-Erase-REG opens, needs ``fc7`` alone.
"""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.originals.hdf5 import has, numbers
from harness.detection.source import StoredMap
from harness.errors import InputError
from harness.files.fields import MAX_PIXELS

#: Network-input pixels per cell of the C4 map.
STRIDE = 16
_MAX_CHANNELS = 4096


class StoredBoxFeatures:
    """Features of boxes by ``h5_id``; the file is mapped, and only the rows asked for are read.

    Args:
        path: ``*_det_feats.h5``, ``*_ann_feats.h5`` or ``matt_feats_*.h5``.

    Raises:
        InputError: the file is not as described.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._fc7 = numbers(path, 'fc7', (None, None))
        self._pool5 = numbers(path, 'pool5', (len(self._fc7), None)) if has(path, 'pool5') else None

    def __len__(self) -> int:
        return len(self._fc7)

    def fc7(self, h5_ids: Sequence[int] | NDArray | Tensor) -> Tensor:
        """``(n, F)`` float32 rows.

        Raises:
            InputError: a row is not there or holds a number that is not finite.
        """
        return self._rows(self._fc7, h5_ids)

    def pool5(self, h5_ids: Sequence[int] | NDArray | Tensor) -> Tensor:
        """``(n, C)`` float32 rows; ``InputError`` also where the file has none."""
        if self._pool5 is None:
            raise InputError(f"{self.path}: has no 'pool5'; extract it with tools/extract_mrcn_det_feats.py")
        return self._rows(self._pool5, h5_ids)

    def _rows(self, table: NDArray, h5_ids: Sequence[int] | NDArray | Tensor) -> Tensor:
        wanted = np.asarray(h5_ids, np.int64).reshape(-1)
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < len(table)):
            raise InputError(f'{self.path}: has {len(table)} rows, but row {wanted.max()} is asked for; '
                             'give features and boxes of the same run of the original')
        return _finite(table[wanted], str(self.path))


class HeadFeatures:
    """A folder of head features; calling it with an ``image_id`` returns the map of that image and its scale.

    Raises:
        InputError: there is no such folder, or it holds no ``<image_id>.h5``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not any(self.folder.glob('*.h5')):
            raise InputError(f'{folder}: is not a folder with <image_id>.h5 files; give the one that '
                             'tools/extract_mrcn_head_feats.py filled')

    def __call__(self, image_id: int) -> StoredMap:
        """The map, its scale, its input's size and its file; ``InputError`` as :func:`read_head`."""
        head = read_head(self.folder, image_id)
        where = str(_path(self.folder, image_id))
        return StoredMap(head.feature_map, head.scale, (round(head.height), round(head.width)), where)


def read_head_features(folder: str | Path) -> HeadFeatures:
    """:class:`HeadFeatures` of a folder."""
    return HeadFeatures(folder)


class HeadMap(NamedTuple):
    """The C4 map ``(1, C, h, w)`` float32 of an image, the input size, and the scale: input pixels per image pixel."""

    feature_map: Tensor
    height: float
    width: float
    scale: float


def read_head(folder: str | Path, image_id: int) -> HeadMap:
    """One image's head features, ``folder/<image_id>.h5``.

    Raises:
        InputError: the file is missing or not as described, or the map does not fit its image.
    """
    path = _path(folder, image_id)
    feature_map = numbers(path, 'head', (1, None, None, None))
    height, width, scale = _finite(numbers(path, 'im_info', (1, 3))[0], str(path)).tolist()
    _, channels, rows, columns = feature_map.shape
    if not (0 < height * width <= MAX_PIXELS and 0 < scale < 1e3 and min(height, width) > 0):
        raise InputError(f"{path}: 'im_info' is not the height, width and scale of an image")
    if abs(rows - height / STRIDE) > 2 or abs(columns - width / STRIDE) > 2 or not 0 < channels <= _MAX_CHANNELS:
        raise InputError(f"{path}: 'head' of {channels} by {rows} by {columns} does not fit an input of "
                         f'{height:g} by {width:g} pixels with one cell per {STRIDE} pixels')
    return HeadMap(_finite(feature_map, str(path)), height, width, scale)


def _path(folder: str | Path, image_id: int) -> Path:
    return Path(folder) / f'{image_id}.h5'


def _finite(array: NDArray, where: str) -> Tensor:
    """A float32 copy in memory."""
    with np.errstate(over='ignore'):  # it is infinite then, and refused
        values = np.array(array, np.float32)
    if not np.isfinite(values).all():
        raise InputError(f'{where}: holds numbers that are not finite; extract it again')
    return torch.from_numpy(values)
