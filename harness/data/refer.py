"""REFER's layout, the harness's own form of a dataset.

::

    ROOT/<name>/refs(<split_by>).p      a pickled list of refs (or refs(<split_by>).json with the same content)
    ROOT/<name>/instances.json          COCO's images, annotations and categories
    ROOT/images/train2014/…             the images, or another place of harness.data.image_files

Source of the layout: ``refer.py`` and ``data/README.md`` of lichengunc/refer. A ref is
``{ref_id, ann_id, image_id, split, sentences: [{sent_id, sent, tokens, …}], …}``; ``file_name`` of a ref carries an
annotation's suffix and is not an image's name, ``file_name`` of ``instances.json`` is.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.data.box_forms import check_truth
from harness.data.image_files import ImageFolders, folders_of_images, folders_of_root
from harness.data.rehearsal_mark import dataset_name
from harness.errors import InputError
from harness.files import fields, safe_pickle
from harness.files.reading import parse_json, read_bytes
from harness.types import Annotation, Dataset, Expression, ImageInfo

_REFER_KEYS = {'sent_id', 'sent', 'raw', 'tokens'}


def load_refer(root: Path, name: str, split_by: str, images: Path | None = None) -> Dataset:
    """A dataset with its annotations, refs in file order, the sentences of each in order.

    Args:
        root: the folder that holds ``<name>/``.
        name: of the dataset and its folder, for instance ``'refcoco'``.
        split_by: who made the splits: ``'unc'``, ``'umd'`` or ``'google'``.
        images: the image folder; by default one of those that ``root`` has.

    Returns:
        Only images that refs mention, with all their annotations; categories in order of their ids; boxes as the
        file has them. Sentence fields beyond REFER's are in ``Expression.truth``. A rehearsal's name says that it is
        one (:mod:`harness.data.rehearsal_mark`).

    Raises:
        InputError: a file is missing or damaged, a field is missing or of the wrong type, a size is negative, not
            finite or none, an id comes twice or names nothing, the boxes as a whole are of another form.
    """
    folder = Path(root) / name
    files = ImageFolders(folders_of_images(images) if images else folders_of_root(Path(root), name))
    refs_path, instances_path = _refs_path(folder, split_by), folder / 'instances.json'
    refs_bytes, instances_bytes = read_bytes(refs_path), read_bytes(instances_path)

    refs = _refs(refs_bytes, refs_path)
    mentioned = {fields.integer(ref, 'image_id', f'{refs_path}: refs[{i}]') for i, ref in enumerate(refs)}
    instances = parse_json(instances_bytes, str(instances_path))
    name = dataset_name(name, instances)
    categories = categories_of(instances, str(instances_path))
    infos = images_of(instances, mentioned, files, str(instances_path))
    annotations = annotations_of(instances, infos, categories, str(instances_path))
    dataset = Dataset(
        name=name,
        images=infos,
        expressions=_expressions(refs, name, infos, annotations, str(refs_path)),
        annotations=annotations,
        categories=tuple(categories.values()),
        category_ids=categories,
        data_hash=hashlib.sha256(refs_bytes + instances_bytes).hexdigest(),
        file=str(instances_path),
    )
    check_truth(dataset, dataset.file)
    return dataset


def _refs_path(folder: Path, split_by: str) -> Path:
    pickled, plain = folder / f'refs({split_by}).p', folder / f'refs({split_by}).json'
    if pickled.exists() or plain.exists():
        return pickled if pickled.exists() else plain
    raise InputError(f'{pickled}: there is no such file (nor {plain.name}); give the folder that holds {folder.name}/')


def _refs(data: bytes, path: Path) -> list[Any]:
    refs = safe_pickle.loads(data, str(path)) if path.suffix == '.p' else parse_json(data, str(path))
    if not isinstance(refs, list):
        raise InputError(f'{path}: must be a list of refs, not {fields.kind(refs)}')
    fields.unique((fields.integer(ref, 'ref_id', f'{path}: refs[{i}]') for i, ref in enumerate(refs)),
                  'ref_id', str(path))
    return refs


def categories_of(instances: Any, where: str) -> dict[int, str]:
    """The names of the categories of ``instances.json`` by id, in order of the ids."""
    rows = fields.items(instances, 'categories', where)
    ids = [fields.integer(row, 'id', f'{where}: categories[{i}]') for i, row in enumerate(rows)]
    names = [fields.name(row, 'name', f'{where}: categories[{i}]') for i, row in enumerate(rows)]
    fields.unique(ids, 'category id', where)
    fields.unique(names, 'category', where)
    return dict(sorted(zip(ids, names, strict=True)))


def images_of(instances: Any, mentioned: set[int], files: ImageFolders, where: str) -> dict[int, ImageInfo]:
    """The images of ``instances.json`` that are mentioned, by id."""
    rows = fields.items(instances, 'images', where)
    ids = [fields.integer(row, 'id', f'{where}: images[{i}]') for i, row in enumerate(rows)]
    fields.unique(ids, 'image id', where)
    return {image_id: _image(row, image_id, files, f'{where}: images[{i}]')
            for i, (image_id, row) in enumerate(zip(ids, rows, strict=True)) if image_id in mentioned}


def _image(row: Any, image_id: int, files: ImageFolders, where: str) -> ImageInfo:
    height, width = fields.image_size(row, where)
    return files.info(image_id, height, width, fields.file_name(row, 'file_name', where))


def annotations_of(
    instances: Any, images: dict[int, ImageInfo], categories: dict[int, str], where: str,
) -> dict[int, list[Annotation]]:
    """The annotations of ``instances.json`` by image, a list for each of ``images``."""
    rows = fields.items(instances, 'annotations', where)
    ids = [fields.integer(row, 'id', f'{where}: annotations[{i}]') for i, row in enumerate(rows)]
    fields.unique(ids, 'annotation id', where)
    annotations: dict[int, list[Annotation]] = {image_id: [] for image_id in images}
    for i, (ann_id, row) in enumerate(zip(ids, rows, strict=True)):
        image_id = fields.integer(row, 'image_id', f'{where}: annotations[{i}]')
        if image_id in images:
            annotations[image_id].append(_annotation(row, ann_id, image_id, categories, f'{where}: annotations[{i}]'))
    return annotations


def _annotation(row: Any, ann_id: int, image_id: int, categories: dict[int, str], where: str) -> Annotation:
    category_id = fields.integer(row, 'category_id', where)
    if category_id not in categories:
        raise InputError(f"{where}: 'category_id' {category_id} is none of the file's categories")
    attributes = row.get('attributes')
    if attributes is not None and not isinstance(attributes, dict):
        raise InputError(f"{where}: 'attributes' must be a record, not {fields.kind(attributes)}")
    return Annotation(
        ann_id=ann_id,
        image_id=image_id,
        # COCO itself has a few objects without an area; nobody refers to them.
        xywh=fields.box(row, 'bbox', where, may_be_empty=True),
        category=categories[category_id],
        segmentation=row.get('segmentation') or None,
        attributes=attributes,
    )


def _expressions(
    refs: list[Any], name: str, images: dict[int, ImageInfo], annotations: dict[int, list[Annotation]], where: str,
) -> list[Expression]:
    by_image = {image_id: {a.ann_id: a for a in members} for image_id, members in annotations.items()}
    expressions = [expression for i, ref in enumerate(refs)
                   for expression in _of_ref(ref, name, images, by_image, f'{where}: refs[{i}]')]
    fields.unique((e.sent_id for e in expressions), 'sent_id', where)
    return expressions


def _of_ref(
    ref: Any, name: str, images: dict[int, ImageInfo], by_image: dict[int, dict[int, Annotation]], where: str,
) -> Iterator[Expression]:
    image_id, ann_id = fields.integer(ref, 'image_id', where), fields.integer(ref, 'ann_id', where)
    if image_id not in images:
        raise InputError(f'{where}: its image {image_id} is not in instances.json; the two files belong to one release')
    if ann_id not in by_image[image_id]:
        raise InputError(f'{where}: its annotation {ann_id} is not one of image {image_id} in instances.json; '
                         'the two files belong to one release')
    referent = by_image[image_id][ann_id]
    if referent.xywh[2] * referent.xywh[3] == 0:
        raise InputError(f'{where}: its annotation {ann_id} has no area, so nothing can be found there')
    ref_id, split = fields.integer(ref, 'ref_id', where), fields.name(ref, 'split', where)
    for i, sentence in enumerate(fields.items(ref, 'sentences', where)):
        at = f'{where}: sentences[{i}]'
        yield Expression(
            dataset=name,
            split=split,
            image_id=image_id,
            sent_id=fields.integer(sentence, 'sent_id', at),
            sent=fields.text(sentence, 'sent', at),
            tokens=fields.words(sentence, 'tokens', at),
            gt_xywh=referent.xywh,
            ref_id=ref_id,
            ann_id=ann_id,
            category=referent.category,
            truth=_truth(sentence, by_image[image_id], at),
        )


def _truth(sentence: dict[str, Any], annotations: dict[int, Annotation], where: str) -> dict[str, Any] | None:
    """The fields that only a generated sentence has."""
    truth = {key: value for key, value in sentence.items() if key not in _REFER_KEYS}
    if 'context_ann_ids' in truth:
        context = fields.items(truth, 'context_ann_ids', where)
        if not all(type(ann_id) is int and ann_id in annotations for ann_id in context):
            raise InputError(f"{where}: 'context_ann_ids' must be ids of the image's annotations")
    return truth or None
