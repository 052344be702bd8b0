"""``--set NAME.OPTION=VALUE`` and ``--weights NAME=FILE``: parsed, and checked against what plug-ins declare."""
from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.names import nearest
from harness.options import LOADED, check_hinted, check_options, hint_of
from harness.registry import GROUNDERS, PROPOSAL_RULES, names

#: The one name with options that is no rule or grounder: the finder of contextual objects.
CRITICAL_OBJECTS = 'critical-objects'


def check_settings(settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Check the names, options, types and ranges of ``--set`` before anything is loaded.

    Raises:
        InputError: a name or option is unknown, or a value has the wrong type or is out of range.
    """
    check_names(settings)
    for name, options in settings.items():
        has_options = _with_options(name)
        loaded = LOADED if name == CRITICAL_OBJECTS else (*LOADED, *has_options.needs)
        accepted = [k for k in inspect.signature(has_options).parameters if k not in loaded]
        for key in options:
            if key not in accepted:
                raise InputError(f'--set {name}.{key}: unknown option{nearest(key, accepted)}; '
                                 f'{name} has {", ".join(accepted) or "none"}')
        check_options(has_options, options, f'--set {name}')


def check_names(settings: Iterable[str]) -> None:
    """Check the names of ``--set`` before any plug-in is imported.

    Raises:
        InputError: there is no rule or grounder of that name.
    """
    known = [*names(PROPOSAL_RULES), *names(GROUNDERS), CRITICAL_OBJECTS]
    for name in settings:
        if name not in known:
            raise InputError(f'--set {name}.…: there is no rule or grounder of that name{nearest(name, known)}')


def check_values(settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Check values of ``--set`` before any plug-in is imported, as far as the file of a plug-in itself tells the types:
    :func:`check_settings` checks the others, such as those of an inherited constructor.

    Raises:
        InputError: a value has the wrong type or is out of range.
    """
    listed = {**PROPOSAL_RULES.listed, **GROUNDERS.listed}
    for name, options in settings.items():
        if name in listed:
            hints = {option: hint_of(text) for option, text in listed[name].hints.items()}
            check_hinted(hints, options, f'--set {name}')


def _with_options(name: str) -> Any:
    """The class whose options ``--set NAME.…`` sets."""
    if name == CRITICAL_OBJECTS:
        from harness.words.critical_objects import CriticalObjects
        return CriticalObjects
    return (PROPOSAL_RULES if name in names(PROPOSAL_RULES) else GROUNDERS).get(name)


def parse_setting(text: str) -> tuple[str, str, Any]:
    """The name, option and value of ``'ref-nms-b.threshold=0.2'``; the value is a Python literal, or else text."""
    target, equals, value = text.partition('=')
    name, dot, key = target.rpartition('.')
    if not (equals and dot and name and key):
        raise InputError(f'--set {text}: write NAME.OPTION=VALUE, for instance ref-nms-b.threshold=0.2')
    try:
        with warnings.catch_warnings():  # of Python's parser, for instance about "1if"
            warnings.simplefilter('ignore')
            return name, key, ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return name, key, value


def parse_settings(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The values of all ``--set``, by name and option.

    Raises:
        InputError: one is not of the form NAME.OPTION=VALUE, or an option is given twice.
    """
    settings: dict[str, dict[str, Any]] = {}
    for name, key, value in map(parse_setting, texts):
        if key in settings.setdefault(name, {}):
            raise InputError(f'--set {name}.{key}: given twice; give it once')
        settings[name][key] = value
    return settings


def parse_weight(text: str) -> tuple[str, Path]:
    """The name and path of ``'cmae=file.safetensors'``."""
    name, equals, path = text.partition('=')
    if not (equals and name and path):
        raise InputError(f'--weights {text}: write NAME=FILE, for instance cmae=my.safetensors')
    return name, Path(path)


def parse_weights(texts: Iterable[str]) -> dict[str, Path]:
    """The files of all ``--weights``, by name.

    Raises:
        InputError: one is not of the form NAME=FILE, or a name is given twice.
    """
    weights: dict[str, Path] = {}
    for name, path in map(parse_weight, texts):
        if name in weights:
            raise InputError(f'--weights {name}: given twice; give one file')
        weights[name] = path
    return weights
