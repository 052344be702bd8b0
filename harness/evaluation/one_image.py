"""One image, whole: its features once, then all of its expressions, of all datasets that share it, through every rule
and every grounder.

What comes out are lines of ``predictions.jsonl`` and ``proposals.jsonl``, and what was counted and timed on the way. It
depends on the plan and the image alone, so that images may be evaluated in any order and by any process.
"""
from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
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


@dataclass
class Evaluated:
    """What an image gives: the lines of both files, and what was timed and counted; those of images add up."""

    predictions: bytearray = field(default_factory=bytearray)
    proposals: bytearray = field(default_factory=bytearray)
    timing: Timing = field(default_factory=Timing)
    counters: Counters = field(default_factory=Counters)


def evaluate(plan: Plan, groups: Sequence[Group], number: int) -> Evaluated:
    """Evaluate an image.

    Args:
        plan: see :class:`harness.evaluation.plan.Plan`.
        groups: the image's expressions, one group per dataset and split.
        number: the image's place among all of the plan, from which its random numbers follow.

    Raises:
        InputError: a rule or grounder gives what cannot be used. An image that cannot be read is counted instead.
    """
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
    """Whatever draws from the shared generators draws the same for an image, whichever process evaluates it."""
    own = (seed * 1_000_003 + number) % 2 ** 32
    random.seed(own)
    np.random.seed(own)
    torch.manual_seed(own)


def _describe(plan: Plan, groups: Sequence[Group], done: Evaluated) -> ImageFeatures | None:
    """Read and detect one image; ``None`` where none is needed or the image can't be used (counted)."""
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
        return plan.source.features(read, info)


def _evaluate(plan: Plan, group: Group, image: ImageFeatures | None, done: Evaluated) -> None:
    """Put one group's expressions through every rule and grounder."""
    plugins, expressions = plan.plugins[group.dataset], group.expressions
    truths = _truths(plan, group, image, done)
    names = image.classes if image is not None else ()
    _count_oddities(group, plugins.grounders, done.counters)
    proposals: dict[str, list[InstanceData]] = {}
    for rule_name, rule in plugins.rules.items():
        with done.timing.stage(f'propose: {rule_name}', len(expressions)):
            proposals[rule_name] = [p.cpu() for p in rule(image or without_image(group.info), expressions)]
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
    """Count a group's expressions, those without a word and those that are too long for a grounder."""
    counters.expressions += len(group.expressions)
    counters.oddities['expressions without a word'] += sum(not e.tokens for e in group.expressions)
    for name, grounder in grounders.items():
        if (longest := grounder.longest) is not None:
            cut = sum(len(e.tokens) > longest for e in group.expressions)
            counters.oddities[f'expressions longer than the {longest} words that {name} reads'] += cut


def _truths(plan: Plan, group: Group, image: ImageFeatures | None, done: Evaluated) -> list[Truth]:
    """What is known of the answers, worked out once for each referent."""
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
            done: Evaluated) -> dict[tuple[str, str], list[Choice | None]]:
    """What each grounder chooses among each rule's proposals, by (rule, grounder): the proposal of the highest score,
    the earlier one among equals."""
    rules = plan.plugins[group.dataset].rules
    grounders = {rule: plan.grounders_of(group.dataset, rules[rule]) for rule in proposals}
    scores: dict[tuple[str, str], list[Tensor]] = {}
    for name, grounder in {name: one for mine in grounders.values() for name, one in mine.items()}.items():
        assert image is not None, 'prepare() pairs grounders with a source of features'
        its_rules = [rule for rule in proposals if name in grounders[rule]]
        scores |= {(rule, name): found for rule, found in
                   _score(name, grounder, image, group.expressions, {r: proposals[r] for r in its_rules}, done)}
    in_order = [(rule, name) for rule in proposals for name in grounders[rule]]
    picks = {key: [int(s.argmax()) if len(s) else None for s in scores[key]] for key in in_order}
    masks = _masks(plan, image, proposals, picks, done) if 'res' in plan.tasks and image is not None else {}
    return {key: [None if k is None else _choice(p, s, k, image, masks.get((key, i)))
                  for i, (p, s, k) in enumerate(zip(proposals[key[0]], scores[key], picks[key], strict=True))]
            for key in in_order}


