"""Options that people type: their types and ranges are those that a constructor's signature declares.

``threshold: Share = 0.65`` in a constructor is all it takes: ``--set greedy.threshold=7`` is then refused before
anything is built. Annotations are checked strictly by pydantic: text is no number, a fraction is no whole number, true
is not 1; a whole number is a fraction.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Annotated, Any, TypeVar, get_type_hints

from annotated_types import Ge, Gt, Le
from pydantic import AllowInfNan, ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from harness.errors import InputError, shown

#: A number of ordinary size: not infinite, and small enough that arithmetic on it stays finite.
Number = Annotated[float, AllowInfNan(False), Ge(-1e9), Le(1e9)]
#: A confidence, an IoU, a probability.
Share = Annotated[float, AllowInfNan(False), Ge(0), Le(1)]
#: A cosine.
Cosine = Annotated[float, AllowInfNan(False), Ge(-1), Le(1)]
#: What something is lowered by or divided by.
Positive = Annotated[float, AllowInfNan(False), Gt(0), Le(1e9)]
#: What a confidence is lowered by, again and again until enough exceed it: large enough for that to come to an end.
Step = Annotated[float, AllowInfNan(False), Ge(1e-4), Le(1)]
#: How many.
Count = Annotated[int, Ge(1), Le(1_000_000_000)]
#: How many, maybe none.
CountOrNone = Annotated[int, Ge(0), Le(1_000_000_000)]

#: NumPy's seeds have 32 bits, and a thousand of them belong to the epochs of one of ours.
MOST_SEED = 4_000_000
#: Keywords of constructors that a run fills in: what it has loaded.
LOADED = ('weights', 'vectors', 'candidates')

Init = TypeVar('Init', bound=Callable[..., None])
_KINDS = {'float_type': 'a number', 'int_type': 'a whole number', 'bool_type': 'True or False', 'string_type': 'text',
          'dict_type': 'a record', 'model_type': 'a record'}


def check_options(make: Callable[..., Any], options: Mapping[str, Any], name: str, before: str = '.') -> None:
    """Hold values against the annotations of ``make``'s parameters; one that has none, or one that means nothing here,
    takes anything.

    Args:
        make: a class, by its constructor or dataclass fields, or a function.
        options: by parameter.
        name: of what has the options; with the option it begins the message (``--set greedy``).
        before: what stands between the two.

    Raises:
        InputError: the first value of another type or out of range.
    """
    check_hinted(_hints(make), options, name, before)


def check_hinted(hints: Mapping[str, Any], options: Mapping[str, Any], name: str, before: str = '.') -> None:
    """Hold values against type hints, as :func:`check_options`.

    Raises:
        InputError: the first value of another type or out of range.
    """
    for option, value in options.items():
        if (kinds := wanted_by(hints.get(option, Any), value)) is not None:
            raise InputError(f'{name}{before}{option}={_text(value)}: must be {kinds}')


def hint_of(text: str) -> Any:
    """A type hint of the project's source; ``Any`` where it names more than builtins and the types of this module."""
    try:
        return eval(text, globals())
    except NameError:
        return Any


def wanted_by(hint: Any, value: object) -> str | None:
    """What a value should have been by a type hint, taken strictly; ``None`` where it is that."""
    try:
        _adapter(hint).validate_python(value)
    except ValidationError as error:
        return ', or '.join(dict.fromkeys(wanted(one) for one in error.errors()))
    return None


def within(option: str, value: float | None, least: float, most: float) -> None:
    """Hold a number of the command line, if it is given, against its range.

    Raises:
        InputError: it is out of range, or no number.
    """
    if value is not None and not least <= value <= most:
        raise InputError(f'{option} {str(value)[:40]}: must be from {least} to {most}')


def checked(init: Init) -> Init:
    """A constructor that holds its options against its own annotations, whoever calls it; ``self.name`` has them."""
    @wraps(init)
    def checking(self: Any, *args: Any, **kwargs: Any) -> None:
        given = inspect.signature(init).bind(self, *args, **kwargs).arguments
        own = list(given)[1:]
        check_options(init, {k: given[k] for k in own if k not in LOADED}, self.name)
        init(self, *args, **kwargs)
    return checking  # type: ignore[return-value]  # it is called as init is


def _text(value: Any) -> str:
    try:
        return shown(str(value))
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return '…'


def wanted(error: Any) -> str:
    """What a value should have been."""
    return _KINDS.get(error['type']) or str(error['msg']).removeprefix('Input should be ')


@cache
def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    function = make.__init__ if isinstance(make, type) else make  # type: ignore[misc]  # a class has one
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError):  # a user's, of names that are there for type checkers alone
        return {}


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
    except PydanticSchemaGenerationError:
        return TypeAdapter(Any)
