"""Of which form a record is, told by its fields."""
from __future__ import annotations

from typing import Any

from harness.errors import InputError
from harness.files import fields
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS, names


def require_signs(form: AnswerForm, record: Any, where: str) -> None:
    """Refuse a record that lacks what every record of its form has.

    Raises:
        InputError: it names the first field that is missing, and the form that the record looks like.
    """
    for sign in form.signs:
        if not isinstance(record, dict) or sign not in record:
            fields.required(record, sign, f'{where}{_looks_like(record)}')


def of_form(form: AnswerForm, what: str, value: Any, kind: type, where: str) -> Any:
    """A file's whole value, where it is of the type that the form has.

    Raises:
        InputError: it is of another.
    """
    if not isinstance(value, kind):
        raise InputError(f'{where}: --answers {form.name} takes {what}, not {fields.kind(value)}')
    return value


def _looks_like(record: Any) -> str:
    for name in names(ANSWER_FORMS) if isinstance(record, dict) else ():
        signs = ANSWER_FORMS.attribute(name, 'signs')
        if signs and all(sign in record for sign in signs):
            return f' (looks like --answers {name}; a file has one form)'
    return ''
