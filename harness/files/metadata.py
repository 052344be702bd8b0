"""What weight files say of themselves: a schema per kind of file, and one line where a file lies.

A loader states what it takes from a file's metadata as a :class:`Metadata`, and :func:`read_metadata` holds the file
against it before anything is built of it. Tensors are held against the network by
:func:`harness.files.weights.fill`. What no loader reads may be anything.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, TypeVar

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from harness.errors import InputError, shown
from harness.files.faults import fault
from harness.files.weights import Weights

Checked = TypeVar('Checked', bound='Metadata')
#: Layers of one kind upon another; no network of this field has more, and each is built before its shape is compared.
Layers = Annotated[int, Ge(1), Le(16)]


def _printable(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError('must be a name that can be printed')
    return name


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError('is not valid Unicode') from None
    return text


def each_once(names: Sequence[str]) -> Sequence[str]:
    if len(set(names)) != len(names):
        raise ValueError('must not name anything twice')
    return names


#: Not with halves of signs, which no results file can hold.
Text = Annotated[str, AfterValidator(_unicode)]


class Metadata(BaseModel):
    """What every kind of file may say: where it comes from, which a run copies into its results."""

    model_config = ConfigDict(strict=True, frozen=True)
    of: ClassVar[str]  #: ``kind`` in the file
    title: ClassVar[str]  #: what a message calls it
    name: ClassVar[str]  #: in ``--weights NAME=FILE``

    command: Text | None = None
    seed: int | None = None
    data_hash: Text | None = None
    git_commit: Text | None = None


class DetectorMetadata(Metadata):
    """``config`` is one of :mod:`harness.detection.configs`, ``classes`` its categories in order of their index,
    ``trained_on`` its training images (:mod:`harness.detection.training_images`)."""

    of = 'detector'
    title = 'a detector'
    name = 'detector'

    config: str
    classes: Annotated[list[Annotated[str, AfterValidator(_printable)]], AfterValidator(each_once)]
    trained_on: Text | list[int] | None = None


class TwoStageMetadata(Metadata):
    """``model`` and ``pipeline`` describe an mmdet network (:mod:`harness.detection.model_config`); ``classes`` and
    ``trained_on`` are as in :class:`DetectorMetadata`."""

    of = 'detector'
    title = 'a detector'
    name = 'detector'

    model: dict[str, Any]
    pipeline: list[Any]
    classes: Annotated[list[Annotated[str, AfterValidator(_printable)]], AfterValidator(each_once)]
    trained_on: Text | list[int] | None = None


def read_metadata(weights: Weights, schema: type[Checked], mend: str | None = None) -> Checked:
    """What a weight file says of itself.

    Args:
        weights: the file.
        schema: of the kind that is needed.
        mend: what to do about another one; by default to give another file by ``--weights``.

    Raises:
        InputError: it is of another kind, lacks something without which it can't be run, or a field is missing, of
            another type or out of range: the message names the file and the field.
    """
    mend = mend or f'give a file that "train" or "convert" wrote by --weights {schema.name}=FILE'
    of = weights.complete().meta.get('kind')
    if of != schema.of:
        holds = repr(shown(of)) if isinstance(of, str) else 'something without a name'
        raise InputError(f'{weights.path}: holds {holds}, not {schema.title}; {mend}')
    try:
        return schema.model_validate(weights.meta)
    except ValidationError as error:
        raise InputError(f'{weights.path}: its metadata: {fault(error)}; {mend}') from None
