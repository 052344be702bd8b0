"""Ref-NMS's databases: encoded sentences, contextual objects, words and their vectors.

Sources, all of ChopinSharp/ref-nms: ``tools/build_refdb.py`` (``build_refdb``), ``tools/build_ctxdb.py``
(``build_ctxdb``) and ``tools/build_vocab.py`` (``build_vocabulary``). Boxes are xyxy with x2 = x + w
(``utils/misc.py: xywh_to_xyxy``), so the annotated xywh is restored only up to rounding.
"""
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adapters.originals.numpy_file import read_npy
from adapters.originals.writing import write_json
from harness.boxes import XYXY
from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes
from harness.types import Dataset, Expression, ImageInfo

if TYPE_CHECKING:
    from harness.words.vectors import WordEmbedding


@dataclass(frozen=True)
class EncodedExpression:
    """One expression of ``std_refdb_*.json``: ``xyxy`` is the referent's box, ``words`` are ids, 0 for unknown ones."""

    sent_id: int
    ref_id: int
    image_id: int
    xyxy: XYXY
    words: tuple[int, ...]


@dataclass(frozen=True)
class RefDB:
    """The expressions of each split in file order; ``dataset_splitby`` is for instance ``refcoco_unc``."""

    dataset_splitby: str
    splits: dict[str, tuple[EncodedExpression, ...]]
    sha256: str = ''

    def dataset(self, words: Sequence[str]) -> Dataset:
        """The same as a dataset of the harness: without annotations, images of unknown size, unknown words as
        ``<unk>``.

        Raises:
            InputError: the id of a word is not in the vocabulary.
        """
        name = self.dataset_splitby.rpartition('_')[0]
        if any(not 0 <= i < len(words) for rows in self.splits.values() for row in rows for i in row.words):
            raise InputError(f'std_refdb_{self.dataset_splitby}.json: has ids beyond the {len(words)} words of its '
                             'vocabulary; give the std_vocab that was made with it')
        expressions = [_expression(name, split, row, words) for split, rows in self.splits.items() for row in rows]
        fields.unique((e.sent_id for e in expressions), 'exp_id', f'std_refdb_{self.dataset_splitby}.json')
        images = {e.image_id: ImageInfo(e.image_id, 0, 0) for e in expressions}
        return Dataset(name, images, expressions, data_hash=self.sha256)


def _expression(name: str, split: str, row: EncodedExpression, words: Sequence[str]) -> Expression:
    tokens = tuple(words[i] for i in row.words)
    x1, y1, x2, y2 = row.xyxy
    return Expression(name, split, row.image_id, row.sent_id, ' '.join(tokens), tokens, (x1, y1, x2 - x1, y2 - y1),
                      row.ref_id)


def read_refdb(path: str | Path) -> RefDB:
    """Read ``std_refdb_<dataset>_<split_by>.json``.

    Raises:
        InputError: the file is not as described.
    """
    data = read_bytes(path)
    record = parse_json(data, str(path))
    name = fields.file_name(record, 'dataset_splitby', str(path))
    if not name.rpartition('_')[0]:
        raise InputError(f"{path}: 'dataset_splitby' must name a dataset and the author of its splits, as in "
                         'refcoco_unc')
    splits = {fields.name({'split': split}, 'split', str(path)): tuple(_encoded(row, f'{path}: {split}[{i}]')
                           for i, row in enumerate(fields.items(record, split, str(path))))
              for split in record if split != 'dataset_splitby'}
    return RefDB(name, splits, hashlib.sha256(data).hexdigest())


def _encoded(row: Any, where: str) -> EncodedExpression:
    words = fields.items(row, 'tokens', where)
    if not set(map(type, words)) <= {int}:
        raise InputError(f"{where}: 'tokens' must be ids of words")
    return EncodedExpression(fields.integer(row, 'exp_id', where), fields.integer(row, 'ref_id', where),
                             fields.integer(row, 'image_id', where), _xyxy(row, 'bbox', where), tuple(words))


@dataclass(frozen=True)
class CriticalBox:
    """An annotated object: xyxy with x2 = x + w, and COCO's id of its category."""

    xyxy: XYXY
    category_id: int


@dataclass(frozen=True)
class CriticalBoxes:
    """An expression's referent and its contextual objects."""

    referent: CriticalBox
    context: tuple[CriticalBox, ...]


