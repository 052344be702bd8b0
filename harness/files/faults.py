"""What pydantic finds wrong with a record, in words that stand behind a file's name."""
from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from harness.errors import shown
from harness.files.fields import kind
from harness.options import wanted

#: Words for what pydantic calls by Python's names.
_KINDS = {'dict_type': 'a record', 'model_type': 'a record', 'list_type': 'a list'}


def fault(error: ValidationError) -> str:
    """The first thing that is wrong, by its field, to stand behind a file's name."""
    return first_fault(error.errors(include_url=False)[0])


def first_fault(first: Any) -> str:
    """One of the things that pydantic found wrong, by its field, to stand behind a file's name."""
    field = shown('.'.join(map(str, first['loc'])))
    if first['type'] == 'missing':
        return f'has no {field!r}'
    if first['type'] == 'extra_forbidden':
        return f'has {field!r}, which its network does not take'
    if first['type'] == 'value_error':
        return f'{field!r} {first["ctx"]["error"]}' if field else str(first['ctx']['error'])
    right = _KINDS.get(first['type']) or wanted(first)
    return f'{field!r} must be {right}, not {_value(first["input"])}' if field else 'is no record'


def _value(value: Any) -> str:
    return shown(str(value)) if type(value) in (int, float) and abs(value) < 1e18 else kind(value)
