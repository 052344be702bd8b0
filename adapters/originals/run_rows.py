"""A run's rows as ``export`` reads them; rows of another program are refused with file, line and field."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.data.rows import PredictionRow, ProposalsRow, read_rows
from harness.errors import InputError
from harness.files import fields

PREDICTION_FIELDS = ('dataset', 'split', 'image_id', 'ref_id', 'ann_id', 'sent_id', 'sent', 'proposals', 'grounder',
                     'box', 'score', 'rle', 'iou', 'gt_box', 'mask_intersection', 'mask_union', 'context_ann_ids')
PROPOSALS_FIELDS = ('dataset', 'split', 'image_id', 'sent_id', 'proposals', 'boxes', 'labels', 'confidence',
                    'relatedness')
#: Fields that become parts of file names.
FILE_NAMES = ('dataset', 'split', 'proposals', 'grounder')


def prediction_rows(path: Path) -> list[PredictionRow]:
    """The rows of ``predictions.jsonl``.

    Raises:
        InputError: a row is not as described, or a sentence occurs twice.
    """
    rows = [row for _, row in _rows(path, PredictionRow, PREDICTION_FIELDS)]
    fields.unique(((row['dataset'], row['proposals'], row['grounder'], row['sent_id']) for row in rows),
                  'the answer of (dataset, proposals, grounder, sent_id)', str(path))
    return rows


def proposals_rows(path: Path) -> list[ProposalsRow]:
    """The rows of ``proposals.jsonl``.

    Raises:
        InputError: a row is not as described, its columns are not of the same boxes, or a sentence occurs twice.
    """
    rows = []
    for number, row in _rows(path, ProposalsRow, PROPOSALS_FIELDS):
        columns = row['labels'], row['confidence'], row['relatedness']
        if any(column is not None and len(column) != len(row['boxes']) for column in columns):
            raise InputError(f"{path}: line {number}: 'labels', 'confidence' and 'relatedness' are not of its "
                             f'{len(row["boxes"])} boxes; give the folder that a run wrote')
        rows.append(row)
    fields.unique(((row['dataset'], row['proposals'], row['sent_id']) for row in rows),
                  'the proposals of (dataset, proposals, sent_id)', str(path))
    return rows


def _rows(path: Path, schema: Any, names: tuple[str, ...]) -> Iterator[tuple[int, Any]]:
    """Rows whose names can be parts of file names, each with the number of its line."""
    bare: set[str] = set()
    for number, row in read_rows(path, schema, *names):
        for field in FILE_NAMES:
            name = row.get(field, '-')
            if name not in bare and (set(name) & set('/\\') or name in ('.', '..')):
                raise InputError(f'{path}: line {number}: is no row of a run: {field!r} must be a name that can be '
                                 'printed, without folders; give the folder that a run wrote')
            bare.add(name)
        yield number, row