def _score(name: str, grounder: Grounder, image: ImageFeatures, expressions: Sequence[Expression],
           proposals: Mapping[str, Sequence[InstanceData]], done: Evaluated) -> Iterator[tuple[str, list[Tensor]]]:
    """A grounder's scores of every rule's proposals, from a single call: what rules share is looked at once."""
    given = [p for found in proposals.values() for p in found]
    with done.timing.stage(f'ground: {name}', len(given)):
        scores = [torch.as_tensor(s).flatten().cpu() for s in
                  grounder(image, list(expressions) * len(proposals), given)]
        _check_scores(name, scores, given)
    for index, rule in enumerate(proposals):
        yield rule, scores[index * len(expressions):(index + 1) * len(expressions)]


def _choice(proposals: InstanceData, scores: Tensor, index: int, image: ImageFeatures | None,
            rle: dict | None) -> Choice:
    assert image is not None
    return Choice(xyxy_to_xywh(np.asarray(proposals.bboxes[index]))[0], float(scores[index]),
                  category_name(int(proposals.labels[index]), image.classes), rle)


def _masks(plan: Plan, image: ImageFeatures, proposals: Mapping[str, Sequence[InstanceData]],
           picks: Mapping[tuple[str, str], Sequence[int | None]], done: Evaluated) -> dict[Any, dict]:
    """The mask of each choice, by (rule, grounder) and place of the expression; made once for all that are alike."""
    chosen = [((key, i), p, k) for key, mine in picks.items()
              for i, (p, k) in enumerate(zip(proposals[key[0]], mine, strict=True)) if k is not None]
    if not chosen:
        return {}
    height, width = image.info.height, image.info.width
    with done.timing.stage('masks', len(chosen)):
        if plan.masks is not None:
            return {key: as_text(plan.masks(int(p.det_ids[k]), height, width)) for key, p, k in chosen}
        boxes = torch.stack([p.bboxes[k] for _, p, k in chosen]).float()
        for ((_, name), _), out in zip((key for key, _, _ in chosen), wholly_outside(boxes, height, width).tolist(),
                                       strict=True):
            done.counters.oddities[f'boxes that {name} chose wholly outside their image: an empty mask'] += out
        return dict(zip((key for key, _, _ in chosen), _unique_masks(
            image, [(p.bboxes[k], int(p.labels[k])) for _, p, k in chosen]), strict=True))


def _check_scores(name: str, scores: Sequence[torch.Tensor], proposals: Sequence[InstanceData]) -> None:
    if len(scores) != len(proposals) or any(len(s) != len(p) for s, p in zip(scores, proposals, strict=True)):
        raise InputError(f'grounder {name}: must return one score a proposal for each expression')
    if any(not torch.isfinite(s).all() for s in scores):
        raise InputError(f'grounder {name}: returned scores that are not finite numbers; check its weights')


def _unique_masks(image: ImageFeatures, chosen: Sequence[tuple[torch.Tensor, int]]) -> list[dict]:
    """One mask a distinct (box, label): several expressions often choose the same one."""
    boxes = torch.stack([box for box, _ in chosen]).float()
    # A ground-truth box of a category that the detector does not know has label -1: any class's mask has to do.
    labels = torch.tensor([max(label, 0) for _, label in chosen])
    keys = torch.cat((boxes.cpu().double(), labels[:, None].double()), dim=1)
    unique, where = keys.unique(dim=0, return_inverse=True)
    rles = image.detector.masks(image, unique[:, :4].float(), unique[:, 4].long())
    return [rles[i] for i in where.tolist()]
