"""What a method from outside is called in tables like the paper's: its row's label, venue and backbone, as typed."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.errors import InputError
from harness.names import nearest
from reports.drawing.sheets import printable

#: Grounder and rule, as in ``results.json``.
Method = tuple[str, str]


class Named(NamedTuple):
    """The cells of a row that say what it is."""

    label: str
    venue: str = ''
    backbone: str = ''


def named_rows(methods: Sequence[Method], labels: Sequence[str], venues: Sequence[str],
               backbones: Sequence[str]) -> dict[Method, Named]:
    """The names of methods that the paper has no row for.

    Args:
        methods: all of them that were measured.
        labels: of ``--label``, each ``TEXT``, where there is one such method, or ``GROUNDER=TEXT`` or
            ``GROUNDER:RULE=TEXT``.
        venues: of ``--venue``, the same.
        backbones: of ``--backbone``, the same.

    Raises:
        InputError: it can't be told which method is meant, or one has a venue or backbone and no label.
    """
    called = _by_method('--label', labels, methods)
    places, nets = (_by_method(option, given, methods)
                    for option, given in (('--venue', venues), ('--backbone', backbones)))
    for option, given in (('--venue', places), ('--backbone', nets)):
        for method in given:
            if method not in called:
                raise InputError(f'{option} {given[method]}: {_said(method)} has no --label; give it one too')
    return {method: Named(label, places.get(method, ''), nets.get(method, '')) for method, label in called.items()}


def _by_method(option: str, given: Sequence[str], methods: Sequence[Method]) -> dict[Method, str]:
    known: Mapping[str, list[Method]] = {name: [m for m in methods if name in (m[0], ':'.join(m))]
                                         for method in methods for name in (method[0], ':'.join(method))}
    found: dict[Method, str] = {}
    for value in given:
        name, equals, text = value.partition('=')
        meant = known.get(name) if equals else None
        if meant is None:
            meant, text = list(methods), value
        if not methods:
            raise InputError(f'{option} {value}: every measured method has a row of its own in the paper\'s tables; '
                             'give results of another method, as --predictions judges them')
        if len(meant) > 1:
            near = nearest(name, known) if equals else ''
            raise InputError(f'{option} {value}: could be of several{near}; write {option} GROUNDER:RULE=TEXT with one '
                             f'of {", ".join(map(_said, meant))}')
        if not printable(text):
            raise InputError(f'{option} {value}: is empty; give the text that the row has')
        if meant[0] in found:
            raise InputError(f'{option} {value}: {_said(meant[0])} has one already; give one for each method')
        found[meant[0]] = printable(text)
    return found


def _said(method: Method) -> str:
    return ':'.join(method)
