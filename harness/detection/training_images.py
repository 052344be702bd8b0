"""Which evaluation images a detector has seen in training.

COCO's ``train2014`` and ``train2017`` hold all images of RefCOCO, RefCOCO+ and RefCOCOg, those of val and test too; the
originals' detector was trained without these (``coco_minus_refer`` in lichengunc/mask-faster-rcnn and
lichengunc/MAttNet). So a detector from a model zoo has seen what it is evaluated on.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.data.counts import SPLIT_BY
from harness.data.embedded_names import EMBEDDED
from harness.data.rehearsal_mark import rehearsed
from harness.data.results import SeenImages
from harness.errors import InputError
from harness.types import Expression

#: COCO's splits that hold RefCOCO's images.
WITH_REFCOCO = ('train2014', 'train2017', 'trainval35k')
#: COCO's splits that hold none of them.
WITHOUT_REFCOCO = ('val2017', 'test2017')
#: What the originals' detector was trained on.
ORIGINALS = 'train2014 without the evaluation images'
TrainedOn = str | list[int] | None
#: The evaluated expressions of each (dataset, split).
Chosen = Mapping[tuple[str, str], Sequence[Expression]]


def parse_trained_on(value: str) -> str | list[int]:
    """``--trained-on``: the name of a COCO split, or a file of image ids, one per line.

    Raises:
        InputError: it is neither.
    """
    if value in (*WITH_REFCOCO, *WITHOUT_REFCOCO):
        return value
    try:
        with open(value, encoding='utf-8') as file:
            return sorted({int(line) for line in file if line.strip()})
    except (OSError, ValueError) as error:
        known = ', '.join((*WITH_REFCOCO, *WITHOUT_REFCOCO))
        raise InputError(f'--trained-on {value}: is none of {known}, and no file of image ids, one per line '
                         f'({error}); give one of these') from None


def seen_images(trained_on: TrainedOn, expressions: Chosen) -> dict[str, dict[str, SeenImages]]:
    """What the detector has seen, by dataset and split.

    Embedded datasets are left out: their detector was trained on other images.

    Args:
        trained_on: what the detector's file says; ``None``: nothing.
        expressions: the evaluated ones.
    """
    found: dict[str, dict[str, SeenImages]] = {}
    for (dataset, split), mine in expressions.items():
        if dataset not in EMBEDDED and (images := {e.image_id for e in mine}):
            found.setdefault(dataset, {})[split] = {'seen': count_seen(trained_on, dataset, images),
                                                    'images': len(images)}
    return found


def seen_notes(trained_on: TrainedOn, expressions: Chosen) -> list[str]:
    """A note for each dataset of RefCOCO's, or rehearsal of one, of which the detector has seen evaluation images, or
    may have.

    Args:
        trained_on: what the detector's file says; ``None``: nothing.
        expressions: the evaluated ones.
    """
    notes = []
    for name in dict.fromkeys(dataset for dataset, _ in expressions if _of_refcoco(dataset)):
        images = {e.image_id for (dataset, _), mine in expressions.items() if dataset == name for e in mine}
        if (seen := count_seen(trained_on, name, images)) is None:
            notes.append(f'{name}: it is unknown which of the {len(images)} images the detector was trained on; '
                         'say so by --trained-on of convert')
        elif seen:
            notes.append(f'{name}: the detector was trained on {seen} of the {len(images)} images; figures of a '
                         'detector that was not are lower')
    return notes


def count_seen(trained_on: TrainedOn, dataset: str, images: Iterable[int]) -> int | None:
    """How many of some images of a dataset the detector was trained on.

    The name of a COCO split tells this of RefCOCO's images alone, and of a rehearsal as it would of them.
    """
    images = set(images)
    if isinstance(trained_on, list):
        return len(images & set(trained_on))
    if trained_on is None or not _of_refcoco(dataset):
        return None
    return len(images) if trained_on in WITH_REFCOCO else 0


def _of_refcoco(dataset: str) -> bool:
    return rehearsed(dataset) in SPLIT_BY
