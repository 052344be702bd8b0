"""The masks that a run will need, all of them encoded before it writes its first row."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mmengine.structures import InstanceData

from harness.data.answers import first_few
from harness.data.masks import area, to_rle
from harness.types import Annotation, Dataset, Expression

#: Run lengths of referents' masks by dataset and annotation.
Referents = dict[str, dict[int | None, dict[str, Any]]]
Chosen = Mapping[tuple[str, str], Sequence[Expression]]


def referent_masks(datasets: Mapping[str, Dataset], expressions: Chosen) -> tuple[Referents, list[str]]:
    """The masks of the referents of all chosen expressions.

    Args:
        datasets: by name.
        expressions: the chosen ones of each (dataset, split).

    Returns:
        Run lengths by dataset and ``ann_id``. Referents that have no mask, or one without a pixel, are not among them:
        nothing is right or wrong there. A note for each dataset counts and names them.

    Raises:
        InputError: a mask can't be read; file, image and annotation are named.
    """
    masks: Referents = {}
    notes = []
    for name, dataset in datasets.items():
        if dataset.annotations is None and dataset.referents is None:
            continue
        masks[name], without = {}, []
        for annotation in _referents(dataset, [e for (of, _), es in expressions.items() if of == name for e in es]):
            info = dataset.images[annotation.image_id]
            if annotation.segmentation is not None:
                where = f'{dataset.file or name}: image {info.image_id}: annotation {annotation.ann_id}'
                rle = to_rle(annotation.segmentation, info.height, info.width, where)
                if area(rle):
                    masks[name][annotation.ann_id] = rle
                    continue
            without.append(annotation.ann_id)
        if without and masks[name]:
            notes.append(f'{name}: {len(without)} referents have no mask, or one without any area; RES leaves their '
                         f'expressions out: annotation {first_few(without)} of {dataset.file or name}')
        elif without:
            notes.append(f'{name}: no referent has a mask with an area; RES is not available')
    return masks, notes


def _referents(dataset: Dataset, expressions: Iterable[Expression]) -> list[Annotation]:
    """The annotations that expressions refer to, each once, image by image."""
    wanted = dict.fromkeys((e.image_id, e.ann_id) for e in expressions)
    images = dict.fromkeys(image_id for image_id, _ in wanted)
    return [a for image_id in images for a in dataset.with_masks().get(image_id, ())
            if (image_id, a.ann_id) in wanted]


def check_stored_masks(masks: Callable[[int, int, int], dict[str, Any]],
                       boxes_of: Callable[[Expression], InstanceData | None], datasets: Mapping[str, Dataset],
                       expressions: Chosen) -> None:
    """Look up the stored mask of every box that a grounder could choose.

    Args:
        masks: of boxes from outside, by ``det_id``, height and width.
        boxes_of: an expression's boxes, with ``det_ids``.
        datasets, expressions: as above.

    Raises:
        InputError: a box has no mask, or one that can't be read.
    """
    seen: set[tuple[int, int]] = set()
    for members in expressions.values():
        for e in members:
            info = datasets[e.dataset].images[e.image_id]
            boxes = boxes_of(e)
            for det_id in () if boxes is None else boxes.get('det_ids', ()):
                if (key := (int(det_id), info.image_id)) not in seen:
                    seen.add(key)
                    masks(key[0], info.height, info.width)

