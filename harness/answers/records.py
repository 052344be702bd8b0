"""An answer as its file has it: the words or numbers, and whatever the file says of what was asked."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.answers.notations import Reading, read_boxes, read_numbers
from harness.boxes import XYXY
from harness.errors import InputError
from harness.files import fields
from harness.plugins import AnswerForm

#: No file of answers holds more: all expressions of the three datasets are 378,786.
MOST_ANSWERS = 500_000
#: No file of answers holds more boxes.
MOST_BOXES = 2_000_000
#: No sentence is longer, in characters.
LONGEST_SENTENCE = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer is the answer to; ``None`` where the file does not say.

    Attributes:
        sent_id: the expression.
        ann_id: the referent's annotation.
        dataset: its dataset.
        split: its split.
        image: the image's file name or id, as it stands in the file.
        sent: the sentence.
        truth: the referent's box, x1, y1, x2, y2 in pixels.
        size: width and height of the image in pixels.
        group: what answers about one referent share.
        whole: this one answer is for all sentences of the referent.
    """

    sent_id: int | None = None
    ann_id: int | None = None
    dataset: str | None = None
    split: str | None = None
    image: str | None = None
    sent: str | None = None
    truth: XYXY | None = None
    size: tuple[int, int] | None = None
    group: str | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer.

    Attributes:
        row: where it stands in its file.
        reading: what it says.
        asked: what it is the answer to.
        coordinates: what its numbers are, where this row says so.
        input_size: width and height of the model's input, where this row says so.
    """

    row: str
    reading: Reading
    asked: Asked
    coordinates: str | None = None
    input_size: tuple[int, int] | None = None


def read_answers(form: AnswerForm, path: Path) -> list[RawAnswer]:
    """The answers of a file, in its order.

    Raises:
        InputError: it is not of the form, holds no answer, more than :data:`MOST_ANSWERS` or more than
            :data:`MOST_BOXES`.
    """
    answers: list[RawAnswer] = []
    boxes = 0
    for answer in form.read(path):
        answers.append(answer)
        boxes += len(answer.reading.boxes)
        if len(answers) > MOST_ANSWERS or boxes > MOST_BOXES:
            raise InputError(f'{path}: holds more than {MOST_ANSWERS:,} answers or {MOST_BOXES:,} boxes; give the '
                             'answers to one dataset')
        if len(answer.asked.sent or '') > LONGEST_SENTENCE:
            raise InputError(f'{path}: {answer.row}: its sentence is longer than {LONGEST_SENTENCE} characters, which '
                             'none is')
    if not answers:
        raise InputError(f'{path}: holds no answers')
    return answers


def said(words: Any, where: str) -> Reading:
    """What a field of raw words says; ``null`` says nothing.

    Raises:
        InputError: it is neither text nor ``null``.
    """
    if words is None:
        return Reading('empty', 'says nothing')
    if not isinstance(words, str):
        raise InputError(f"{where}: the model's words must be text, not {fields.kind(words)}")
    return read_boxes(words)


def given(record: Any, key: str, where: str) -> Reading:
    """What a field of numbers x1, y1, x2, y2 says.

    Raises:
        InputError: it is not a list of four numbers; those that are not finite make it unreadable.
    """
    return read_numbers([four(record, key, where)])


def four(record: Any, key: str, where: str) -> XYXY:
    """Four numbers of a field, finite or not.

    Raises:
        InputError: it is anything else.
    """
    values = fields.items(record, key, where)
    if len(values) != 4 or not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise InputError(f'{where}: {key!r} must be four numbers')
    x1, y1, x2, y2 = (_float(value) for value in values)
    return x1, y1, x2, y2


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of four hundred digits
        return float('inf')


def true_box(record: Any, key: str, where: str) -> XYXY:
    """The referent's box x1, y1, x2, y2 in pixels.

    Raises:
        InputError: a number in it is not finite or beyond a million pixels, or it has no area.
    """
    x1, y1, x2, y2 = four(record, key, where)
    fields.box({key: [x1, y1, x2 - x1, y2 - y1]}, key, where)
    return x1, y1, x2, y2


def size_of(record: Any, key: str, where: str) -> tuple[int, int]:
    """Width and height of a field that has height and width.

    Raises:
        InputError: it is anything else.
    """
    values = fields.items(record, key, where)
    if len(values) != 2:
        raise InputError(f'{where}: {key!r} must be height and width')
    height, width = fields.image_size({'height': values[0], 'width': values[1]}, where)
    return width, height


def optional(record: Mapping[str, Any], key: str, where: str, read: Any) -> Any:
    """A field by one of the readers of :mod:`harness.files.fields`; ``None`` where it is missing or ``null``."""
    return None if record.get(key) is None else read(record, key, where)
