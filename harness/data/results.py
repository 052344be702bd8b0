"""``results.json``, declared once: the measured records and what a run says of itself.

``harness/evaluation/results.py`` writes it, and everything that reads it reads it here. Files of earlier versions lack
what is not required. What a reader only shows and is not as a run writes it (:data:`SHOWN`) counts as not there.
"""
from __future__ import annotations

import ast
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypeVar

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    ValidationError,
    with_config,
)
from typing_extensions import TypedDict

from harness.data.passport import Passport
from harness.data.rows import LONGEST_NAME
from harness.data.run_files import results_file
from harness.errors import InputError, shown
from harness.files.faults import fault, first_fault
from harness.files.fields import kind
from harness.files.reading import read_bytes

#: What tells one record from another.
KEY = ('dataset', 'split', 'metric', 'grounder', 'proposals')
Key = tuple[str, str, str, str, str]
#: What to do about a file that no run writes.
AS_WRITTEN = 'give the file as it was written'
#: Parts of ``run`` that only inform: where one is not as a run writes it, the results count all the same.
SHOWN = ('command', 'seed', 'commit', 'machine', 'images_in', 'passports', 'seconds', 'throughput', 'wall_seconds',
         'images', 'expressions', 'counts')
#: No figure or number of expressions is larger.
_LARGEST = 10 ** 15
_STRICT = ConfigDict(strict=True, frozen=True)


def _printable(name: str) -> str:
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError('must be a name that can be printed')
    return name


def _weight_file(said: Any) -> Any:
    """A weight file of which the hash alone is told."""
    return said if isinstance(said, dict) else {'sha256': said}


Name = Annotated[str, AfterValidator(_printable)]
#: A whole number stays one.
Value = Annotated[int | float, Ge(-_LARGEST), Le(_LARGEST)]
Count = Annotated[int, Ge(0), Le(_LARGEST)]
#: No run takes longer, and no stage is faster.
Amount = Annotated[float, Ge(0), Le(1e12)]
#: ``file``, ``sha256`` and what the file says of its training.
WeightFile = Annotated[dict[str, Any], BeforeValidator(_weight_file)]


@with_config(_STRICT)
class Record(TypedDict):
    """A figure: the value of a metric, and the number of expressions that it is measured on."""

    dataset: Name
    split: Name
    task: NotRequired[str]
    metric: Name
    grounder: Name
    proposals: Name
    value: Value
    n: Annotated[int, Ge(1), Le(_LARGEST)]


@with_config(_STRICT)
class SeenImages(TypedDict):
    """How many of a split's evaluated images the detector was trained on, ``None`` where that is unknown."""

    seen: Count | None
    images: Count


class Throughput(BaseModel):
    """What went through a stage; a rate is there where anything did."""

    model_config = _STRICT

    images: Count = 0
    expressions: Count = 0
    images_per_second: Amount | None = None
    expressions_per_second: Amount | None = None


class RunRecord(BaseModel):
    """What a run says of itself: what was asked for, what it was made from, and what it took.

    ``options`` are the command line's, ``data`` has each dataset's hash, ``images_in`` its folder of images.
    ``detector_seen`` has the datasets that are not embedded, by split; of those it lacks no detector of the run's own
    saw the images. ``passports`` say which published partition the rows of each split are. Values that are compared
    between runs and never computed with may be anything.
    """

    model_config = _STRICT

    command: str = ''
    options: dict[str, Any] = {}
    seed: int | None = None
    commit: str = ''
    versions: dict[str, Any] = {}
    machine: str = ''
    data: dict[str, Any] = {}
    images_in: dict[str, str] = {}
    detector_seen: dict[Name, dict[Name, SeenImages]] = {}
    passports: dict[Name, dict[Name, Passport]] = {}
    weights: dict[str, WeightFile] = {}
    conventions: dict[str, Any] = {}
    seconds: dict[str, Amount] = {}
    throughput: dict[str, Throughput] = {}
    wall_seconds: Amount = 0.0
    images: Count | None = None
    expressions: Count | None = None
    counts: dict[str, Count] = {}
    notes: list[Annotated[str, PlainValidator(str)]] = []

    @property
    def settings(self) -> list[str]:
        """The ``--set`` options, as typed; earlier versions wrote the list as text."""
        settings = self.options.get('settings')
        if isinstance(settings, str):
            try:
                settings = ast.literal_eval(settings)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                settings = [settings]
        return [str(setting) for setting in settings] if isinstance(settings, list) else []

    @property
    def hashes(self) -> dict[str, Any]:
        """The hash of each weight file."""
        return {name: weights.get('sha256') for name, weights in self.weights.items()}


