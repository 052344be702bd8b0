"""``predictions.jsonl`` as a table: read line by line and strictly, a column at a time.

A row of the table is a rule's and grounder's answer to one expression (``harness/evaluation/predictions.py`` writes
them). What is ``null`` in the file is NaN in the table, and the answer of a grounder that had no box to choose has IoU
0.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
from annotated_types import Ge, Le

from harness.data.rows import (
    LONGEST_NAME,
    AnswerClass,
    Box,
    Count,
    Id,
    Name,
    Pixels,
    PredictionRow,
    Share,
    Size,
)
from harness.data.run_files import predictions_file
from harness.errors import InputError
from harness.files.archives import archive_fault
from harness.files.fields import MAX_COORDINATE
from harness.files.reading import require_regular

#: What tells one row from another; ``EXPRESSION`` tells one expression from another.
EXPRESSION = ['dataset', 'sent_id']
ROW = [*EXPRESSION, 'proposals', 'grounder']
#: The grounder of rows that only have proposals.
NO_GROUNDER = '-'
#: Fields about the annotated object that the chosen box is on; files of earlier versions have none of them.
CHOSEN = ('chosen_ann_id', 'chosen_gt_label', 'chosen_gt_iou')
#: Fields of answers from outside: a run of ours has none of them.
OUTSIDE = ('answer', 'answer_why', 'answer_boxes')
#: What a file may lack.
OPTIONAL = (*CHOSEN, 'image_size', 'image_file', *OUTSIDE)

_CHUNK = 20_000
_ANY_NUMBER = float(1 << 62)
_LARGEST_SIDE = 1_000_000


class Field(NamedTuple):
    """What a field may hold: text, whole numbers, numbers or boxes, in a range, and maybe ``null``."""

    kind: str
    null: bool = False
    low: float = -_ANY_NUMBER
    high: float = _ANY_NUMBER


#: What is read of a row, in the order in which it is checked.
_NAMES = ('dataset', 'split', 'proposals', 'grounder', 'sent', 'gt_label', 'image_id', 'sent_id', 'ann_id',
          'n_proposals', 'n_same_category', 'context_hits', 'n_context', 'mask_intersection', 'mask_union', 'iou',
          'best_candidate_iou', 'best_proposal_iou', 'gt_box', 'box', *OPTIONAL)
_KINDS = {Name: 'name', str: 'text', Id: 'integer', Count: 'integer', Pixels: 'integer', Share: 'number', Box: 'box',
          Size: 'size', AnswerClass: 'class', list[Box]: 'boxes'}


def _field(declared: Any) -> Field:
    """What :class:`harness.data.rows.PredictionRow` declares of a field."""
    if get_origin(declared) is NotRequired:
        declared, = get_args(declared)
    null = type(None) in get_args(declared)
    if null:
        declared, _ = get_args(declared)
    limits = {type(limit): limit for limit in getattr(declared, '__metadata__', ())}
    low, high = limits.get(Ge), limits.get(Le)
    return Field(_KINDS[declared], null, low.ge if low else -_ANY_NUMBER, high.le if high else _ANY_NUMBER)


_DECLARED = get_type_hints(PredictionRow, include_extras=True)
FIELDS = {name: _field(_DECLARED[name]) for name in _NAMES}
_TYPES = {'name': (str,), 'text': (str,), 'class': (str,), 'integer': (int,), 'number': (int, float), 'box': (list,),
          'size': (list,), 'boxes': (list,)}
_WORDS = {'name': 'a name', 'text': 'text', 'class': f'one of {", ".join(get_args(AnswerClass))}',
          'integer': 'a whole number', 'number': 'a number', 'box': 'a box of four numbers',
          'size': 'a width and a height', 'boxes': 'a list of boxes'}


def read_predictions(paths: Sequence[str | Path], extra: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of one or several runs.

    Args:
        paths: run folders or ``.jsonl`` files.
        extra: further fields to keep, as they are (``'score'``, ``'label'``, ``'box'``, …).

    Returns:
        A row a prediction, in file order. Columns: the names of :data:`FIELDS` (text as categories, ``gt_box`` as
        ``gt_x``, ``gt_y``, ``gt_w``, ``gt_h``, ``box`` as ``has_box`` and ``box_x``, ``box_y``, ``box_w``, ``box_h``,
        ``image_size`` as ``image_w`` and ``image_h``, ``answer_boxes`` as arrays ``(m, 4)`` xywh or ``None``), those of
        ``extra``, ``file`` and ``line``, and ``has_chosen``: whether the file has the fields of :data:`CHOSEN`.

    Raises:
        InputError: with file and line: a line that is cut short or not JSON, a field that is missing, not a number
            or out of range, a row that comes twice; or a file that is not there or holds no row.
    """
    texts = {name: _Texts() for name, field in FIELDS.items() if field.kind in ('name', 'text', 'class')}
    files = [predictions_file(Path(path)) for path in paths]
    parts = []
    for index, file in enumerate(files):
        for columns in _chunks(file, texts, extra):
            rows = len(columns['line'])
            parts.append(pd.DataFrame({**columns, 'file': np.full(rows, index, np.int32)}))
    frame = pd.concat(parts, ignore_index=True)
    for name, seen in texts.items():
        frame[name] = pd.Categorical.from_codes(frame[name].to_numpy(), pd.Index(seen.categories(name), dtype=object))
    frame['file'] = frame['file'].map(dict(enumerate(map(str, files)))).astype('category')
    _refuse_twice(frame)
    return _without_box(frame)


