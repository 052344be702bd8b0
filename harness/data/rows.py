"""The rows of a run's files, declared once: the name of each field and what it may hold.

``harness/evaluation/predictions.py`` writes them; a reader names the fields that it needs, and a row is checked for
these alone, so that files of earlier versions and rows with further fields can be read.
"""
from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, AllowInfNan, ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict, get_type_hints

from harness.errors import InputError
from harness.files import fields
from harness.files.faults import fault
from harness.files.reading import parse_json, read_lines

#: No name of a dataset, split, rule, grounder or metric is longer.
LONGEST_NAME = 200
_ANY_INTEGER = 1 << 62


def _printable(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError('must be a name that can be printed')
    return name


Name = Annotated[str, AfterValidator(_printable)]
Id = Annotated[int, Ge(-_ANY_INTEGER), Le(_ANY_INTEGER)]
Count = Annotated[int, Ge(0), Le(_ANY_INTEGER)]
Pixels = Annotated[int, Ge(0), Le(fields.MAX_PIXELS)]
Finite = Annotated[float, AllowInfNan(False)]
#: An IoU, which rounding may lift over 1.
Share = Annotated[float, AllowInfNan(False), Ge(0), Le(1 + 1e-9)]
Coordinate = Annotated[float, AllowInfNan(False), Ge(-fields.MAX_COORDINATE), Le(fields.MAX_COORDINATE)]
Box = Annotated[list[Coordinate], Len(4, 4)]
#: Width and height in pixels.
Size = Annotated[list[Annotated[int, Ge(1), Le(fields.MAX_PIXELS)]], Len(2, 2)]
#: What came of a model's words: a box, nothing to read, several boxes, or words that are no box.
AnswerClass = Literal['read', 'empty', 'several', 'unreadable']


class PredictionRow(TypedDict):
    """A row of ``predictions.jsonl``; files of earlier versions lack the fields that are not required.

    ``answer``, ``answer_why`` and ``answer_boxes`` are of answers from outside alone: what came of the model's words,
    why they were not read, and all boxes in them, xywh in pixels, where there are several; ``box`` is the first.
    """

    dataset: Name
    split: Name
    image_id: Id
    ref_id: Id | None
    ann_id: Id | None
    sent_id: Id
    sent: str
    proposals: Name
    grounder: Name
    box: Box | None
    score: Finite | None
    label: str | None
    rle: dict[str, Any] | None
    n_proposals: Count | None
    iou: Share | None
    mask_intersection: Pixels | None
    mask_union: Pixels | None
    chosen_ann_id: NotRequired[Id | None]
    chosen_gt_label: NotRequired[str | None]
    chosen_gt_iou: NotRequired[Share | None]
    best_candidate_iou: Share | None
    best_proposal_iou: Share | None
    best_proposal_label: str | None
    context_hits: Count | None
    n_context: Count | None
    context_ann_ids: NotRequired[list[Id] | None]
    gt_box: Box
    gt_label: str | None
    n_same_category: Count | None
    image_size: NotRequired[Size | None]
    image_file: NotRequired[str | None]
    answer: NotRequired[AnswerClass | None]
    answer_why: NotRequired[str | None]
    answer_boxes: NotRequired[list[Box] | None]


class ProposalsRow(TypedDict):
    """A row of ``proposals.jsonl``, each column of the same n boxes."""

    dataset: Name
    split: Name
    image_id: Id
    sent_id: Id
    proposals: Name
    boxes: list[Box]
    labels: list[str | None]
    hits: NotRequired[list[str | None]]
    confidence: list[Finite] | None
    relatedness: list[Finite] | None
    word_attention: list[Finite] | None


def read_rows(path: Path, schema: Any, *names: str) -> Iterator[tuple[int, Any]]:
    """The rows of a ``.jsonl`` file, each with the number of its line.

    Args:
        path: the file, which may be gzip.
        schema: :class:`PredictionRow` or :class:`ProposalsRow`.
        names: the fields that the caller needs.

    Raises:
        InputError: the file can't be read, or a row of it lacks a field or has a wrong one.
    """
    adapter = _adapter(schema, names)
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            yield number, _row(line, adapter, f'{path}: line {number}')


def _row(line: bytes, adapter: TypeAdapter[Any], where: str) -> Any:
    try:
        return adapter.validate_json(line)
    except ValidationError:  # which parse_json says better if the line is no JSON
        row = parse_json(line, where)
    try:
        return adapter.validate_python(row)
    except ValidationError as error:
        raise InputError(f'{where}: is no row of a run: {fault(error)}; give the folder that a run wrote') from None


@cache
def _adapter(schema: Any, names: tuple[str, ...]) -> TypeAdapter[Any]:
    """A validator of some fields of a row, in strict mode."""
    hints = get_type_hints(schema, include_extras=True)
    typed_dict: Any = TypedDict
    some = typed_dict(schema.__name__, {name: hints[name] for name in names})
    return TypeAdapter(with_config(ConfigDict(strict=True))(some))
