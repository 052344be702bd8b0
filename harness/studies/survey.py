"""The ranking and the cost of every rule for every expression, from one pass over the images."""
from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from harness.boxes import plain_iou, xywh_to_xyxy
from harness.errors import InputError
from harness.evaluation.plan import Group, Plan, images
from harness.metrics.recall import HIT_IOU
from harness.types import Annotation, Expression, ImageFeatures

#: How many boxes of a ranking are used.
DEEPEST = 100
NOWHERE = -1


class Ranking(NamedTuple):
    """The ranking of one rule for one expression.

    Attributes:
        expression: that was ranked for.
        scores: ``(n,)`` of the first :data:`DEEPEST` boxes, best first.
        referent: rank of the first box that hits the referent, from 0, or :data:`NOWHERE`.
        context: the same of each contextual object; ``None`` where they are not available.
    """

    expression: Expression
    scores: Tensor
    referent: int
    context: tuple[int, ...] | None


@dataclass
class Survey:
    """The rankings by dataset and rule, and the seconds that each rule would take if it ran alone."""

    rankings: dict[tuple[str, str], list[Ranking]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    unreadable: int = 0


@dataclass
class TimedFeatures(ImageFeatures):
    """Image features that time every shared computation, so that each rule is charged for all that it uses.

    ``_cost`` holds seconds by key; ``_borrowed`` sums the cost of reused results per computation under way.
    """

    _cost: dict[Any, float] = field(default_factory=dict, repr=False, init=False)
    _borrowed: list[float] = field(default_factory=lambda: [0.], repr=False, init=False)

    def once(self, compute: Callable[..., Any], *arguments: Any) -> Any:
        key = compute, *arguments
        if key in self._memo:
            self._borrowed[-1] += self._cost[key]
            return self._memo[key]
        with self.charged(lambda seconds: self._cost.update({key: seconds})):
            value = super().once(compute, *arguments)
        return value

    @contextmanager
    def charged(self, to: Callable[[float], None]) -> Iterator[None]:
        """Pass to ``to`` the seconds spent inside, plus the cost of the reused results."""
        start = time.perf_counter()
        self._borrowed.append(0.)
        yield
        borrowed = self._borrowed.pop()
        self._borrowed[-1] += borrowed
        to(time.perf_counter() - start + borrowed)


def survey(plan: Plan, rules: Mapping[str, Mapping[str, Any]],
           progress: Callable[[list[list[Group]]], Iterable[list[Group]]] = iter) -> Survey:
    """Rank the boxes of every image with every rule.

    Args:
        plan: whose images and expressions.
        rules: by dataset and name. If a rule has no ``ranked`` of its own, its proposals are the ranking.
        progress: wraps the list of images.

    Raises:
        InputError: none of the images can be read.
    """
    assert plan.source is not None, 'rules need images'
    found = Survey()
    seen = 0
    for groups in progress(images(plan)):
        try:
            read: Any = plan.source.read(groups[0].info)
        except InputError:
            found.unreadable += 1
            continue
        seen += 1
        image = plan.source.features(read, groups[0].info)
        for group in groups:
            _rank(plan, group, image, rules[group.dataset], found)
    if not seen:
        raise InputError('none of the images could be read; check the image folder (--data-root)')
    return found


def _rank(plan: Plan, group: Group, image: ImageFeatures, rules: Mapping[str, Any], found: Survey) -> None:
    own = TimedFeatures(**{one.name: getattr(image, one.name) for one in fields(image) if one.init})
    own = replace(own, info=group.info, annotations=plan.annotated(group))
    for name, rule in rules.items():
        key = group.dataset, name

        def add(seconds: float, key: tuple[str, str] = key) -> None:
            found.seconds[key] += seconds
        with own.charged(add):
            proposed = rule(own, group.expressions)
        ranked = rule.ranked(own, group.expressions)
        _check_agrees(name, proposed, [boxes[:rule.kept(boxes.scores)] for boxes in ranked])
        found.rankings[key] += [ranking(e, boxes, plan.context.get((e.dataset, e.sent_id)))
                                for e, boxes in zip(group.expressions, ranked, strict=True)]


def _check_agrees(name: str, proposed: Sequence[InstanceData], first: Sequence[InstanceData]) -> None:
    """Refuse a rule whose proposals differ from the first boxes of its ranking."""
    if not all(torch.equal(own.bboxes[:DEEPEST], best.bboxes[:DEEPEST])
               for own, best in zip(proposed, first, strict=True)):
        raise InputError(f'{name}: its proposals are not the first boxes of its ranked(); a rule that overrides what '
                         'it proposes must override ranked() and kept() too')


def ranking(expression: Expression, boxes: InstanceData, context: Iterable[Annotation] | None) -> Ranking:
    """Where a ranking's first :data:`DEEPEST` boxes hit the referent and the contextual objects."""
    objects = [expression.gt_xywh, *(a.xywh for a in context or ())]
    first = boxes.bboxes[:DEEPEST].cpu().double().numpy()
    hits = plain_iou(xywh_to_xyxy(np.array(objects)), first) > HIT_IOU
    places = np.where(hits.any(axis=1), hits.argmax(axis=1), NOWHERE).tolist() if len(first) else [
        NOWHERE] * len(objects)
    return Ranking(expression, boxes.scores[:DEEPEST].cpu(), places[0], None if context is None else tuple(places[1:]))
