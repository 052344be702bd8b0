"""What is drawn of a table, whatever it is drawn as: heads, rows of text, lines between them, and notes."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, Protocol

BEST, SECOND = 'best', 'second'


class Parts(NamedTuple):
    """A cell's text; ``lead`` is what is set in bold (``mark`` is :data:`BEST`) or italics (:data:`SECOND`)."""

    before: str
    lead: str
    after: str
    mark: str = ''

    def __str__(self) -> str:
        return self.before + self.lead + self.after


class Head(NamedTuple):
    """The head of a column; ``over`` is what stands over it, from the top, shared with neighbours that have the same.

    Columns of a ``number`` stand right.
    """

    text: str
    over: tuple[str, ...] = ()
    number: bool = True


@dataclass(frozen=True)
class Sheet:
    """A table to draw.

    Attributes:
        labels: how many of the first columns say what a row is.
        ends: rows under which there is a line.
        note: what has to stand under it in a paper, in one line.
        notes: everything there is to say of it, a paragraph each.
    """

    title: str
    heads: Sequence[Head]
    labels: int
    rows: Sequence[Sequence[Parts]]
    ends: frozenset[int] = frozenset()
    note: str = ''
    notes: Sequence[str] = field(default=())


class Document(Protocol):
    """Tables that are printed together, under a ``heading`` and with ``notes`` on all of them."""

    @property
    def heading(self) -> str: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def sheets(self) -> Sequence[Sheet]:
        """The sheets to draw."""

    def records(self) -> Iterable[Mapping[str, Any]]:
        """What the rows of the CSV hold."""

    def plain(self) -> Mapping[str, Any]:
        """Everything that the document holds, ready for JSON."""


@dataclass(frozen=True)
class Drawn:
    """A document made of its sheets alone: its CSV and JSON hold what the sheets show."""

    drawn: Sequence[Sheet]
    notes: Sequence[str] = ()
    heading: str = ''

    def sheets(self) -> Sequence[Sheet]:
        return self.drawn

    def records(self) -> Iterable[Mapping[str, Any]]:
        for sheet in self.drawn:
            names = [' '.join(filter(None, (*head.over, head.text))) for head in sheet.heads]
            for row in sheet.rows:
                yield {'table': sheet.title, **dict(zip(names, map(str, row), strict=True))}

    def plain(self) -> Mapping[str, Any]:
        return {'rows': list(self.records()), 'notes': list(self.notes)}


def words(text: str) -> Parts:
    """A cell of text, which may come from a stranger's file."""
    return Parts('', printable(text), '')


def printable(text: str) -> str:
    """One line, without signs that a terminal or an XML file cannot have."""
    return ''.join(sign for sign in ' '.join(text.split()) if sign.isprintable())


def spans(names: Iterable[Any]) -> list[tuple[Any, int]]:
    """Runs of equal neighbouring names, each with its length."""
    return [(name, len(list(group))) for name, group in groupby(names)]
