"""Evaluating one image: its features are computed once, then each rule and grounder is run on all of its expressions.

The result is the image's lines of ``predictions.jsonl`` and ``proposals.jsonl``, with counts and times. It depends on
nothing but the plan and the image, so images can be evaluated in any order and by any process.
"""
from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from harness.boxes import xyxy_to_xywh
from harness.data.answers import NO_GROUNDER
from harness.data.masks import as_text
from harness.detection.detector import wholly_outside
from harness.detection.source import FromPictures, without_image
from harness.errors import InputError
from harness.evaluation.counters import Counters
from harness.evaluation.plan import Group, Plan
from harness.evaluation.precision import COMPARED_EVERY, changes, in_fp32
from harness.evaluation.predictions import (
    Choice,
    Truth,
    category_name,
    lines,
    prediction_rows,
    proposal_facts,
    proposals_rows,
)
from harness.evaluation.timing import Timing
from harness.plugins import Grounder
from harness.types import Expression, ImageFeatures

#: The names of a rule and of a grounder that chooses among its proposals.
Pair = tuple[str, str]


@dataclass
class Evaluated:
    """The result of one image: its lines of both files, its times and its counts."""

    predictions: bytearray = field(default_factory=bytearray)
    proposals: bytearray = field(default_factory=bytearray)
    timing: Timing = field(default_factory=Timing)
    counters: Counters = field(default_factory=Counters)


def evaluate(plan: Plan, groups: Sequence[Group], number: int) -> Evaluated:
    """Evaluate an image.

    Args:
        plan: see :class:`harness.evaluation.plan.Plan`.
        groups: the image's expressions, one group per dataset and split.
        number: the image's place in the plan, which seeds its random numbers.

    Raises:
        InputError: a rule or grounder returns what cannot be used. An image that cannot be read is only counted.
    """
    done = _evaluated(plan, groups, number)
    detector = plan.detector
    if detector is not None and detector.precision != 'fp32' and number % COMPARED_EVERY == 0:
        with in_fp32(detector):
            exact = _evaluated(plan, groups, number)
        for grounder, found in changes(done.predictions, exact.predictions).items():
            done.counters.oddities.update(found.counts(grounder, detector.precision))
    return done


def _evaluated(plan: Plan, groups: Sequence[Group], number: int) -> Evaluated:
    _seed(plan.seed, number)
    done = Evaluated()
    image = _describe(plan, groups, done)
    if plan.source is None or image is not None:
        done.counters.images += 1
        for group in groups:
            own = None if image is None else replace(image, info=group.info, annotations=plan.annotated(group))
            _evaluate(plan, group, own, done)
    return done


def _seed(seed: int, number: int) -> None:
    """Seed the shared generators, so that an image gets the same random numbers in every process."""
    own = (seed * 1_000_003 + number) % 2 ** 32
    random.seed(own)
    np.random.seed(own)
    torch.manual_seed(own)


def _describe(plan: Plan, groups: Sequence[Group], done: Evaluated) -> ImageFeatures | None:
    """Read an image and run the detector; ``None`` if none is needed, or if it cannot be used, which is counted."""
    if plan.source is None:
        return None
    info = groups[0].info
    try:
        with done.timing.stage('read images'):
            read: Any = plan.source.read(info)
    except InputError as error:
        done.counters.leave_out(error, (group.dataset for group in groups),
                                sum(len(group.expressions) for group in groups))
        return None
    if isinstance(plan.source, FromPictures):
        done.counters.turned.update(plan.source.turned(info))
    with done.timing.stage('detect'):
        image = plan.source.features(read, info)
    if isinstance(plan.source, FromPictures) and plan.source.store is not None:
        done.counters.oddities['stored detections that were damaged and made anew'] += plan.source.store.take_damaged()
    return image


