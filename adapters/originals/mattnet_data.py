"""MAttNet's and CM-A-E's prepared data: ``data.json``, and ``data.h5`` with the encoded sentences.

Source: ``tools/prepro.py`` of lichengunc/MAttNet (``main``, ``prepare_json``, ``build_vocab``, ``encode_captions``);
the copy in ChopinSharp/CM-Erase-REG is the same. ``word_to_ix`` has ``<PAD>`` first and ``<UNK>``, ``<BOS>``, ``<EOS>``
last; rare words of a sentence's ``tokens`` are already ``<UNK>``. ``labels`` (sentences, label_length) int32 has a row
``h5_id`` a sentence, zeros at the end. Boxes are xywh as annotated.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.modular.attributes import Attributes
from adapters.modular.vocabulary import PAD, UNK, Vocabulary
from adapters.originals.hdf5 import numbers
from harness.data.box_forms import check_truth
from harness.data.image_files import ImageFolders, folders_of_images
from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes
from harness.types import Annotation, Dataset, Expression, ImageInfo

_LONGEST = 1000


@dataclass(frozen=True)
class MattNetData:
    """What the two files hold.

    Attributes:
        dataset: refs in file order, the sentences of each in order; ``sent`` is the encoded words, as the file has no
            other text; no masks.
        vocabulary: words in order of their ids, and the length that sentences are cut at.
        attributes: attribute words in order of their ids, and of how many referents each is said.
        said: attribute words of each ``ref_id``.
        labels: ``(sentences, L)`` int64 word ids, zeros at the end; ``None`` without ``data.h5``.
        sentence_rows: row of ``labels`` by ``sent_id``.
        annotation_rows: row of ``*_ann_feats.h5`` by ``ann_id``.
        category_ids: COCO's id by category name.
    """

    dataset: Dataset
    vocabulary: Vocabulary
    attributes: Attributes
    said: dict[int, tuple[str, ...]]
    labels: NDArray[np.int64] | None
    sentence_rows: dict[int, int]
    annotation_rows: dict[int, int]
    category_ids: dict[str, int]


def read_mattnet_data(data_json: str | Path, data_h5: str | Path | None = None, name: str | None = None,
                      images: Path | None = None) -> MattNetData:
    """Read ``data.json`` and, where given, ``data.h5``.

    Args:
        data_json, data_h5: the files.
        name: of the dataset; by default what the folder is called before its last ``_``: ``refcoco``.
        images: the image folder.

    Raises:
        InputError: a file is missing or not as described, or the two do not belong together.
    """
    path = Path(data_json)
    record, dataset = read_dataset(path, name, images)
    where = str(path)
    vocabulary = _vocabulary(record, where)
    attributes = _attributes(record, where)
    rows = fields.items(record, 'sentences', where)
    sentence_rows = {fields.integer(row, 'sent_id', f'{where}: sentences[{i}]'):
                     fields.integer(row, 'h5_id', f'{where}: sentences[{i}]') for i, row in enumerate(rows)}
    _check_rows(sentence_rows, 'sentences', where)
    labels = None if data_h5 is None else _labels(Path(data_h5), len(rows), vocabulary)
    known = frozenset(attributes.words)
    said = {fields.integer(ref, 'ref_id', where): _said(ref, known, f'{where}: refs[{i}]')
            for i, ref in enumerate(fields.items(record, 'refs', where))}
    return MattNetData(dataset, vocabulary, attributes, said, labels, sentence_rows,
                       annotation_rows(record, where), category_ids(record, where))


def read_dataset(path: Path, name: str | None, images: Path | None) -> tuple[dict[str, Any], Dataset]:
    """What MAttNet's ``data.json`` and NMTree's ``data_dep.json`` share: the record, and the dataset in it."""
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
    note = f'{name}: sentences are those of {path.name}, with rare words as {UNK}; no masks'
    dataset = Dataset(name, infos, expressions, annotations, tuple(sorted(category_ids(record, where))), [note],
                      hashlib.sha256(data).hexdigest(), where)
    check_truth(dataset, where)
    return record, dataset


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
    """``cat_to_ix``."""
    table = fields.required(record, 'cat_to_ix', where)
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: 'cat_to_ix' must be ids by category, not {fields.kind(table)}")
    found = {name: fields.integer(table, name, f'{where}: cat_to_ix') for name in table}
    fields.unique(found.values(), 'category id', where)
    return found


def annotation_rows(record: Any, where: str) -> dict[int, int]:
    """``h5_id`` by ``ann_id``."""
    rows = {fields.integer(row, 'ann_id', f'{where}: anns[{i}]'): fields.integer(row, 'h5_id', f'{where}: anns[{i}]')
            for i, row in enumerate(fields.items(record, 'anns', where))}
    _check_rows(rows, 'anns', where)
    return rows


def _check_rows(rows: dict[int, int], what: str, where: str) -> None:
    if sorted(rows.values()) != list(range(len(rows))):
        raise InputError(f"{where}: the 'h5_id' of {what} must be 0 to {len(rows) - 1}, each once")


def _images(record: Any, folder: Path | None, where: str) -> dict[int, ImageInfo]:
    infos: dict[int, ImageInfo] = {}
    files = folder and ImageFolders(folders_of_images(folder))
    for i, row in enumerate(fields.items(record, 'images', where)):
        at = f'{where}: images[{i}]'
        height, width = fields.image_size(row, at)
        name = fields.file_name(row, 'file_name', at)
        image_id = fields.integer(row, 'image_id', at)
        if image_id in infos:
            raise InputError(f'{where}: image_id {image_id} comes twice; every one must be unique')
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


def _vocabulary(record: Any, where: str) -> Vocabulary:
    words = words_in_order(record, 'word_to_ix', where)
    longest = fields.integer(record, 'label_length', where)
    if not words or words[0] != PAD or UNK not in words:
        raise InputError(f"{where}: 'word_to_ix' must have {PAD} as 0, and {UNK}")
    if not 0 < longest <= _LONGEST:
        raise InputError(f"{where}: 'label_length' {longest} is no length of a sentence")
    return Vocabulary(words, longest)


def _attributes(record: Any, where: str) -> Attributes:
    words = words_in_order(record, 'att_to_ix', where)
    counts = fields.required(record, 'att_to_cnt', where)
    return Attributes(words, tuple(fields.integer(counts, word, f'{where}: att_to_cnt') for word in words))


def _said(ref: Any, known: frozenset[str], where: str) -> tuple[str, ...]:
    said = fields.words(ref, 'att_wds', where)
    if not known.issuperset(said):
        raise InputError(f"{where}: one of its 'att_wds' is not in 'att_to_ix'")
    return said


def _labels(path: Path, sentences: int, vocabulary: Vocabulary) -> NDArray[np.int64]:
    labels = np.array(numbers(path, 'labels', (sentences, vocabulary.max_length)))
    if labels.dtype.kind not in 'iu' or (labels.size and not (labels.min() >= 0 and labels.max() < len(vocabulary))):
        raise InputError(f"{path}: 'labels' must be ids of the {len(vocabulary)} words in data.json")
    return labels.astype(np.int64)