class _Texts:
    """Texts by number: each different one is kept once, however many rows repeat it."""

    def __init__(self) -> None:
        self._numbers: dict[str | None, int] = {None: -1}

    def codes(self, values: Sequence[str | None]) -> np.ndarray:
        numbers = self._numbers
        return np.array([numbers.setdefault(value, len(numbers) - 1) for value in values], np.int32)

    def categories(self, name: str) -> list[str]:
        found = [value for value in self._numbers if value is not None]
        for value in found:
            fits = value.isprintable() and value.strip() and len(value) <= LONGEST_NAME
            if FIELDS[name].kind == 'name' and not fits:
                raise InputError(f'{name} {value[:60]!r}: is no name; check the predictions')
            if not value.isascii() and any('\ud800' <= sign <= '\udfff' for sign in value):
                raise InputError(f'{name} {value[:60]!r}: is not valid Unicode; check the predictions')
        return found


def _chunks(file: Path, texts: dict[str, _Texts], extra: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A file's columns, a bounded number of rows at a time."""
    pick: Callable[[Any], tuple] | None = None
    names: list[str] = []
    rows: list[tuple] = []
    lines: list[int] = []
    for line, row in json_lines(file):
        if pick is None:
            lacks = {name for name in OPTIONAL if isinstance(row, dict) and name not in row}
            lacks |= set(CHOSEN) if lacks & set(CHOSEN) else set()
            names = [*(name for name in FIELDS if name not in lacks), *extra]
            pick = itemgetter(*names)
        try:
            rows.append(pick(row))
        except KeyError as missing:
            raise InputError(f'{file}: line {line}: has no {missing}; give predictions.jsonl of a run') from None
        except TypeError:
            raise InputError(f'{file}: line {line}: is not a record with named fields; '
                             'give predictions.jsonl of a run') from None
        lines.append(line)
        if len(rows) == _CHUNK:
            yield _columns(file, lines, dict(zip(names, zip(*rows, strict=True), strict=True)), texts, extra)
            rows, lines = [], []
    if rows:
        yield _columns(file, lines, dict(zip(names, zip(*rows, strict=True), strict=True)), texts, extra)
    elif pick is None:
        raise InputError(f'{file}: holds no predictions; give predictions.jsonl of a run that answered something')


def json_lines(file: Path) -> Iterator[tuple[int, Any]]:
    """Line number and content of every line that is not blank.

    Raises:
        InputError: a line is cut short or no JSON (NaN is none either), or the file can't be read.
    """
    decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
    require_regular(file)
    try:
        with file.open('rb') as lines:
            for number, line in enumerate(lines, start=1):
                if line.isspace():
                    continue
                try:
                    yield number, decode(line.decode())
                except (ValueError, RecursionError) as error:
                    if (archive := archive_fault(file)) is not None:
                        raise InputError(f'{file}: {archive}') from None
                    if not line.endswith(b'\n'):
                        raise InputError(f'{file}: line {number}: the last line is cut short; the run was '
                                         'interrupted, run it again or remove that line') from None
                    raise InputError(f'{file}: line {number}: is not valid JSON ({_short(error)})') from None
    except FileNotFoundError:
        raise InputError(f'{file}: there is no such file; give a run\'s folder or its predictions.jsonl') from None
    except OSError as error:
        raise InputError(f'{file}: cannot be read ({error.strerror or error})') from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f'{name} is no number')


