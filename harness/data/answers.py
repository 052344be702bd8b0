"""Answers that another program gave: a box, a mask or both for each expression.

Two layouts are read here, told apart by their first sign:

- ``predictions.jsonl`` of a run (:mod:`harness.evaluation.predictions`), every rule and grounder in it that answers;
- COCO's results as one JSON list, with ``sent_id`` in the place of ``image_id``: ``{"sent_id": 7, "bbox": [x, y, w, h],
  "score": 0.9, "segmentation": {…}}``, of which ``bbox`` or ``segmentation`` may be left out. A mask may also be called
  ``rle`` or ``mask``.

Boxes are xywh in image pixels, kept to the file's digits.
"""
from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes
from harness.types import XYWH

#: The name of a rule that a file does not tell.
OUTSIDE = 'outside'
#: The grounder of rows that are about recall alone.
NO_GROUNDER = '-'
Key = tuple[str | None, int]
#: What an answer in a model's words is: a box; nothing, because the model declined; several boxes, of which the first
#: counts; or anything else.
Kind = Literal['read', 'empty', 'several', 'unreadable']
#: What a mask is called in a list.
_MASKS = ('segmentation', 'rle', 'mask')
#: What somebody else may call an answer's box or mask; the truth's own is none.
_LIKE_A_BOX, _LIKE_A_MASK = (re.compile(f'(?i)(?!gt|true|truth|target|ground).*({what})') for what in
                             ('box', 'mask|rle|seg'))


@dataclass(frozen=True)
class Answer:
    """One expression's: ``segmentation`` is any of COCO's, not yet checked against the image.

    Of a model's own words (``--answers``), ``kind`` says what they are, ``why`` what is behind that, and ``boxes`` has
    every box in them, the one that counts first.
    """

    xywh: XYWH | None = None
    score: float | None = None
    label: str | None = None
    segmentation: Any = None
    kind: Kind | None = None
    why: str | None = None
    boxes: tuple[XYWH, ...] = ()


@dataclass
class Answers:
    """One grounder's on one rule's proposals.

    ``given`` holds a list for each ``(dataset, sent_id)``, ``None`` for the dataset where the file does not name it; an
    honest file has one answer in each. ``in_words``: they are a model's own words, of which every answer says what they
    are.
    """

    proposals: str
    grounder: str
    given: dict[Key, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    in_words: bool = False

    def of(self, dataset: str, sent_id: int) -> list[Answer]:
        """The answers to one expression."""
        return self.given.get((dataset, sent_id)) or self.given.get((None, sent_id)) or []

    @property
    def datasets(self) -> set[str]:
        """The datasets that the file names."""
        return {dataset for dataset, _ in self.given if dataset is not None}


def read_answers(path: Path) -> list[Answers]:
    """The answers in a file, a set for each rule and grounder.

    Raises:
        InputError: the file is of neither layout, or a record in it has a wrong field.
    """
    data = read_bytes(path)
    if data.lstrip(b'\xef\xbb\xbf \t\r\n').startswith(b'['):
        sets = [_from_list(parse_json(data, str(path)), path)]
    else:
        sets = _from_lines(data, path)
    if not any(answers.given for answers in sets):
        raise InputError(f'{path}: holds no answers; a record an expression is needed, with sent_id')
    return sets


def name_of(path: Path) -> str:
    """What the grounder of a file's answers is called where the file does not say."""
    name = path.name.split('.')[0]
    return name if name.strip() and name.isprintable() and name != NO_GROUNDER else 'answers'


def _from_list(records: Any, path: Path) -> Answers:
    answers = Answers(OUTSIDE, name_of(path))
    for number, record in enumerate(records, start=1):
        where = f'{path}: record {number}'
        sent_id = fields.integer(record, 'sent_id', where)
        dataset = fields.name(record, 'dataset', where) if 'dataset' in record else None
        _nothing_unread(record, ('bbox',), _MASKS, where)
        masks = [key for key in _MASKS if record.get(key) is not None]
        if len(masks) > 1:
            raise InputError(f'{where}: has a mask twice, as {masks[0]!r} and as {masks[1]!r}; keep one')
        if record.get('bbox') is None and not masks:
            raise InputError(f"{where}: has neither 'bbox' nor 'segmentation'")
        answers.given[dataset, sent_id].append(Answer(_box(record, 'bbox', where), _score(record, where), None,
                                                      record[masks[0]] if masks else None))
    return answers


def _from_lines(data: bytes, path: Path) -> list[Answers]:
    sets: dict[tuple[str, str], Answers] = {}
    for number, line in enumerate(data.split(b'\n'), start=1):
        if not line.strip():
            continue
        where = f'{path}: line {number}'
        row = parse_json(line, where)
        names = fields.name(row, 'proposals', where), fields.name(row, 'grounder', where)
        if names[1] == NO_GROUNDER:
            continue
        _nothing_unread(row, ('box',), ('rle',), where)
        key = fields.name(row, 'dataset', where), fields.integer(row, 'sent_id', where)
        label = None if row.get('label') is None else fields.name(row, 'label', where)
        answers = sets.setdefault(names, Answers(*names))
        answers.given[key].append(Answer(_box(row, 'box', where), _score(row, where), label, row.get('rle')))
    return list(sets.values())


def _nothing_unread(record: Mapping[str, Any], boxes: Sequence[str], masks: Sequence[str], where: str) -> None:
    """Refuse a box or a mask under a name that is not read, where none is: the answer would silently be a miss."""
    for names, like in ((boxes, _LIKE_A_BOX), (masks, _LIKE_A_MASK)):
        if all(record.get(name) is None for name in names):
            for key, value in record.items():
                if isinstance(value, list | dict) and like.match(key):
                    raise InputError(f'{where}: {key[:40]!r} is not read; an answer is called '
                                     f'{" or ".join(map(repr, names))}')


def _box(record: Mapping[str, Any], key: str, where: str) -> XYWH | None:
    return None if record.get(key) is None else fields.box(record, key, where, may_be_empty=True)


def _score(record: Mapping[str, Any], where: str) -> float | None:
    return None if record.get('score') is None else fields.number(record, 'score', where)


def first_few(keys: Iterable[Any], most: int = 5) -> str:
    """A few of many, for a message."""
    listed = list(keys)
    return ', '.join(map(str, listed[:most])) + (f' and {len(listed) - most} more' if len(listed) > most else '')
