"""Evaluating one image: its features are computed once, then each rule and grounder is run on all of its expressions.

The result is the image's lines of ``predictions.jsonl`` and ``proposals.jsonl``, with counts and times. It depends on
nothing but the plan and the image, so images can be evaluated in any order and by any process.
"""
from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData

from harness.boxes import xyxy_to_xywh
from harness.data.answers import NO_GROUNDER
from harness.data.masks import as_text
from harness.detection.detector import wholly_outside
from harness.detection.source import FromPictures, without_image
from harness.errors import InputError
from harness.evaluation.counters import Counters
from harness.evaluation.plan import Group, Plan
from harness.evaluation.predictions import Choice, Truth, category_name, lines, prediction_rows, proposals_rows
from harness.evaluation.timing import Timing
from harness.plugins import Grounder
from harness.types import Expression, ImageFeatures


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
        return plan.source.features(read, info)


def _evaluate(plan: Plan, group: Group, image: ImageFeatures | None, done: Evaluated) -> None:
    """Put one group's expressions through every rule and grounder."""
    plugins, expressions = plan.plugins[group.dataset], group.expressions
    truths = _truths(plan, group, image, done)
    names = image.classes if image is not None else ()
    _count_oddities(group, plugins.grounders, done.counters)
    for rule_name, rule in plugins.rules.items():
        with done.timing.stage(f'propose: {rule_name}', len(expressions)):
            proposals = [p.cpu() for p in rule(image or without_image(group.info), expressions)]
        choices = {name: _ground(plan, name, grounder, image, expressions, proposals, done)
                   for name, grounder in plan.grounders_of(group.dataset, rule).items()}
        with done.timing.stage('write rows', len(expressions)):
            for grounder_name, chosen in (choices or {NO_GROUNDER: [None] * len(truths)}).items():
                done.predictions += lines(prediction_rows(truths, proposals, names, rule_name, grounder_name, chosen,
                                                          group.info))
            done.proposals += lines(proposals_rows(truths, proposals, names, rule_name))
        empty = sum(len(p) == 0 for p in proposals)
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


def _ground(plan: Plan, name: str, grounder: Grounder, image: ImageFeatures | None, expressions: Sequence[Expression],
            proposals: Sequence[InstanceData], done: Evaluated) -> list[Choice | None]:
    """The best proposal for each expression, the first among equals, with its mask if RES is measured."""
    assert image is not None, 'prepare() pairs grounders with a source of features'
    with done.timing.stage(f'ground: {name}', len(expressions)):
        scores = [torch.as_tensor(s).flatten().cpu() for s in grounder(image, expressions, proposals)]
        _check_scores(name, scores, proposals)
        picks = [int(s.argmax()) if len(s) else None for s in scores]
    chosen = [(p.bboxes[k], int(p.labels[k])) for p, k in zip(proposals, picks, strict=True) if k is not None]
    rles: Iterator[dict | None] = itertools.repeat(None)
    if 'res' in plan.tasks and chosen:
        with done.timing.stage('masks', len(chosen)):
            if plan.masks is None:
                rles = iter(_unique_masks(image, chosen))
                out = wholly_outside(torch.stack([box for box, _ in chosen]), image.info.height, image.info.width)
                what = f'boxes that {name} chose wholly outside their image: an empty mask'
                done.counters.oddities[what] += int(out.sum())
            else:
                ids = [int(p.det_ids[k]) for p, k in zip(proposals, picks, strict=True) if k is not None]
                rles = iter([as_text(plan.masks(i, image.info.height, image.info.width)) for i in ids])
    return [None if k is None else
            Choice(xyxy_to_xywh(np.asarray(p.bboxes[k]))[0], float(s[k]),
                   category_name(int(p.labels[k]), image.classes), next(rles))
            for p, s, k in zip(proposals, scores, picks, strict=True)]


def _check_scores(name: str, scores: Sequence[torch.Tensor], proposals: Sequence[InstanceData]) -> None:
    if len(scores) != len(proposals) or any(len(s) != len(p) for s, p in zip(scores, proposals, strict=True)):
        raise InputError(f'grounder {name}: must return one score per proposal for each expression; fix its __call__')
    if any(not torch.isfinite(s).all() for s in scores):
        raise InputError(f'grounder {name}: returned scores that are not finite numbers; check its weights')


def _unique_masks(image: ImageFeatures, chosen: Sequence[tuple[torch.Tensor, int]]) -> list[dict]:
    """The masks of the chosen boxes, each computed once: several expressions often choose the same box and label."""
    boxes = torch.stack([box for box, _ in chosen]).float()
    # A ground-truth box of a category that the detector does not know has label -1: any class's mask has to do.
    labels = torch.tensor([max(label, 0) for _, label in chosen])
    keys = torch.cat((boxes.cpu().double(), labels[:, None].double()), dim=1)
    unique, where = keys.unique(dim=0, return_inverse=True)
    rles = image.detector.masks(image, unique[:, :4].float(), unique[:, 4].long())
    return [rles[i] for i in where.tolist()]
