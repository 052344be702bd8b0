"""What most metrics are: a mean of an integer over the expressions that have it.

A metric sees the rows of ``predictions.jsonl`` that belong to one dataset, split, rule and grounder. Its state is
exact integers, so neither the order of the rows nor their division into parts changes a digit.
"""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from harness.plugins import Metric, Results, Row


class Mean(Metric):
    """Mean over the rows for which :meth:`of` has a value.

    Subclasses give ``names`` (one), ``task``, ``scale`` (100 for percent) and ``of``.
    """

    scale: ClassVar[int] = 100

    @abstractmethod
    def of(self, row: Row) -> int | None:
        """The row's count, ``None`` where the row has none and is left out of the mean."""

    def reset(self) -> None:
        """Forget all rows."""
        self.total, self.n = 0, 0

    def process(self, rows: Sequence[Row]) -> None:
        """Count some more rows."""
        counts = [count for row in rows if (count := self.of(row)) is not None]
        self.total += sum(counts)
        self.n += len(counts)

    def compute(self) -> Results:
        """``{name: (value, n)}``; the value is ``None`` where no row had what it takes."""
        return {self.names[0]: (self.scale * self.total / self.n if self.n else None, self.n)}
