"""What Ref-NMS learns from, computed once per image: the features of all regions, where its head is frozen, or their
crops.

With a frozen head a training takes minutes. Candidates never change. The jittered boxes that fill up the levels of
Ref-NMS R are made once, some for every target and level, and expressions draw from them. Otherwise new ones would be
made each time; that is the only difference.
"""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from harness.detection.crop import to_cells
from harness.errors import InputError
from harness.files.fingerprint import code_of, short
from harness.files.writing import replacing
from harness.plugins import Detector
from harness.training.features import described_images
from harness.training.ref_nms.critical_boxes import critical_boxes
from harness.training.ref_nms.image_regions import ImageRegions
from harness.training.ref_nms.jitter_pool import KEPT_POOL
from harness.training.ref_nms.options import SamplingOptions
from harness.training.ref_nms.records import DETECTING, vectors_record
from harness.types import Dataset, ImageFeatures
from harness.words.vectors import WordVectors

#: How regions ``(n, 4)`` xyxy image pixels of an image are seen.
Look = Callable[[ImageFeatures, Tensor], Tensor]
#: What a record can hold of an image's regions: the results of :func:`head_means`, or of :func:`crops`.
KEPT = ('features', 'crops')


def head_means(image: ImageFeatures, boxes: Tensor) -> Tensor:
    """``(n, F)``: the detector's head, averaged over cells."""
    return image.head(image.pool(boxes)).mean(dim=(2, 3))


def crops(image: ImageFeatures, boxes: Tensor) -> Tensor:
    """``(n, C, 7, 7)``, as the head of Ref-NMS takes them; larger ones are averaged."""
    return to_cells(image.pool(boxes))


class PooledRegions:
    """Collects what Ref-NMS sees of each image.

    Args:
        targets: the boxes of each image that can be jittered, ``(T, 4)`` xyxy image pixels; an image that is not in the
            mapping has none.
        dtype: of the features.
        seed: of jittered boxes, together with the id of the image.
        regions: finds candidates.
        look: how regions are seen: :func:`head_means` or :func:`crops`.
        exact: ids of the images whose features are float32 whatever ``dtype`` is.
    """

    def __init__(self, targets: Mapping[int, Tensor], dtype: torch.dtype = torch.float16, seed: int = 0,
                 regions: ImageRegions | None = None, look: Look = head_means, exact: Container[int] = ()) -> None:
        self.targets, self.dtype, self.seed, self.look, self.exact = targets, dtype, seed, look, exact
        self._regions = regions or ImageRegions()
        self._images: dict[int, dict[str, Any]] = {}

    def add(self, image: ImageFeatures) -> None:
        """See one image's candidates and its jittered boxes."""
        self._images[image.info.image_id] = self.look_at(image)

    @torch.inference_mode()
    def look_at(self, image: ImageFeatures) -> dict[str, Any]:
        """What :meth:`collected` has of one image."""
        image_id = image.info.image_id
        found = self._regions.without_map(image)
        targets = self.targets.get(image_id, torch.zeros(0, 4)).double()
        made = self._made(image, targets)
        seen = self.look(image, torch.cat((found['boxes'], made.float())))
        seen = seen.to(torch.float32 if image_id in self.exact else self.dtype).cpu()
        n = len(found['boxes'])
        return {**found, 'features' if self.look is head_means else 'crops': seen[:n].clone(), 'pool_targets': targets,
                'pool': seen[n:].reshape(len(targets), KEPT_POOL.size, *seen.shape[1:]).clone()}

    def _made(self, image: ImageFeatures, targets: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 10 ** 9 + image.info.image_id)
        return KEPT_POOL.boxes(targets, image.info.width, image.info.height, generator)

    def collected(self) -> dict[int, dict[str, Any]]:
        """By image id as :meth:`ImageRegions.collected` without maps, and: ``features`` (n, F) or ``crops``
        (n, C, 7, 7) of the candidates, ``pool_targets`` (T, 4), and ``pool`` (T, P, …), the same of jittered boxes,
        levels in order."""
        return self._images


def boxes_to_jitter(splits: Iterable[tuple[Dataset, str]], vectors: WordVectors) -> dict[int, Tensor]:
    """``(T, 4)`` xyxy image pixels: the critical objects of each image's expressions, each once, by image id."""
    by_image: dict[int, list[Tensor]] = {}
    for dataset, split in splits:
        boxes = critical_boxes(dataset, split, vectors)
        for e in dataset.split(split):
            by_image.setdefault(e.image_id, []).append(boxes[e.sent_id])
    return {image_id: torch.cat(mine).unique(dim=0) for image_id, mine in by_image.items()}


def pooled_split(dataset: Dataset, split: str, detector: Detector, vectors: WordVectors, folder: Path, *,
                 detector_hash: str, sampling: SamplingOptions) -> dict[int, dict[str, Any]]:
    """:meth:`PooledRegions.collected` of a split's images, read from ``folder`` if it holds them, else computed and
    stored.

    Args:
        dataset: with annotations and images.
        split: of it; its features are float32 on val, where the threshold is chosen, as in a later run.
        detector: whose head is frozen.
        vectors: what says which objects are contextual.
        folder: of the features; one file serves all seeds and losses, and everything else has a file of its own.
        detector_hash: tells one detector's features from another's.
        sampling: says which boxes are candidates.
    """
    dtype = torch.float16 if split == 'train' else torch.float32
    found = ImageRegions.of(sampling)
    meta = {'dataset': dataset.name, 'data': dataset.data_hash, 'split': split, 'detector': detector_hash,
            **vectors_record(vectors), 'pool': list(KEPT_POOL.numbers), 'dtype': str(dtype), **found.record,
            'code': code_of(__name__, *DETECTING)}
    path = folder / f'pooled-{dataset.name}-{split}-{short(meta)}.safetensors'
    if (stored := load_regions(path, meta)) is not None:
        return stored
    regions = PooledRegions(boxes_to_jitter([(dataset, split)], vectors), dtype, regions=found)
    for image in described_images(dataset, split, detector):
        regions.add(image)
    save_regions(path, regions.collected(), meta)
    return regions.collected()


def save_regions(path: Path, images: Mapping[int, Mapping[str, Any]], meta: Mapping[str, Any]) -> None:
    """Write what was collected, beside and then renamed; ``meta`` says what shaped it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f'{image_id}.{name}': value.contiguous() for image_id, image in images.items()
               for name, value in image.items() if isinstance(value, Tensor)}
    numbers = {str(image_id): {name: value for name, value in image.items() if not isinstance(value, Tensor)}
               for image_id, image in images.items()}
    with replacing(path, ending=f'.part{os.getpid()}') as beside:  # processes that train together all write it
        save_file(tensors, str(beside), metadata={'meta': json.dumps(dict(meta)), 'numbers': json.dumps(numbers)})


def load_regions(path: Path, meta: Mapping[str, Any]) -> dict[int, dict[str, Any]] | None:
    """What :func:`save_regions` wrote; ``None`` where there is no file or ``meta`` differs.

    Raises:
        InputError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework='pt') as file:
            raw = file.metadata() or {}
            if json.loads(raw['meta']) != json.loads(json.dumps(dict(meta))):
                return None
            images: dict[int, dict[str, Any]] = {int(image_id): {**numbers, 'size': tuple(numbers['size'])}
                                                 for image_id, numbers in json.loads(raw['numbers']).items()}
            for name in file.keys():  # noqa: SIM118 (no mapping)
                image_id, _, what = name.partition('.')
                images[int(image_id)][what] = file.get_tensor(name)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f'{path}: stored features are damaged ({error}); delete the file') from None
    return images
