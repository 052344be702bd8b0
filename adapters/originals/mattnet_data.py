"""MAttNet's and CM-A-E's prepared data, ``data.json``, and what NMTree's ``data_dep.json`` shares with it.

Source: ``tools/prepro.py`` of lichengunc/MAttNet (``main``, ``prepare_json``, ``build_vocab``); the copy in
ChopinSharp/CM-Erase-REG is the same. Rare words of a sentence's ``tokens`` are already ``<UNK>``. Boxes are xywh as
annotated.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.box_forms import check_truth
from harness.data.image_files import ImageFolders, folders_of_images
from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes
from harness.types import Annotation, Dataset, Expression, ImageInfo


def read_dataset(path: Path, name: str | None, images: Path | None) -> Dataset:
    """The dataset of a ``data.json`` or ``data_dep.json``.

    Args:
        path: the file.
        name: of the dataset; by default the name of the folder up to its last ``_``: ``refcoco``.
        images: the image folder.

    Returns:
        Refs in file order, the sentences of each in order; ``sent`` is the encoded words, as the file has no other
        text; no masks.

    Raises:
        InputError: the file is missing or not as described.
    """
    data = read_bytes(path)
    record = parse_json(data, str(path))
    where = str(path)
    if name is None:
        name = path.resolve().parent.name.rpartition('_')[0] or path.stem
    infos = _images(record, images, where)
    annotations = _annotations(record, infos, where)
    tokens = {fields.integer(row, 'sent_id', f'{where}: sentences[{i}]'):
              fields.words(row, 'tokens', f'{where}: sentences[{i}]')
              for i, row in enumerate(fields.items(record, 'sentences', where))}
    expressions = [e for i, ref in enumerate(fields.items(record, 'refs', where))
                   for e in _of_ref(ref, name, infos, annotations, tokens, f'{where}: refs[{i}]')]
    fields.unique((e.sent_id for e in expressions), 'sent_id', where)
    from adapters.modular.vocabulary import UNK
    note = f'{name}: sentences are those of {path.name}, with rare words as {UNK}; no masks'
    dataset = Dataset(name, infos, expressions, annotations, tuple(sorted(category_ids(record, where))), [note],
                      hashlib.sha256(data).hexdigest(), where)
    check_truth(dataset, where)
    return dataset


def words_in_order(record: Any, key: str, where: str) -> tuple[str, ...]:
    """The words of a ``…_to_ix`` in order of their ids, which must be 0, 1, 2 and so on."""
    table = fields.required(record, key, where)
    if not isinstance(table, Mapping):
        raise InputError(f'{where}: {key!r} must be ids by word, not {fields.kind(table)}')
    ids = {fields.integer(table, word, f'{where}: {key}'): word for word in table}
    if sorted(ids) != list(range(len(table))):
        raise InputError(f'{where}: the ids in {key!r} must be 0 to {len(table) - 1}, each once')
    return tuple(ids[i] for i in range(len(table)))


def category_ids(record: Any, where: str) -> dict[str, int]:
    """The ids of ``cat_to_ix``, by category."""
    table = fields.required(record, 'cat_to_ix', where)
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: 'cat_to_ix' must be ids by category, not {fields.kind(table)}")
    found = {name: fields.integer(table, name, f'{where}: cat_to_ix') for name in table}
    fields.unique(found.values(), 'category id', where)
    return found


def _images(record: Any, folder: Path | None, where: str) -> dict[int, ImageInfo]:
    infos: dict[int, ImageInfo] = {}
    files = folder and ImageFolders(folders_of_images(folder))
    for i, row in enumerate(fields.items(record, 'images', where)):
        at = f'{where}: images[{i}]'
        height, width = fields.image_size(row, at)
        name = fields.file_name(row, 'file_name', at)
        image_id = fields.integer(row, 'image_id', at)
        if image_id in infos:
            raise InputError(f'{where}: image_id {image_id} occurs twice; each must be unique')
        infos[image_id] = (files.info(image_id, height, width, name) if files else
                           ImageInfo(image_id, height, width))
    return infos


def _annotations(record: Any, infos: Mapping[int, ImageInfo], where: str) -> dict[int, list[Annotation]]:
    names = {category_id: name for name, category_id in category_ids(record, where).items()}
    found: dict[int, list[Annotation]] = {image_id: [] for image_id in infos}
    rows = fields.items(record, 'anns', where)
    fields.unique((fields.integer(row, 'ann_id', f'{where}: anns[{i}]') for i, row in enumerate(rows)), 'ann_id', where)
    for i, row in enumerate(rows):
        at = f'{where}: anns[{i}]'
        image_id, category_id = fields.integer(row, 'image_id', at), fields.integer(row, 'category_id', at)
        if image_id not in found:
            raise InputError(f'{at}: its image {image_id} is not in the file')
        if category_id not in names:
            raise InputError(f"{at}: 'category_id' {category_id} is not in 'cat_to_ix'")
        found[image_id].append(Annotation(fields.integer(row, 'ann_id', at), image_id,
                                          fields.box(row, 'box', at, may_be_empty=True), names[category_id]))
    return found


def _of_ref(ref: Any, name: str, infos: Mapping[int, ImageInfo], annotations: Mapping[int, list[Annotation]],
            tokens: Mapping[int, tuple[str, ...]], where: str) -> Iterator[Expression]:
    image_id, ann_id = fields.integer(ref, 'image_id', where), fields.integer(ref, 'ann_id', where)
    referent = next((a for a in annotations.get(image_id, ()) if a.ann_id == ann_id), None)
    if image_id not in infos or referent is None:
        raise InputError(f'{where}: its annotation {ann_id} is not one of image {image_id} in this file')
    ref_id, split = fields.integer(ref, 'ref_id', where), fields.name(ref, 'split', where)
    box = fields.box(ref, 'box', where)
    for sent_id in fields.items(ref, 'sent_ids', where):
        if type(sent_id) is not int or sent_id not in tokens:
            raise InputError(f"{where}: one of its 'sent_ids' is not among the file's sentences")
        words = tokens[sent_id]
        yield Expression(name, split, image_id, sent_id, ' '.join(words), words, box, ref_id, ann_id, referent.category)
