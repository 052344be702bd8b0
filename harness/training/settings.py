"""Changing a recipe by ``--set OPTION=VALUE``: the options of a training are a frozen dataclass, each field with its
type and range.

An options class may have a property ``without_effect``: the names of the options that have none, given the values of
the others.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, TypeVar, get_type_hints

from annotated_types import Ge, Gt, Le
from pydantic import AllowInfNan

from harness.errors import InputError, shown
from harness.names import nearest
from harness.options import check_hinted

Options = TypeVar('Options')

#: Of layers, and places of an expression: bounded by what fits into memory.
Width = Annotated[int, Ge(1), Le(65_536)]
#: What a gradient, a weight or a loss is multiplied by.
Rate = Annotated[float, AllowInfNan(False), Gt(0), Le(1000)]
RateOrNone = Annotated[float, AllowInfNan(False), Ge(0), Le(1000)]


def with_settings(options: Options, settings: Iterable[str]) -> Options:
    """Options with ``OPTION=VALUE`` settings.

    Args:
        options: a frozen dataclass, all of whose fields are options.
        settings: as typed after ``--set``.

    Raises:
        InputError: an unknown name, one given twice, or an invalid value.
    """
    record: Any = options
    values = parsed({field.name: getattr(options, field.name) for field in fields(record)}, settings)
    check_hinted(get_type_hints(type(options), include_extras=True), values, '--set', before=' ')
    changed: Options = replace(record, **values)
    return changed


def refuse_without_effect(settings: Iterable[str], *trainings: Any) -> None:
    """
    Args:
        settings: as typed after ``--set``.
        trainings: the options of one or several trainings.

    Raises:
        InputError: a setting has no effect on any of the trainings.
    """
    for name in (setting.partition('=')[0] for setting in settings):
        if all(name in getattr(options, 'without_effect', ()) for options in trainings):
            raise InputError(f'--set {name}: has no effect with the other options as they are; leave it out')


def parsed(known: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """The values of ``OPTION=VALUE`` settings by name, still of any type.

    Args:
        known: every option with its value so far; where that is text, the setting is text as it stands.
        settings: as typed after ``--set``.

    Raises:
        InputError: an unknown name, or one given twice.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition('=')
        if not equals or name not in known:
            raise InputError(f'--set {shown(setting)}: write OPTION=VALUE{nearest(name, known)}; options are '
                             f'{", ".join(known)}')
        if name in values:
            raise InputError(f'--set {name}: given twice; give it once')
        values[name] = text if isinstance(known[name], str) else _value(text)
    return values


def _value(text: str) -> Any:
    """A whole number, a number, true or false, or else the text."""
    if text.lower() in ('true', 'false'):
        return text.lower() == 'true'
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