class ResultsFile(BaseModel):
    """A whole ``results.json``."""

    model_config = _STRICT

    records: list[Record]
    run: RunRecord


class DataOptions(BaseModel):
    """The options of a run by which its data are found again."""

    model_config = _STRICT

    data_root: str | None = None
    split_by: str | None = None


Schema = TypeVar('Schema', bound=ResultsFile)


def read_results_file(path: Path, needed: Collection[str] = ()) -> ResultsFile:
    """A ``results.json``; see :func:`read_as`."""
    return read_as(ResultsFile, path, needed)


def read_as(schema: type[Schema], path: Path, needed: Collection[str] = ()) -> Schema:
    """A ``results.json`` that may have more than one usually has.

    Args:
        schema: :class:`ResultsFile` with further fields.
        path: a run's folder, or the file.
        needed: parts of :data:`SHOWN` that the reader computes with, and that are refused where they are wrong.

    Raises:
        InputError: not there, not a results file, or a field is missing, of another type or out of range.
    """
    file = results_file(path)
    content = _content(file)
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        faults: list[Any] = error.errors(include_url=False)
    optional = {('run', part) for part in SHOWN if part not in needed}
    for found in faults:
        if found['loc'][:2] not in optional:
            raise InputError(f'{file}: {_wrong(content, found)}')
    unreadable = {found['loc'][1] for found in faults}
    run = {part: value for part, value in content['run'].items() if part not in unreadable}
    return schema.model_validate({**content, 'run': run})


def data_options(file: Path, run: RunRecord) -> DataOptions:
    """By which options the data of a run are found again.

    Raises:
        InputError: one of them is not text.
    """
    try:
        return DataOptions.model_validate(run.options)
    except ValidationError as error:
        raise InputError(f'{file}: options: {fault(error)}; give the folder that a run wrote') from None


def as_json(records: list[dict[str, Any]], run: Mapping[str, Any]) -> str:
    """The text of ``results.json``."""
    return json.dumps({'records': records, 'run': run}, indent=1, ensure_ascii=False) + '\n'


def key_of(record: Record) -> Key:
    """What a record is the value of: dataset, split, metric, grounder, rule."""
    return record['dataset'], record['split'], record['metric'], record['grounder'], record['proposals']


def said(key: Key) -> str:
    """A key in words."""
    dataset, split, metric, grounder, proposals = key
    return f'{metric} of {proposals if grounder == "-" else f"{grounder} on {proposals}"}, {dataset} {split}'


def _content(file: Path) -> Any:
    try:
        return json.loads(read_bytes(file))
    except (ValueError, RecursionError, OSError) as error:
        why = ' '.join(str(error).split())[:120] or type(error).__name__
        raise InputError(f'{file}: not a results file, it is no JSON ({why}); give the results.json that a run '
                         'wrote') from None


def _wrong(content: Any, found: Any) -> str:
    """What is wrong, by pydantic's first finding that counts, and what to do."""
    place = found['loc']
    if place in ((), ('records',), ('run',)):
        return 'not a results file, it lacks "records" or "run"; give the results.json that a run wrote'
    if place[0] == 'records':
        return f'{_wrong_record(content["records"][place[1]], place, found["type"])}; {AS_WRITTEN}'
    return f'{first_fault(found)}; {AS_WRITTEN}'


def _wrong_record(record: Any, place: tuple, how: str) -> str:
    """What is wrong with a record; its names come first, so that it can be named where its figures are wrong."""
    number = place[1] + 1
    if len(place) == 2:
        return f'not a results file, record {number} lacks named fields, it is {kind(record)}'
    name = place[2]
    if how == 'missing':
        return f'not a results file, record {number} lacks {name!r}'
    if name == 'value':
        return f'record {number}, {name!r}: {said(key_of(record))} is {_short(record[name])}, not a finite number'
    if name == 'n':
        return (f'record {number}, {name!r}: {said(key_of(record))} counts {_short(record[name])} expressions, '
                'not 1 or more')
    if how == 'string_type':
        return f'not a results file, record {number}: {name!r} must be text, not {kind(record[name])}'
    return f'not a results file, record {number} has a name that cannot be printed, {name!r}'


def _short(value: Any) -> str:
    return shown(str(value)[:60]) if isinstance(value, str | int | float) else kind(value)
