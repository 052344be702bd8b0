"""The features of annotated boxes that grounders learn from, on disk: float16 arrays, mapped into memory.

::

    FOLDER/pool5.f16        (A, C, 7, 7)  crops of the A boxes of a split's images, image by image
    FOLDER/fc7.f16          (A, F, s, s)  their features; s is 7, or 1 of a pyramid's fully connected layers
    FOLDER/image_pool5.f16  (I, C, 7, 7)  crops of the I whole images
    FOLDER/filled.u1        (I,)          1 once an image is in all three
    FOLDER/shapes.json      their shapes, written once the files have their full size

Space is taken before the first image is looked at. The processes of torchrun fill a folder together, and a filling
that was killed goes on with the images that are missing.
"""
from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info, is_main_process

from harness.detection.pictures import read_recorded
from harness.detection.two_stage_parts import crop_channels, head_channels
from harness.errors import InputError
from harness.files.fingerprint import Record, code_of, short
from harness.files.reading import read_bytes
from harness.files.writing import write_text
from harness.plugins import Detector
from harness.progress import track
from harness.training.features import annotated_features
from harness.training.ref_nms.records import DETECTING
from harness.training.runner import console
from harness.training.space import check_space
from harness.types import Dataset, ImageInfo

#: Images between two moments at which what was written is made to last.
_AT_ONCE = 32


@dataclass(frozen=True)
class Layout:
    """What the store of a split holds: its images in order of appearance, the ids of their boxes, one after the other,
    and the widths of the detector: C, F and s."""

    images: list[ImageInfo]
    ann_ids: list[int]
    first: list[int]
    widths: tuple[int, int, int]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each array."""
        channels, features, side = self.widths
        boxes, images = len(self.ann_ids), len(self.images)
        return {'pool5': (boxes, channels, 7, 7), 'fc7': (boxes, features, side, side),
                'image_pool5': (images, channels, 7, 7)}

    @property
    def size(self) -> int:
        """Bytes of all arrays."""
        return sum(2 * prod(shape) for shape in self.shapes.values()) + len(self.images)


def layout_of(dataset: Dataset, split: str, detector: Any) -> Layout:
    """The layout of a split's store, from annotations alone.

    Raises:
        InputError: there are no annotations.
    """
    if dataset.annotations is None:
        raise InputError(f'{dataset.name}: training needs annotated boxes; give a dataset with instances.json')
    images = [info for info, _ in dataset.by_image(dataset.split(split))]
    ids = [[a.ann_id for a in dataset.annotations.get(info.image_id, [])] for info in images]
    counts = np.array([0, *map(len, ids)])
    roi_head = detector.network.roi_head
    side = 7 if roi_head.with_shared_head else 1
    return Layout(images, [i for own in ids for i in own], counts.cumsum().tolist(),
                  (crop_channels(roi_head), head_channels(roi_head), side))


def annotated_folder(root: Path, dataset: Dataset, split: str, detector_hash: str) -> Path:
    """The folder of a split's store; its name changes with everything that shapes it."""
    record: Record = {'data': dataset.data_hash, 'split': split, 'sha256 of detector': detector_hash,
                      'code': code_of(__name__, 'harness.training.features', *DETECTING)}
    return root / f'annotated-{dataset.name}-{split}-{short(record)}'


def images_to_see(dataset: Dataset, split: str, folder: Path) -> list[ImageInfo]:
    """The images of a split that its store lacks."""
    images = [info for info, _ in dataset.by_image(dataset.split(split))]
    marks = folder / 'filled.u1'
    filled = marks.read_bytes() if marks.is_file() else b''
    return [info for number, info in enumerate(images) if not any(filled[number:number + 1])]


def annotated_features_of(dataset: Dataset, split: str, detector: Detector, folder: Path) -> dict[str, Any]:
    """What :meth:`harness.training.features.AnnotatedFeatures.collected` gives, mapped from a store, which is filled
    first where images are missing.

    Raises:
        InputError: an image cannot be read, the disk has too little space, or the store is damaged.
    """
    layout = layout_of(dataset, split, detector)
    if is_main_process():
        _make(folder, layout)
    barrier()
    arrays = _open(folder, layout)
    _fill(folder, layout, arrays, dataset, detector)
    barrier()
    return {**{name: torch.from_numpy(array) for name, array in arrays.items() if name != 'filled'},
            'ann_ids': layout.ann_ids, 'image_ids': [info.image_id for info in layout.images]}


def _make(folder: Path, layout: Layout) -> None:
    """Take the space of all arrays; nothing is done where that was finished before."""
    if (folder / 'shapes.json').exists():
        return
    check_space(folder, layout.size)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, shape in layout.shapes.items():
            _reserve(folder / f'{name}.f16', 2 * prod(shape))
        _reserve(folder / 'filled.u1', len(layout.images))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f'{folder}: there is no space for {layout.size / 1e9:.2f} GB of stored features '
                         f'({error.strerror}); make room, or choose another disk by --work DIR') from None
    write_text(folder / 'shapes.json', _written_shapes(layout))


def _written_shapes(layout: Layout) -> str:
    return json.dumps({name: list(shape) for name, shape in layout.shapes.items()}) + '\n'


def _reserve(path: Path, size: int) -> None:
    with path.open('wb') as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)


def _open(folder: Path, layout: Layout) -> dict[str, np.ndarray]:
    """The arrays of a store, mapped for reading and writing.

    Raises:
        InputError: one is missing or has another size.
    """
    shapes = layout.shapes
    files = {**{name: folder / f'{name}.f16' for name in shapes}, 'filled': folder / 'filled.u1'}
    sizes = {**{name: 2 * prod(shape) for name, shape in shapes.items()}, 'filled': len(layout.images)}
    if read_bytes(folder / 'shapes.json') != _written_shapes(layout).encode() or any(
            not path.is_file() or path.stat().st_size != sizes[name] for name, path in files.items()):
        raise InputError(f'{folder}: stored features are damaged, or of other data; delete the folder')
    arrays: dict[str, np.ndarray] = {name: np.memmap(files[name], np.float16, 'r+', shape=shape)
                                     if prod(shape) else np.zeros(shape, np.float16) for name, shape in shapes.items()}
    return {**arrays, 'filled': np.memmap(files['filled'], np.uint8, 'r+')}


def _fill(folder: Path, layout: Layout, arrays: dict[str, np.ndarray], dataset: Dataset, detector: Detector) -> None:
    """See the images that are missing; under ``torchrun`` each process sees its share."""
    rank, world = get_dist_info()
    missing = np.flatnonzero(arrays['filled'] == 0)[rank::world].tolist()
    barrier()  # all have counted before one fills, so that shares are disjoint and nothing is left out
    written: list[int] = []
    for number in track(missing, f'images of {folder.name}', console):
        info = layout.images[number]
        annotations = (dataset.annotations or {}).get(info.image_id, [])
        image = detector.maps_of(read_recorded(info).pixels, info)
        pool5, fc7, whole = annotated_features(image, annotations)
        rows = slice(layout.first[number], layout.first[number + 1])
        arrays['pool5'][rows], arrays['fc7'][rows] = pool5.numpy(), fc7.numpy()
        arrays['image_pool5'][number] = whole[0].numpy()
        written.append(number)
        if len(written) == _AT_ONCE:
            _last(arrays, written)
    _last(arrays, written)


def _last(arrays: dict[str, np.ndarray], written: list[int]) -> None:
    """Make what was written last, and only then say that it is there."""
    for array in arrays.values():
        if isinstance(array, np.memmap):
            array.flush()
    arrays['filled'][written] = 1
    written.clear()