def _evaluate(plan: Plan, group: Group, image: ImageFeatures | None, done: Evaluated) -> None:
    """Put one group's expressions through every rule and grounder."""
    plugins, expressions = plan.plugins[group.dataset], group.expressions
    truths = _truths(plan, group, image, done)
    names = image.classes if image is not None else ()
    _count_oddities(group, plugins.grounders, done.counters)
    proposals: dict[str, list[InstanceData]] = {}
    for rule_name, rule in plugins.rules.items():
        with done.timing.stage(f'propose: {rule_name}', len(expressions)):
            proposals[rule_name] = _on_cpu(rule(image or without_image(group.info), expressions))
    choices = _choose(plan, group, image, proposals, done)
    for rule_name, found in proposals.items():
        with done.timing.stage('write rows', len(expressions)):
            facts = proposal_facts(truths, found, names)
            grounded = {name: chosen for (rule, name), chosen in choices.items() if rule == rule_name}
            for grounder_name, chosen in (grounded or {NO_GROUNDER: [None] * len(truths)}).items():
                done.predictions += lines(prediction_rows(truths, found, names, rule_name, grounder_name, chosen,
                                                          group.info, facts))
            done.proposals += lines(proposals_rows(truths, found, names, rule_name, facts))
        empty = sum(len(p) == 0 for p in found)
        done.counters.oddities[f'expressions without any proposal ({rule_name})'] += empty


def _count_oddities(group: Group, grounders: Mapping[str, Grounder], counters: Counters) -> None:
    """Count the expressions of a group, those without words, and those too long for a grounder."""
    counters.expressions += len(group.expressions)
    counters.oddities['expressions without a word'] += sum(not e.tokens for e in group.expressions)
    for name, grounder in grounders.items():
        if (longest := grounder.longest) is not None:
            cut = sum(len(e.tokens) > longest for e in group.expressions)
            counters.oddities[f'expressions longer than the {longest} words that {name} reads'] += cut


def _truths(plan: Plan, group: Group, image: ImageFeatures | None, done: Evaluated) -> list[Truth]:
    """The truth of each expression; what depends on the referent alone is computed once per referent."""
    with done.timing.stage('look up truth', len(group.expressions)):
        mine = plan.annotated(group)
        masks = plan.referents.get(group.dataset, {})
        candidates = None if image is None or not len(image.class_boxes) else (
            image.class_boxes.reshape(-1, 4).cpu().numpy())
        best: dict[tuple, Truth] = {}
        truths = []
        for e in group.expressions:
            context = plan.context.get((e.dataset, e.sent_id))
            key = (e.ann_id, e.gt_xywh, e.category)
            if key not in best:
                best[key] = Truth.of(e, mine, None, masks.get(e.ann_id), candidates)
            truths.append(best[key].said_of(e, context))
        return truths


def _choose(plan: Plan, group: Group, image: ImageFeatures | None, proposals: Mapping[str, list[InstanceData]],
            done: Evaluated) -> dict[Pair, list[Choice | None]]:
    """What each grounder chooses among each rule's proposals: that of the highest score, the first among equals."""
    rules = plan.plugins[group.dataset].rules
    grounders = {rule: plan.grounders_of(group.dataset, rules[rule]) for rule in proposals}
    if not any(grounders.values()):
        return {}
    assert image is not None, 'prepare() pairs grounders with a source of features'
    scores: dict[Pair, list[Tensor]] = {}
    for name, grounder in {name: one for mine in grounders.values() for name, one in mine.items()}.items():
        given = {rule: found for rule, found in proposals.items() if name in grounders[rule]}
        scores |= _score(name, grounder, image, group.expressions, given, done)
    pairs = [(rule, name) for rule in proposals for name in grounders[rule]]
    picks = {pair: [int(s.argmax()) if len(s) else None for s in scores[pair]] for pair in pairs}
    masks = _masks(plan, image, proposals, picks, done) if 'res' in plan.tasks else {}
    return {pair: [None if k is None else
                   Choice(xyxy_to_xywh(np.asarray(p.bboxes[k]))[0], float(s[k]),
                          category_name(int(p.labels[k]), image.classes), masks.get((pair, i)))
                   for i, (p, s, k) in enumerate(zip(proposals[pair[0]], scores[pair], picks[pair], strict=True))]
            for pair in pairs}


