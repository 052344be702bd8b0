"""What stands beside a file of data: COCO's ``instances.json``, which has what the form lacks."""
from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.data.fingerprints import corners_before_cutting, whole_corners
from harness.data.image_files import ImageFolders
from harness.data.refer import annotations_of, categories_of, images_of
from harness.errors import InputError
from harness.files import fields
from harness.files.json_stream import every_list
from harness.types import Annotation, FormRow, ImageInfo, Sample


def is_instances(sample: Sample) -> bool:
    """Whether a file holds COCO's images and annotations."""
    return (sample.layout == 'lists' and sample.has('id', 'file_name', 'height', 'width', key='images')
            and not sample.has('caption', key='images'))


def instances_beside(path: Path) -> Path | None:
    """The file that lies beside another one under REFER's name."""
    beside = path.with_name('instances.json')
    return beside if beside != path and os.path.isfile(beside) else None


@dataclass(frozen=True)
class Instances:
    """All annotated objects of some images, and the names of all categories by id."""

    path: Path
    images: dict[int, ImageInfo]
    annotations: dict[int, list[Annotation]]
    categories: dict[int, str]


def read_instances(path: Path, mentioned: Collection[int], folders: Sequence[Path]) -> Instances:
    """What a file of any size says of some images.

    Args:
        path: COCO's annotations.
        mentioned: ids of the images.
        folders: where their files may be.

    Raises:
        InputError: as of :func:`harness.data.refer.load_refer`.
    """
    kept: dict[str, list[Any]] = {'images': [], 'annotations': [], 'categories': []}
    of_image = {'images': 'id', 'annotations': 'image_id'}
    for key, record in every_list(path):
        if key == 'categories' or (key in of_image and fields.integer(record, of_image[key], f'{path}: {key}')
                                   in mentioned):
            kept[key].append(record)
    where = f'{path}: of the images that are mentioned'
    categories = categories_of(kept, where)
    images = images_of(kept, set(mentioned), ImageFolders(folders), where)
    return Instances(path, images, annotations_of(kept, images, categories, where), categories)


def completed(rows: Sequence[FormRow], image_ids: Sequence[int | None], instances: Instances) -> list[FormRow]:
    """The rows with what the annotations say of their referents, known by annotation or else by box.

    Args:
        rows: of which those with a box have it as ``xywh``.
        image_ids: of the rows.
        instances: of their images.

    Raises:
        InputError: a referent is not among the annotations of its image.
    """
    by_id = {a.ann_id: a for own in instances.annotations.values() for a in own}
    by_box: dict[tuple[int, tuple[int, ...]], list[Annotation]] = defaultdict(list)
    for image_id, own in instances.annotations.items():
        for a in own:
            by_box[image_id, whole_corners(a.xywh)].append(a)
    return [row if row.undefined else _completed(row, image_id, by_id, by_box, instances)
            for row, image_id in zip(rows, image_ids, strict=True)]


def _completed(row: FormRow, image_id: int | None, by_id: Mapping[int, Annotation],
               by_box: Mapping[tuple[int, tuple[int, ...]], Sequence[Annotation]], instances: Instances) -> FormRow:
    if image_id not in instances.images:
        raise InputError(f'{row.where}: its image {row.image} is not in {instances.path}; the two files belong to one '
                         'release')
    boxes = () if row.box is None else tuple(map(tuple, corners_before_cutting(row.box)))
    found = by_id.get(row.ann_id) if row.ann_id is not None else next(
        (a for corners in boxes for a in by_box.get((image_id, corners), ())), None)
    if found is None or found.image_id != image_id:
        what = 'box' if row.ann_id is None else f'annotation {row.ann_id}'
        raise InputError(f'{row.where}: its {what} is not one of image {image_id} in {instances.path}; the two files '
                         'belong to one release')
    if found.xywh[2] * found.xywh[3] == 0:
        raise InputError(f'{row.where}: its annotation {found.ann_id} has no area, so nothing can be found there')
    if boxes and whole_corners(found.xywh) not in boxes:
        raise InputError(f'{row.where}: its box is not that of annotation {found.ann_id} in {instances.path}; the two '
                         'files belong to one release')
    info = instances.images[image_id]
    return replace(row, box=found.xywh, ann_id=found.ann_id, category=found.category, size=(info.height, info.width))
