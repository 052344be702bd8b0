"""From the rows of files to datasets: which rows are whose, their ids, images and annotations.

What a form lacks is recovered where something else has it: COCO's image id from the image's name, the dataset and split
from the rows themselves by their fingerprints, everything else from ``instances.json``. What nothing has is not
available.
"""
from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.data.assembly.beside import Instances, completed, read_instances
from harness.data.assembly.boxes import XYWH_BOXES, settled, xywh_of
from harness.data.assembly.files import DataFile, data_files
from harness.data.assembly.names import bare_name, dataset_in, image_id_of, split_in, without_split
from harness.data.assembly.pictures import Pictures
from harness.data.box_forms import check_truth
from harness.data.image_files import ImageFolders, folders_of_images, folders_of_root
from harness.data.passport import Row, passport
from harness.data.plain import measured, tokenize
from harness.errors import InputError
from harness.files.fingerprint import sha256_of
from harness.types import Annotation, Dataset, Expression, FormRow, ImageInfo

#: A file is of a partition where this share of its rows are of it.
SAME = 0.95
#: The split of rows of which none is known.
ALL = 'all'
#: What rows of several partitions are called, behind the name of their file.
MIXED = 'mixed'


def load_data(given: Sequence[Path], images: Path | None = None, boxes: str | None = None) -> dict[str, Dataset]:
    """The datasets in files of any form, by name, in order of first appearance.

    Args:
        given: files, and folders of one dataset; COCO's ``instances.json`` may be among them or lie beside one.
        images: the folder of the images, by name or by COCO's names; by default that of REFER's layout where there is
            an ``instances.json``, or the files' own.
        boxes: ``'xywh'`` or ``'xyxy'``, in the place of what the form says.

    Raises:
        InputError: a file is of no known form or not as its form wants it, its boxes are not settled or of another
            form, or an image or annotation is missing in ``instances.json``.
    """
    found = data_files(given)
    members: dict[str, list[tuple[FormRow, DataFile]]] = {}
    notes: list[str] = []
    for file in found.files:
        rows, said = _boxed(file, boxes, needs_instances=found.instances is None)
        notes += said
        for row, (name, split) in zip(rows, _named(rows, file), strict=True):
            members.setdefault(name, []).append((replace(row, dataset=name, split=split), file))
    if not members:
        raise InputError(f'--data {found.files[0].path}: has no row with one referent, which REC is defined for')
    instances = None
    if found.instances is not None:
        ids = {_image_id(row) for mine in members.values() for row, _ in mine}
        layout = found.instances.parent
        folders = folders_of_images(images) if images else folders_of_root(layout.parent, layout.name)
        instances = read_instances(found.instances, {i for i in ids if i is not None}, folders)
    return {name: _dataset(name, mine, instances, images, notes) for name, mine in members.items()}


def _boxed(file: DataFile, asked: str | None, needs_instances: bool) -> tuple[list[FormRow], list[str]]:
    """The rows of a file that REC is defined for, their boxes as ``xywh``, and notes."""
    rows, notes = file.rows(), []
    undefined = Counter(row.undefined for row in rows if row.undefined)
    notes += [f'{file.path.name}: {n:,} rows with {why} are left out; REC is not defined for them'
              for why, n in undefined.items()]
    rows = [row for row in rows if not row.undefined]
    boxed = [row for row in rows if row.box is not None]
    if needs_instances and len(boxed) < len(rows):
        raise InputError(f'--data {file.path}: has no boxes; put instances.json of the same release beside it, or give '
                         'that as well')
    form = asked or file.form.boxes or (settled(boxed, str(file.path)) if boxed else XYWH_BOXES)
    if asked and file.form.boxes and asked != file.form.boxes:
        notes.append(f'{file.path.name}: boxes are read as {asked}, as --boxes says; the form {file.form.name} has '
                     f'{file.form.boxes}')
    elif not asked and not file.form.boxes:
        notes.append(f'{file.path.name}: its boxes are {form}, the file as a whole settles it')
    return [row if row.box is None else replace(row, box=xywh_of(row, form)) for row in rows], notes


def _named(rows: Sequence[FormRow], file: DataFile) -> list[tuple[str, str]]:
    """Dataset and split of each row: as the row says, else as the rows are known by their fingerprints, else as the
    file's name and its folder's say. Rows of several partitions are no published dataset, and called "mixed"."""
    stem = file.path.name.split('.')[0]
    name, split = dataset_in(file.path.name) or dataset_in(file.path.parent.name), split_in(stem)
    name = name or without_split(stem)
    together: dict[str | None, list[FormRow]] = {}
    for row in () if all(row.dataset and row.split for row in rows) else rows:
        together.setdefault(row.split, []).append(row)
    known = {said: found for said, mine in together.items() if (found := _known_as(mine)) is not None}
    if (names := {found[0] for found in known.values()}) and MIXED not in names and len(names) == 1:
        name = names.pop()
    elif names:
        name = f'{name}-{MIXED}'
    if None in known and known[None][0] != MIXED:
        split = known[None][1]
    return [(row.dataset or name, row.split or split or ALL) for row in rows]


