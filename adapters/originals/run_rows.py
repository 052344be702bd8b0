"""A run's rows as ``export`` reads them; those of another program are refused by file, line and field."""
from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NotRequired

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, AllowInfNan, ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from harness.errors import InputError
from harness.files import fields
from harness.files.metadata import fault
from harness.files.reading import parse_json, read_bytes


def _bare(name: str) -> str:
    """Names become parts of the files' names."""
    if not name.strip() or not name.isprintable() or set(name) & set('/\\') or name in ('.', '..'):
        raise ValueError('must be a name that can be printed, without folders')
    return name


Name = Annotated[str, AfterValidator(_bare)]
Id = Annotated[int, Ge(-(1 << 62)), Le(1 << 62)]
Finite = Annotated[float, AllowInfNan(False)]
Coordinate = Annotated[float, AllowInfNan(False), Ge(-fields.MAX_COORDINATE), Le(fields.MAX_COORDINATE)]
Box = Annotated[list[Coordinate], Len(4, 4)]
Pixels = Annotated[int, Ge(0), Le(fields.MAX_PIXELS)]


@with_config(ConfigDict(strict=True))
class PredictionRow(TypedDict):
    """A row of ``predictions.jsonl``."""

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
    rle: dict[str, Any] | None
    iou: Finite | None
    gt_box: Box
    mask_intersection: Pixels | None
    mask_union: Pixels | None
    context_ann_ids: NotRequired[list[Id] | None]


@with_config(ConfigDict(strict=True))
class ProposalsRow(TypedDict):
    """A row of ``proposals.jsonl``, a column each of the same n boxes."""

    dataset: Name
    split: Name
    image_id: Id
    sent_id: Id
    proposals: Name
    boxes: list[Box]
    labels: list[str | None]
    confidence: list[Finite] | None
    relatedness: list[Finite] | None


def prediction_rows(path: Path) -> list[PredictionRow]:
    """The rows of ``predictions.jsonl``.

    Raises:
        InputError: a row is not as described, or a sentence comes twice.
    """
    rows = [row for _, row in _rows(path, PredictionRow)]
    fields.unique(((row['dataset'], row['proposals'], row['grounder'], row['sent_id']) for row in rows),
                  'the answer of (dataset, proposals, grounder, sent_id)', str(path))
    return rows


def proposals_rows(path: Path) -> list[ProposalsRow]:
    """The rows of ``proposals.jsonl``.

    Raises:
        InputError: a row is not as described, its columns are not of the same boxes, or a sentence comes twice.
    """
    rows = []
    for number, row in _rows(path, ProposalsRow):
        columns = row['labels'], row['confidence'], row['relatedness']
        if any(column is not None and len(column) != len(row['boxes']) for column in columns):
            raise InputError(f"{path}: line {number}: 'labels', 'confidence' and 'relatedness' are not of its "
                             f'{len(row["boxes"])} boxes; give the folder that a run wrote')
        rows.append(row)
    fields.unique(((row['dataset'], row['proposals'], row['sent_id']) for row in rows),
                  'the proposals of (dataset, proposals, sent_id)', str(path))
    return rows


def _rows(path: Path, schema: Any) -> Iterator[tuple[int, Any]]:
    """Each with the number of its line."""
    for number, line in enumerate(read_bytes(path).split(b'\n'), start=1):
        if not line.strip():
            continue
        row = parse_json(line, f'{path}: line {number}')
        try:
            yield number, _adapter(schema).validate_python(row)
        except ValidationError as error:
            raise InputError(f'{path}: line {number}: is no row of a run: {fault(error)}; give the folder that a run '
                             'wrote') from None


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    return TypeAdapter(schema)
