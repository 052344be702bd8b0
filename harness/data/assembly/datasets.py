"""From the rows of files to datasets: which rows are whose, their ids, images and annotations.

What a form lacks is recovered where something else has it: COCO's image id from the image's name, the dataset and split
from the rows themselves by their fingerprints, everything else from ``instances.json``. What nothing has is not
available.
"""
from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness.data.assembly.beside import Instances, completed, read_instances
from harness.data.assembly.boxes import XYWH_BOXES, settled, xywh_of
from harness.data.assembly.files import DataFile, DataFiles, data_files
from harness.data.assembly.names import bare_name, unnumbered
from harness.data.assembly.naming import MIXED, image_of, named
from harness.data.assembly.pictures import Pictures
from harness.data.assembly.refs_beside import with_ids
from harness.data.box_forms import check_truth
from harness.data.image_files import ImageFolders, folders_of_images, folders_of_root
from harness.data.passport import TITLES
from harness.data.plain import measured, tokenize
from harness.errors import InputError
from harness.files.fingerprint import sha256_of
from harness.types import Annotation, Dataset, Expression, FormRow, ImageInfo


def load_data(given: Sequence[Path], images: Path | None = None, boxes: str | None = None,
              found: DataFiles | None = None) -> dict[str, Dataset]:
    """The datasets in files of any form, by name, in order of first appearance.

    Args:
        given: files, and folders of one dataset; COCO's ``instances.json`` may be among them or lie beside one.
        images: the folder of the images, by name or by COCO's names; by default the images that the files hold, or
            those that lie where REFER has them.
        boxes: ``'xywh'`` or ``'xyxy'``, in the place of what the form says.
        found: the files that are meant, where :func:`~harness.data.assembly.files.data_files` has been asked before.

    Raises:
        InputError: a file is of no known form or not as its form wants it, its boxes are not settled or of another
            form, an image or annotation is missing in ``instances.json``, or a folder has two datasets.
    """
    found = found or data_files(given)
    members: dict[str, _Members] = {}
    notes: list[str] = []
    for files in _of_one_split(found.files):
        rows, said = _boxed(files, boxes, needs_instances=found.instances is None)
        names, said_too = named(rows, files[0].path)
        notes += [*said, *said_too]
        for name in dict.fromkeys(name for name, _ in names):
            members.setdefault(name, _Members([], [])).files.extend(files)
        for row, (name, split) in zip(rows, names, strict=True):
            members[name].rows.append(replace(row, dataset=name, split=split))
    if not members:
        raise InputError(f'--data {found.files[0].path}: has no row with one referent, which REC is defined for')
    for folder in filter(Path.is_dir, given):
        _one_dataset(folder, members)
    instances = None
    if found.instances is not None:
        ids = {image_of(row) for mine in members.values() for row in mine.rows}
        folder = found.instances.parent
        folders = folders_of_images(images) if images else folders_of_root(folder.parent, folder.name)
        instances = read_instances(found.instances, {i for i in ids if i is not None}, folders)
    refs = found.refs if len(members) == 1 else None
    return {name: _dataset(name, mine, instances, refs, images, notes) for name, mine in members.items()}


class _Members(NamedTuple):
    """The rows of one dataset, and the files that they are of."""

    rows: list[FormRow]
    files: list[DataFile]


def _of_one_split(files: Iterable[DataFile]) -> Iterable[list[DataFile]]:
    """Files together that have the rows of one split in parts."""
    found: dict[tuple[Path, str], list[DataFile]] = {}
    for file in files:
        found.setdefault((unnumbered(file.path), file.form.name), []).append(file)
    return found.values()


def _one_dataset(folder: Path, members: Mapping[str, _Members]) -> None:
    """Refuse a folder of files of two published datasets; one file may have several, where its rows say so."""
    found: dict[str, Path] = {}
    for name, mine in members.items():
        path = mine.files[0].path
        if name.removesuffix(MIXED) in TITLES and path.is_relative_to(folder) and path not in found.values():
            found.setdefault(name.removesuffix(MIXED), path)
    if len(found) > 1:
        told = ' and '.join(f'{name} ({path.relative_to(folder)})' for name, path in found.items())
        raise InputError(f'--data {folder}: holds files of several datasets, {told}; give the files that are meant')


def _boxed(files: Sequence[DataFile], asked: str | None, needs_instances: bool) -> tuple[list[FormRow], list[str]]:
    """The rows of files that REC is defined for, their boxes as ``xywh``, and notes."""
    file, notes = files[0], []
    rows = [row for part in files for row in part.rows()]
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


def _dataset(name: str, members: _Members, instances: Instances | None, refs: DataFile | None, images: Path | None,
             notes: Iterable[str]) -> Dataset:
    rows, files = members
    ids: Sequence[int | None] = [image_of(row) for row in rows]
    numbered = None in ids
    if instances is not None:
        rows = completed(rows, ids, instances)
    without = 0
    if refs is not None:
        rows, without = with_ids(rows, ids, refs.rows())
    if numbered:
        order = {image: i for i, image in enumerate(dict.fromkeys(row.image for row in rows), start=1)}
        ids = [order[row.image] for row in rows]
    pictures = Pictures(files)
    known = [i for i in ids if i is not None]
    infos = _images(rows, known, images, pictures) if instances is None else instances.images
    if instances is not None and images is None and pictures.there:
        infos = {image_id: pictures.info(image_id, infos[image_id].height, infos[image_id].width, bare_name(row.image))
                 for row, image_id in zip(rows, known, strict=True) if isinstance(row.image, str)}
    expressions = _expressions(rows, known)
    mine = {e.image_id for e in expressions}
    dataset = Dataset(
        name=name, images={i: info for i, info in infos.items() if i in mine}, expressions=expressions,
        annotations=None if instances is None else {i: own for i, own in instances.annotations.items() if i in mine},
        categories=() if instances is None else tuple(instances.categories.values()),
        category_ids={} if instances is None else instances.categories,
        data_hash=_hash([*(file.path for file in files), *([instances.path] if instances else []),
                         *([refs.path] if refs else [])]),
        file=str(instances.path if instances else files[0].path), notes=[f'{name}: {note}' for note in notes],
        referents=None if instances is not None else _referents(rows, expressions),
        unpack=pictures.unpack if images is None and pictures.there else None, numbered_images=numbered)
    if refs is not None and without:
        dataset.notes.append(f'{name}: {without:,} of {len(rows):,} sentences are not in {refs.path.name}; sent_ids '
                             'are numbers in order')
    if numbered:
        dataset.notes.append(f'{name}: its images have no COCO id in their names; they are numbered in order')
    check_truth(dataset, dataset.file)
    return dataset


def _images(rows: Sequence[FormRow], ids: Sequence[int], images: Path | None,
            pictures: Pictures) -> dict[int, ImageInfo]:
    """The images of rows that no ``instances.json`` describes; 0 by 0 pixels where no size is known, and the file does
    not hold the image either."""
    files = ImageFolders(folders_of_images(images)) if images else None
    found: dict[int, ImageInfo] = {}
    for row, image_id in zip(rows, ids, strict=True):
        height, width = row.size or (0, 0)
        if image_id in found:
            if row.size and (found[image_id].height, found[image_id].width) != row.size:
                raise InputError(f"{row.where}: 'height' or 'width' differ from an earlier row of image {row.image}")
            continue
        name = bare_name(row.image) if isinstance(row.image, str) else None
        if name is not None and not row.size and pictures.there:
            height, width = pictures.sizes.get(name, (0, 0))
        if files is not None:
            found[image_id] = measured(files.info(image_id, height, width, name))
        elif name is not None and pictures.there:
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