def _on_cpu(found: Sequence[InstanceData]) -> list[InstanceData]:
    """The proposals of an image's expressions as the rows need them; expressions often share the same ones."""
    moved = {id(p): p if all(getattr(v, 'is_cpu', True) for v in p.values()) else p.cpu() for p in found}
    return [moved[id(p)] for p in found]


def _score(name: str, grounder: Grounder, image: ImageFeatures, expressions: Sequence[Expression],
           proposals: Mapping[str, Sequence[InstanceData]], done: Evaluated) -> dict[Pair, list[Tensor]]:
    """A grounder's scores of every rule's proposals, from a single call: what rules share is looked at once."""
    given = [p for found in proposals.values() for p in found]
    with done.timing.stage(f'ground: {name}', len(given)):
        scores = [torch.as_tensor(s).flatten().cpu() for s in
                  grounder(image, list(expressions) * len(proposals), given)]
        _check_scores(name, scores, given)
    remaining = iter(scores)
    return {(rule, name): [next(remaining) for _ in found] for rule, found in proposals.items()}


def _masks(plan: Plan, image: ImageFeatures, proposals: Mapping[str, Sequence[InstanceData]],
           picks: Mapping[Pair, Sequence[int | None]], done: Evaluated) -> dict[tuple[Pair, int], dict]:
    """The mask of each choice, by pair and place of the expression; one for all that are alike."""
    chosen = {(pair, i): (p, k) for pair, mine in picks.items()
              for i, (p, k) in enumerate(zip(proposals[pair[0]], mine, strict=True)) if k is not None}
    if not chosen:
        return {}
    height, width = image.info.height, image.info.width
    with done.timing.stage('masks', len(chosen)):
        if plan.masks is not None:
            return {key: as_text(plan.masks(int(p.det_ids[k]), height, width)) for key, (p, k) in chosen.items()}
        boxes = torch.stack([torch.as_tensor(p.bboxes)[k] for p, k in chosen.values()]).float()
        labels = torch.stack([torch.as_tensor(p.labels)[k] for p, k in chosen.values()])
        for ((_, name), _), out in zip(chosen, wholly_outside(boxes, height, width).tolist(), strict=True):
            done.counters.oddities[f'boxes that {name} chose wholly outside their image: an empty mask'] += out
        return dict(zip(chosen, _unique_masks(image, boxes, labels), strict=True))


def _check_scores(name: str, scores: Sequence[Tensor], proposals: Sequence[InstanceData]) -> None:
    if len(scores) != len(proposals) or any(len(s) != len(p) for s, p in zip(scores, proposals, strict=True)):
        raise InputError(f'grounder {name}: must return one score a proposal for each expression')
    if any(not torch.isfinite(s).all() for s in scores):
        raise InputError(f'grounder {name}: returned scores that are not finite numbers; check its weights')


def _unique_masks(image: ImageFeatures, boxes: Tensor, labels: Tensor) -> list[dict]:
    """The masks of chosen boxes ``(n, 4)``, each computed once: several expressions often choose the same box and
    label."""
    # A ground-truth box of a category that the detector does not know has label -1, one from another detector a label
    # over its own: any class's mask has to do.
    known = torch.where(labels < len(image.detector.classes), labels, 0).clamp(min=0)
    keys = torch.cat((boxes.double(), known[:, None].double()), dim=1)
    unique, where = keys.unique(dim=0, return_inverse=True)
    rles = image.detector.masks(image, unique[:, :4].float(), unique[:, 4].long())
    return [rles[i] for i in where.tolist()]
