"""Recall of proposals: of referents, of contextual objects, and what it costs in proposals.

Source: ``utils/hit_rate_utils.py`` of ChopinSharp/ref-nms. Every sentence counts once.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from harness.metrics.mean import Mean
from harness.plugins import Metric, Results, Row
from harness.registry import METRICS

#: An object is found when a proposal overlaps it by strictly more than this (plain IoU).
HIT_IOU = 0.5


@METRICS.register_module(name='referent_recall')
class ReferentRecall(Mean):
    """Share of expressions (%) with a proposal over IoU 0.5 with the referent."""

    names, task = ('referent_recall',), 'recall'

    def of(self, row: Row) -> int | None:
        iou = row.get('best_proposal_iou')
        return None if iou is None else int(iou > HIT_IOU)


@METRICS.register_module(name='mean_proposals')
class MeanProposals(Mean):
    """Mean number of proposals an expression."""

    names, task, scale = ('mean_proposals',), 'recall', 1

    def of(self, row: Row) -> int | None:
        return row.get('n_proposals')


@METRICS.register_module(name='context_recall')
class ContextRecall(Metric):
    """Found share (%) of an expression's contextual objects, a mean over the expressions that have some."""

    names, task = ('context_recall',), 'recall'

    def reset(self) -> None:
        """Forget all rows."""
        self.hits: Counter[int] = Counter()
        self.expressions: Counter[int] = Counter()

    def process(self, rows: Sequence[Row]) -> None:
        """Count some more rows, by how many contextual objects they have: whole numbers add up exactly."""
        for row in rows:
            n_context, hits = row.get('n_context'), row.get('context_hits')
            if n_context and hits is not None:
                self.hits[n_context] += hits
                self.expressions[n_context] += 1

    def compute(self) -> Results:
        """``{name: (value, n)}``; the value is ``None`` where no row had what it takes."""
        n = self.expressions.total()
        found = sum((Fraction(hits, n_context) for n_context, hits in self.hits.items()), Fraction())
        return {self.names[0]: (float(100 * found / n) if n else None, n)}