def _known_as(rows: Sequence[FormRow]) -> tuple[str, str] | None:
    """The published dataset and split that rows are nearly all of, :data:`MIXED` if they are of several; ``None`` of
    rows of which none is known."""
    known = passport([Row(_image_id(row), row.ann_id, row.sent, row.box, *(row.size or (0, 0))[::-1])
                      for row in rows if row.box is not None])
    for first in known['parts'][:1]:
        nearly_all = first['expressions'] + first['reworded'] >= SAME * known['expressions']
        return (first['dataset'], first['split']) if nearly_all else (MIXED, MIXED)
    return None


def _image_id(row: FormRow) -> int | None:
    return image_id_of(row.image) if row.image_id is None else row.image_id


def _dataset(name: str, members: Sequence[tuple[FormRow, DataFile]], instances: Instances | None, images: Path | None,
             notes: Iterable[str]) -> Dataset:
    rows = [row for row, _ in members]
    ids: Sequence[int | None] = [_image_id(row) for row in rows]
    numbered = None in ids
    if instances is not None:
        rows = completed(rows, ids, instances)
    if numbered:
        order = {image: i for i, image in enumerate(dict.fromkeys(row.image for row in rows), start=1)}
        ids = [order[row.image] for row in rows]
    files = list(dict.fromkeys(file for _, file in members))
    pictures = Pictures(files) if images is None else None
    known = [i for i in ids if i is not None]
    unpacked = pictures is not None and pictures.there
    infos = instances.images if instances and not unpacked else _images(rows, known, images, pictures)
    expressions = _expressions(rows, known)
    mine = {e.image_id for e in expressions}
    dataset = Dataset(
        name=name, images={i: info for i, info in infos.items() if i in mine}, expressions=expressions,
        annotations=None if instances is None else {i: own for i, own in instances.annotations.items() if i in mine},
        categories=() if instances is None else tuple(instances.categories.values()),
        category_ids={} if instances is None else instances.categories,
        data_hash=_hash([*(file.path for file in files), *([instances.path] if instances else [])]),
        file=str(instances.path if instances else files[0].path), notes=[f'{name}: {note}' for note in notes],
        referents=None if instances is not None else _referents(rows, expressions),
        unpack=pictures.unpack if pictures is not None and unpacked else None, numbered_images=numbered)
    if numbered:
        dataset.notes.append(f'{name}: its images have no COCO id in their names; they are numbered in order')
    check_truth(dataset, dataset.file)
    return dataset


def _images(rows: Sequence[FormRow], ids: Sequence[int], images: Path | None,
            pictures: Pictures | None) -> dict[int, ImageInfo]:
    """The images of rows that no ``instances.json`` describes; 0 by 0 pixels where no size is known."""
    files = ImageFolders(folders_of_images(images)) if images else None
    found: dict[int, ImageInfo] = {}
    for row, image_id in zip(rows, ids, strict=True):
        height, width = row.size or (0, 0)
        if image_id in found:
            if row.size and (found[image_id].height, found[image_id].width) != row.size:
                raise InputError(f"{row.where}: 'height' or 'width' differ from an earlier row of image {row.image}")
            continue
        name = bare_name(row.image) if isinstance(row.image, str) else None
        if files is not None:
            found[image_id] = measured(files.info(image_id, height, width, name))
        elif pictures is not None and pictures.there and name is not None:
            found[image_id] = pictures.info(image_id, height, width, name)
        else:
            found[image_id] = ImageInfo(image_id, height, width)
    return found


def _expressions(rows: Sequence[FormRow], ids: Sequence[int]) -> list[Expression]:
    """Expressions with the form's own sent_ids where all have one of their own, else numbered from 1."""
    own = [row.sent_id for row in rows]
    if None in own or len(set(own)) < len(own):
        own = list(range(1, len(rows) + 1))
    return [Expression(str(row.dataset), str(row.split), image_id, int(sent_id or 0), row.sent,
                       row.tokens or tokenize(row.sent), row.box, row.ref_id, row.ann_id, row.category)
            for row, image_id, sent_id in zip(rows, ids, own, strict=True)]


def _referents(rows: Sequence[FormRow], expressions: Sequence[Expression]) -> dict[int, list[Annotation]] | None:
    """The referents with their masks, where the form has masks and ids."""
    found: dict[int, dict[int, Annotation]] = {}
    for row, e in zip(rows, expressions, strict=True):
        if row.segmentation is not None and e.ann_id is not None:
            own = found.setdefault(e.image_id, {})
            own.setdefault(e.ann_id, Annotation(e.ann_id, e.image_id, e.gt_xywh, e.category or '', row.segmentation))
    return {image_id: list(own.values()) for image_id, own in found.items()} or None


def _hash(paths: Sequence[Path]) -> str:
    """One hash for one file or several."""
    hashes = [sha256_of(path) for path in dict.fromkeys(paths)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(''.join(hashes).encode()).hexdigest()

