"""What Ref-NMS's training sees of many images, on disk: one file per image, read on demand.

What tens of thousands of images are pooled from does not fit into memory. The files hold the crops of all regions, or
the C4 map; with neither the detector looks at the image again at each use. A file is complete once it has its name, so
that a filling that was killed goes on at any image, and processes fill a folder together.
"""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_dist_info
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from harness.detection.detector import Detector
from harness.detection.pictures import read_recorded
from harness.errors import InputError
from harness.files.fingerprint import code_of, short
from harness.files.writing import replacing
from harness.progress import track
from harness.training.features import check_images
from harness.training.ref_nms.image_regions import ImageRegions
from harness.training.ref_nms.pooled_regions import crops
from harness.training.ref_nms.records import DETECTING
from harness.training.runner import console
from harness.training.space import check_space
from harness.types import Dataset, ImageFeatures, ImageInfo

#: Images whose files tell how much space all will take.
_TELLING = 16


class RegionStore(Mapping[int, Mapping[str, Any]]):
    """A mapping as :meth:`ImageRegions.collected` gives it, of files that :func:`fill_store` wrote.

    Args:
        folder: of the files.
        images: of the dataset.
        detector: looks at images again; ``None`` where the files hold what regions are pooled from.
    """

    def __init__(self, folder: Path, images: Sequence[ImageInfo], detector: Any) -> None:
        self.folder, self.detector = folder, detector
        self._images = {info.image_id: info for info in images}

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[int]:
        return iter(self._images)

    def __getitem__(self, image_id: int) -> Mapping[str, Any]:
        info = self._images[image_id]
        return _Image(image_path(self.folder, image_id), info, self.detector)


class _Image(Mapping[str, Any]):
    """One image's record; each entry is read or computed when it is asked for."""

    def __init__(self, path: Path, info: ImageInfo, detector: Any) -> None:
        self._path, self._info, self._detector = path, info, detector
        try:
            with safe_open(str(path), framework='pt') as file:
                self._names = list(file.keys())
                self._numbers = json.loads((file.metadata() or {})['numbers'])
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise InputError(f'{path}: no readable file of stored regions ({error}); delete it and retry') from None

    def __iter__(self) -> Iterator[str]:
        again = [] if self._detector is None else ['feature_map' if starts_from_map(self._detector) else 'cut']
        yield from dict.fromkeys([*self._names, *self._numbers, *again])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in set(self)  # without reading it

    def __getitem__(self, name: str) -> Any:
        if name in self._numbers:
            return self._numbers[name]
        if name in self._names:
            with safe_open(str(self._path), framework='pt') as file:
                return file.get_tensor(name)
        if name not in self:
            raise KeyError(name)
        pixels = read_recorded(self._info).pixels
        if name == 'feature_map':
            return self._detector.see(pixels).feature_map[0].cpu().clone()
        image = self._detector.maps_of(pixels, self._info)
        return lambda boxes: crops(image, boxes).cpu().clone()


def starts_from_map(detector: Any) -> bool:
    """Whether regions are cut from the one C4 map as :func:`harness.detection.crop.crop_and_resize` does, or else by
    the detector itself."""
    return isinstance(detector, Detector)


def image_path(folder: Path, image_id: int) -> Path:
    """The file of one image."""
    return folder / f'{image_id}.safetensors'


def store_folder(root: Path, train: Dataset, val: Dataset, detector: str, collector: ImageRegions,
                 what: Mapping[str, Any]) -> Path:
    """The folder for the regions of two splits; its name changes with everything that shapes them.

    Args:
        root: of all such folders.
        train: whose split ``train`` is stored.
        val: whose split ``val`` is stored.
        detector: SHA-256 of its weight file.
        collector: finds candidates.
        what: is kept of them.
    """
    record = {
        'sha256 of train': train.data_hash, 'sha256 of val': val.data_hash, 'sha256 of detector': detector,
        **what, **collector.record,
        'code': code_of('harness.training.ref_nms.image_regions', __name__, *DETECTING)}
    return root / f'regions-{train.name}-{short(record)}'


def fill_store(folder: Path, images: Sequence[tuple[Dataset, ImageInfo]], detector: Any,
               record_of: Callable[[ImageFeatures], Mapping[str, Any]]) -> None:
    """Detect all images that have no file yet; under ``torchrun`` each process detects its share.

    Args:
        folder: of the files.
        images: to detect, with their dataset.
        detector: fixed.
        record_of: what is kept of an image: tensors and numbers.

    Raises:
        InputError: an image is missing or cannot be read, or the folder cannot be written.
    """
    rank, world = get_dist_info()
    missing = [pair for pair in images[rank::world] if not image_path(folder, pair[1].image_id).exists()]
    for name in dict.fromkeys(dataset.name for dataset, _ in missing):
        check_images(name, [info for dataset, info in missing if dataset.name == name])
    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, info) in enumerate(track(missing, 'images', console)):
        if number == _TELLING:
            _check_space(folder, [pair[1] for pair in missing], world)
        _save(image_path(folder, info.image_id), record_of(detector.features(read_recorded(info).pixels, info)))
    barrier()


def _check_space(folder: Path, missing: Sequence[ImageInfo], processes: int) -> None:
    """Refuse what will not fit, as soon as some files tell how large they are."""
    sizes = [image_path(folder, info.image_id).stat().st_size for info in missing[:_TELLING]]
    check_space(folder, sum(sizes) / len(sizes) * (len(missing) - len(sizes)) * processes, 'take --store none, or ')


def _save(path: Path, record: Mapping[str, Any]) -> None:
    numbers = {name: value for name, value in record.items() if not isinstance(value, Tensor)}
    with replacing(path, ending=f'.part{os.getpid()}') as beside:
        save_file({name: value.contiguous() for name, value in record.items() if isinstance(value, torch.Tensor)},
                  str(beside), metadata={'numbers': json.dumps(numbers)})