def _short(error: BaseException) -> str:
    return 'not UTF-8' if isinstance(error, UnicodeDecodeError) else str(error).split('\n')[0]


def _columns(file: Path, lines: Sequence[int], values: dict[str, Sequence[Any]], texts: dict[str, _Texts],
             extra: Sequence[str]) -> dict[str, Any]:
    """The columns of some rows, checked."""

    def refuse(wrong: np.ndarray, what: str) -> None:
        if wrong.any():
            raise InputError(f'{file}: line {lines[int(wrong.argmax())]}: {what}')

    columns: dict[str, Any] = {'line': np.array(lines, np.int64),
                               'has_chosen': np.full(len(lines), CHOSEN[0] in values)}
    for name, field in FIELDS.items():
        if name not in values:
            columns |= _unknown(name, len(lines), texts)
            continue
        column = values[name]
        allowed = {*_TYPES[field.kind], *([type(None)] if field.null else [])}
        if not set(map(type, column)) <= allowed:
            refuse(np.array([type(value) not in allowed for value in column]),
                   f'{name!r} must be {_WORDS[field.kind]}{" or null" if field.null else ""}')
        if field.kind == 'class':
            refuse(np.array([value is not None and value not in get_args(AnswerClass) for value in column]),
                   f'{name!r} must be {_WORDS["class"]}')
        if name in texts:
            columns[name] = texts[name].codes(column)
        elif name == 'box':
            has = columns['has_box'] = np.array([value is not None for value in column])
            boxes = _boxes('box', [[0, 0, 0, 0] if value is None else value for value in column], refuse)
            columns |= _sides('box', np.where(has, boxes, np.nan))
        elif name == 'gt_box':
            columns |= _sides('gt', _boxes(name, column, refuse))
        elif name == 'answer_boxes':
            columns[name] = _box_lists(name, column, refuse)
        elif name == 'image_size':
            columns |= _sizes(column, refuse)
        else:
            columns[name] = _numbers(name, column, field, refuse)
    refuse(columns['mask_intersection'] > columns['mask_union'], "'mask_intersection' is larger than 'mask_union'")
    refuse(np.isnan(columns['mask_intersection']) != np.isnan(columns['mask_union']),
           "'mask_intersection' and 'mask_union' must be both there or both null")
    refuse(columns['context_hits'] > columns['n_context'], "'context_hits' is larger than 'n_context'")
    for name in extra:
        whole = np.empty(len(lines), dtype=object)
        whole[:] = values[name]
        columns[name] = whole
    return columns


def _unknown(name: str, n: int, texts: dict[str, _Texts]) -> dict[str, np.ndarray]:
    """The columns of a field that a file lacks."""
    if name in texts:
        return {name: texts[name].codes([None] * n)}
    if name == 'answer_boxes':
        return {name: np.full(n, None)}
    unknown = np.full(n, np.nan)
    return {'image_w': unknown, 'image_h': unknown} if name == 'image_size' else {name: unknown}


def _numbers(name: str, column: Sequence[Any], field: Field, refuse: Callable[[np.ndarray, str], None]) -> np.ndarray:
    exact = field.kind == 'integer' and not field.null
    numbers = _array(name, column, np.int64 if exact else np.float64, refuse)
    refuse(np.isinf(numbers), f'{name!r} is not a finite number')
    refuse((numbers < field.low) | (numbers > field.high), f'{name!r} is out of range')
    return numbers