#: Split, then ``sent_id``.
ContextDB = Mapping[str, Mapping[int, CriticalBoxes]]


def read_ctxdb(path: str | Path) -> dict[str, dict[int, CriticalBoxes]]:
    """Read ``std_ctxdb_<dataset>_<split_by>.json``.

    Raises:
        InputError: the file is not as described.
    """
    record = parse_json(read_bytes(path), str(path))
    if not isinstance(record, dict) or not all(isinstance(rows, dict) for rows in record.values()):
        raise InputError(f'{path}: must hold, per split, the expressions by sent_id')
    return {split: {whole(sent_id, f'{path}: {split}'): _critical(row, f'{path}: {split} sent_id {sent_id}')
                    for sent_id, row in rows.items()} for split, rows in record.items()}


def write_ctxdb(path: str | Path, splits: ContextDB) -> None:
    """Write the same layout; :func:`read_ctxdb` gives the same.

    Raises:
        InputError: the file cannot be written.
    """
    write_json(Path(path), {
        split: {sent_id: {'gt': _record(row.referent), 'ctx': [_record(box) for box in row.context]}
                for sent_id, row in rows.items()} for split, rows in splits.items()})


def whole(text: str, where: str, what: str = 'the sent_id of an expression') -> int:
    """A whole number from a JSON key, in canonical form."""
    digits = text.removeprefix('-')
    if not text.isascii() or not digits.isdigit() or len(text) > 18 or str(int(text)) != text:
        raise InputError(f'{where}: {text[:40]!r} must be {what}')
    return int(text)


def _critical(row: Any, where: str) -> CriticalBoxes:
    referent = _critical_box(fields.required(row, 'gt', where), where)
    return CriticalBoxes(referent, tuple(_critical_box(box, where) for box in fields.items(row, 'ctx', where)))


def _critical_box(row: Any, where: str) -> CriticalBox:
    return CriticalBox(_xyxy(row, 'box', where), fields.integer(row, 'cat_id', where))


def _record(box: CriticalBox) -> dict[str, Any]:
    return {'box': list(box.xyxy), 'cat_id': box.category_id}


def _xyxy(row: Any, key: str, where: str) -> XYXY:
    values = fields.items(row, key, where)
    if len(values) != 4 or not set(map(type, values)) <= {int, float} or \
            not all(abs(v) <= fields.MAX_COORDINATE for v in values) or values[2] < values[0] or values[3] < values[1]:
        raise InputError(f'{where}: {key!r} must be four numbers x1, y1, x2, y2')
    x1, y1, x2, y2 = map(float, values)
    return x1, y1, x2, y2


def read_words(path: str | Path) -> tuple[str, ...]:
    """The words of ``std_vocab_<dataset>_<split_by>.txt`` in order of their ids, ``<unk>`` first.

    Raises:
        InputError: the file is not UTF-8 text, does not begin with ``<unk>`` or has a word twice.
    """
    from harness.words.vectors import UNKNOWN
    try:
        lines = read_bytes(path).decode().split('\n')
    except UnicodeDecodeError:
        raise InputError(f'{path}: is not UTF-8 text; give a file with one word per line') from None
    words = tuple(lines[:-1] if lines[-1] == '' else lines)
    if not words or words[0] != UNKNOWN:
        raise InputError(f'{path}: must have one word per line, {UNKNOWN} first')
    fields.unique(words, 'word', str(path))
    return words


def read_vocabulary(words: str | Path, vectors: str | Path) -> WordEmbedding:
    """``std_vocab_*.txt`` and ``std_glove_*.npy`` (words, 300) float32, the first row zeros, as one vocabulary.

    Raises:
        InputError: a file is not as described, or they do not belong together.
    """
    import torch

    known, table = read_words(words), read_npy(vectors, (None, None))
    if len(known) != len(table):
        raise InputError(f'{vectors}: has {len(table)} vectors for the {len(known)} words of {words}; '
                         'give two files of the same run of tools/build_vocab.py')
    with np.errstate(over='ignore'):  # it is infinite then, and refused
        rows: NDArray[np.float32] = table.astype(np.float32)
    if not np.isfinite(rows).all():
        raise InputError(f'{vectors}: holds numbers that are not finite; create it again')
    return WordEmbedding(known, torch.from_numpy(rows))