def _array(name: str, column: Sequence[Any], kind: type, refuse: Callable[[np.ndarray, str], None]) -> np.ndarray:
    try:
        return np.array(column, kind)
    except OverflowError:
        numbers = [value if isinstance(value, list) else [value or 0] for value in column]
        refuse(np.array([max(map(abs, some)) > _ANY_NUMBER for some in numbers]), f'{name!r} is beyond 64 bits')
        raise


def _boxes(name: str, column: Sequence[Any], refuse: Callable[[np.ndarray, str], None]) -> np.ndarray:
    """Boxes xywh as four rows ``(4, n)``."""
    wrong = np.array([len(box) != 4 or not set(map(type, box)) <= {int, float} for box in column])
    refuse(wrong, f'{name!r} must be four numbers x, y, width, height')
    boxes = _array(name, column, np.float64, refuse)
    refuse(np.any(np.isinf(boxes), axis=1), f'{name!r} holds a number that is not finite')
    refuse(np.any(np.abs(boxes) > MAX_COORDINATE, axis=1), f'{name!r} reaches further than any image')
    refuse(np.any(boxes[:, 2:] < 0, axis=1), f'{name!r} has a negative width or height')
    return boxes.T


def _sides(prefix: str, boxes: np.ndarray) -> dict[str, np.ndarray]:
    return {f'{prefix}_{side}': sides for side, sides in zip('xywh', boxes, strict=True)}


def _box_lists(name: str, column: Sequence[Any], refuse: Callable[[np.ndarray, str], None]) -> np.ndarray:
    """Each row's boxes as an array ``(m, 4)`` xywh, ``None`` where there is no list."""
    found = np.full(len(column), None)
    for index, boxes in enumerate(column):
        def refuse_row(wrong: np.ndarray, what: str, row: int = index) -> None:
            if wrong.any():
                refuse(np.arange(len(column)) == row, what)

        if boxes is not None:
            refuse_row(np.array([not isinstance(box, list) for box in boxes]), f'{name!r} must be {_WORDS["boxes"]}')
            found[index] = _boxes(name, boxes, refuse_row).T.reshape(-1, 4) if boxes else np.empty((0, 4))
    return found


def _sizes(column: Sequence[Any], refuse: Callable[[np.ndarray, str], None]) -> dict[str, np.ndarray]:
    """Widths and heights as two columns, NaN where the size is not known."""
    wrong = np.array([size is not None and ([*map(type, size)] != [int, int]
                                            or not all(0 < side < _LARGEST_SIDE for side in size)) for size in column])
    refuse(wrong, "'image_size' must be width and height in pixels")
    width, height = np.array([(np.nan, np.nan) if size is None else size for size in column], np.float64).T
    return {'image_w': width, 'image_h': height}


def _without_box(frame: pd.DataFrame) -> pd.DataFrame:
    """A grounder without a box to choose is wrong; one whose answers are masks alone is not measured by boxes."""
    none = (frame['grounder'] != NO_GROUNDER) & ~frame['has_box']
    by_grounder = frame[['has_box', 'mask_intersection']].groupby([frame[n] for n in ('file', 'proposals', 'grounder')],
                                                                  observed=True).transform('max')
    masks_alone = none & ~by_grounder['has_box'] & (by_grounder['mask_intersection'] > 0)
    frame['iou'] = frame['iou'].mask(none & frame['iou'].isna(), 0.0).mask(masks_alone)
    return frame


def _refuse_twice(frame: pd.DataFrame) -> None:
    again = frame.duplicated(ROW)
    if again.any():
        second = frame[again].iloc[0]
        first = frame[(frame[ROW] == second[ROW]).all(axis=1)].iloc[0]
        raise InputError(f'{second["file"]}: line {second["line"]}: sent_id {second["sent_id"]} of '
                         f'{second["dataset"]} with {second["proposals"]} and {second["grounder"]} comes twice, '
                         f'first in {first["file"]}: line {first["line"]}; give each run once')
