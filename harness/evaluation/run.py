"""The way of the data, stage by stage and image by image: expressions in, predictions and results out.

An image is read, detected and described once; all of its expressions, of all datasets that share it, go through each
rule and each grounder together. Rows are on disk before the next image begins.
"""
from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData

from harness.boxes import xyxy_to_xywh
from harness.data.masks import as_text
from harness.data.needed_masks import Referents
from harness.detection.detector import wholly_outside
from harness.detection.source import FromMaps, FromNowhere, FromPictures, without_image
from harness.errors import InputError
from harness.evaluation.predictions import (
    NO_GROUNDER,
    Choice,
    RowWriter,
    Truth,
    category_name,
    prediction_rows,
    proposals_rows,
)
from harness.evaluation.request import TASKS
from harness.files.image_header import NOT_READABLE
from harness.plugins import Grounder, Metric, Rule
from harness.registry import METRICS
from harness.types import Annotation, Dataset, Expression, ImageFeatures, ImageInfo

_NAMED = 3  # of many images that are left out


@dataclass
class Plugins:
    """What one dataset's expressions go through: its rules and grounders by name, weights loaded.

    ``controls`` are further grounders, for the rules ``with_controls``.
    """

    rules: dict[str, Rule]
    grounders: dict[str, Grounder]
    controls: dict[str, Grounder] = field(default_factory=dict)


@dataclass
class Plan:
    """Everything a run needs, checked and loaded; nothing has been written yet.

    Attributes:
        datasets: what is evaluated, by name.
        expressions: the chosen expressions of each (dataset, split).
        plugins: by dataset name.
        source: of the images' features; ``None`` where proposals from outside need none.
        tasks: among :data:`TASKS`.
        context: contextual objects by (dataset, sent_id); lacks datasets for which they are not available.
        ground_recall_only: also ground the rules that are meant for recall alone.
        referents: run lengths of the referents' masks, by dataset and ``ann_id``; empty where RES is not asked for.
        masks: stored masks of outside boxes, by ``det_id``, height and width; ``None``: the detector makes masks.
    """

    datasets: dict[str, Dataset]
    expressions: dict[tuple[str, str], list[Expression]]
    plugins: dict[str, Plugins]
    source: FromPictures | FromMaps | FromNowhere | None
    tasks: tuple[str, ...] = TASKS
    context: dict[tuple[str, int], list[Annotation]] = field(default_factory=dict)
    ground_recall_only: bool = False
    referents: Referents = field(default_factory=dict)
    masks: Callable[[int, int, int], dict] | None = None


@dataclass
class Stage:
    """The time that a stage took, and for how many images and expressions; both 0 where they do not apply."""

    seconds: float = 0.0
    images: int = 0
    expressions: int = 0


@dataclass
class LeftOut:
    """Images of a kind that can't be used, with their expressions: how many, of which datasets, and what is wrong with
    the first few."""

    images: int = 0
    expressions: int = 0
    datasets: dict[str, None] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def note(self, kind: str, of_images: int) -> str:
        """A line on them, which begins with their datasets as other notes do."""
        more = f'; and {self.images - len(self.messages)} more' if self.images > len(self.messages) else ''
        return (f'{", ".join(self.datasets)}: {self.images} of {of_images} images and their {self.expressions} '
                f'expressions are left out and count in no figure, {kind}: {"; ".join(self.messages)}{more}')


@dataclass
class Outcome:
    """What a run measured: metric state by (dataset, split, rule, grounder), time by stage, counted oddities, and what
    is left out by its kind."""

    metrics: dict[tuple[str, str, str, str], list[Metric]] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=lambda: defaultdict(Stage))
    counts: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, LeftOut] = field(default_factory=lambda: defaultdict(LeftOut))
    images: int = 0
    expressions: int = 0

    @contextmanager
    def stage(self, name: str, expressions: int = 0) -> Iterator[None]:
        """Add the time inside to a stage, as spent on one image and on so many expressions."""
        start = time.perf_counter()
        try:
            yield
        finally:
            stage = self.stages[name]
            stage.seconds += time.perf_counter() - start
            stage.images += 1
            stage.expressions += expressions

    def leave_out(self, error: InputError, groups: Sequence[Group]) -> None:
        """Count an image that can't be used, with all of its expressions."""
        kind, expressions = getattr(error, 'kind', NOT_READABLE), sum(len(group.expressions) for group in groups)
        self.counts[kind] += 1
        self.counts['expressions left out with them'] += expressions
        them = self.left_out[kind]
        them.images += 1
        them.expressions += expressions
        them.datasets.update(dict.fromkeys(group.dataset for group in groups))
        if len(them.messages) < _NAMED:
            them.messages.append(str(error))

    @property
    def notes(self) -> list[str]:
        """A line for each kind of image that was left out, which names the first few."""
        images = self.images + sum(them.images for them in self.left_out.values())
        return [them.note(kind, images) for kind, them in self.left_out.items()]

    def count(self, rows: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> None:
        """Let the metrics of ``tasks`` see one rule's and grounder's rows of one dataset and split."""
        first = rows[0]
        key = (first['dataset'], first['split'], first['proposals'], first['grounder'])
        if key not in self.metrics:
            self.metrics[key] = [metric() for metric in METRICS.module_dict.values() if metric.task in tasks]
        for metric in self.metrics[key]:
            metric.process(rows)

    def records(self) -> list[dict[str, Any]]:
        """``results.json``'s records; a metric without a single row that has it gives none."""
        found = []
        for (dataset, split, rule, grounder), metrics in self.metrics.items():
            for metric in metrics:
                for name, (value, n) in metric.compute().items():
                    if value is not None:
                        found.append({'dataset': dataset, 'split': split, 'task': metric.task, 'metric': name,
                                      'grounder': grounder, 'proposals': rule, 'value': value, 'n': n})
        return found


@dataclass(frozen=True)
class Group:
    """One image's expressions of one dataset and split."""

    dataset: str
    split: str
    info: ImageInfo
    expressions: list[Expression]


def images(plan: Plan) -> list[list[Group]]:
    """The work, image by image: groups that share a file and its recorded size are together, in order of first
    appearance."""
    by_file: dict[Any, list[Group]] = defaultdict(list)
    for (dataset, split), expressions in plan.expressions.items():
        for info, mine in plan.datasets[dataset].by_image(expressions):
            file = info.path or (dataset, info.image_id)
            by_file[file, info.height, info.width].append(Group(dataset, split, info, mine))
    return list(by_file.values())


def run(plan: Plan, out: Path, progress: Any = iter) -> Outcome:
    """Go through all images, write ``predictions.jsonl`` and ``proposals.jsonl`` into ``out``, and count.

    Args:
        plan: see :class:`Plan`.
        out: an existing folder.
        progress: wraps the list of images, for instance a progress bar.
    """
    METRICS.import_from_location()
    outcome = Outcome()
    with RowWriter(out / 'predictions.jsonl') as predictions, RowWriter(out / 'proposals.jsonl') as proposals:
        for groups in progress(images(plan)):
            image = _describe(plan, groups, outcome)
            if plan.source is not None and image is None:
                continue
            outcome.images += 1
            for group in groups:
                _evaluate(plan, group, _for_group(image, group, plan), outcome, predictions, proposals)
    if isinstance(plan.source, FromPictures):
        outcome.counts.update(Counter(plan.source.oriented.values()))
    if plan.source is not None and outcome.images == 0:
        raise InputError('none of the images could be read; check the image folder (--images, --data-root, --features)')
    return outcome


def _describe(plan: Plan, groups: Sequence[Group], outcome: Outcome) -> ImageFeatures | None:
    """Read and detect one image; ``None`` where none is needed or the image can't be used (counted)."""
    if plan.source is None:
        return None
    info = groups[0].info
    try:
        with outcome.stage('read images'):
            read: Any = plan.source.read(info)
    except InputError as error:
        outcome.leave_out(error, groups)
        return None
    with outcome.stage('detect'):
        return plan.source.features(read, info)


def _for_group(image: ImageFeatures | None, group: Group, plan: Plan) -> ImageFeatures | None:
    """The same features with this dataset's own annotations (and a memory of its own)."""
    if image is None:
        return None
    return ImageFeatures(group.info, image.scale, image.feature_map, image.class_boxes, image.class_scores,
                         image.classes, image.detector, _annotated(plan, group))


def _annotated(plan: Plan, group: Group) -> list[Annotation] | None:
    """The image's annotated objects, ``None`` where the dataset has none."""
    annotations = plan.datasets[group.dataset].annotations
    return None if annotations is None else annotations.get(group.info.image_id, [])


def _evaluate(plan: Plan, group: Group, image: ImageFeatures | None, outcome: Outcome, predictions: RowWriter,
              proposals_file: RowWriter) -> None:
    plugins = plan.plugins[group.dataset]
    truths = _truths(plan, group, image, outcome)
    names = image.classes if image is not None else ()
    outcome.expressions += len(group.expressions)
    outcome.counts['expressions without a word'] += sum(not e.tokens for e in group.expressions)
    for name, grounder in plugins.grounders.items():
        if (longest := grounder.longest) is not None:
            cut = sum(len(e.tokens) > longest for e in group.expressions)
            outcome.counts[f'expressions longer than the {longest} words that {name} reads'] += cut
    for rule_name, rule in plugins.rules.items():
        with outcome.stage(f'propose: {rule_name}', len(group.expressions)):
            proposals = [p.cpu() for p in rule(image or without_image(group.info), group.expressions)]
        grounders = grounders_of(plan, plugins, rule)
        choices = {name: _ground(plan, name, grounder, image, group.expressions, proposals, outcome)
                   for name, grounder in grounders.items()} or {NO_GROUNDER: [None] * len(truths)}
        with outcome.stage('write and count', len(group.expressions)):
            for index, (grounder_name, chosen) in enumerate(choices.items()):
                rows = prediction_rows(truths, proposals, names, rule_name, grounder_name, chosen, group.info)
                predictions.write(rows)
                if index == 0 and 'recall' in plan.tasks:
                    outcome.count([{**row, 'grounder': NO_GROUNDER} for row in rows], ['recall'])
                if grounder_name != NO_GROUNDER:
                    outcome.count(rows, [t for t in plan.tasks if t != 'recall'])
            proposals_file.write(proposals_rows(truths, proposals, names, rule_name))
            outcome.counts[f'expressions without any proposal ({rule_name})'] += sum(len(p) == 0 for p in proposals)


def grounders_of(plan: Plan, plugins: Plugins, rule: Rule) -> dict[str, Grounder]:
    """Who chooses among a rule's proposals."""
    if rule.recall_only and not plan.ground_recall_only:
        return {}
    return plugins.grounders | (plugins.controls if rule.with_controls else {})


def _truths(plan: Plan, group: Group, image: ImageFeatures | None, outcome: Outcome) -> list[Truth]:
    """What is known of the answers, worked out once for each referent."""
    with outcome.stage('look up truth', len(group.expressions)):
        mine = _annotated(plan, group)
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
            proposals: Sequence[InstanceData], outcome: Outcome) -> list[Choice | None]:
    """The best proposal of each expression, the earlier one among equals, with its mask where RES is asked for."""
    assert image is not None, 'prepare() pairs grounders with a source of features'
    with outcome.stage(f'ground: {name}', len(expressions)):
        scores = [torch.as_tensor(s).flatten().cpu() for s in grounder(image, expressions, proposals)]
        _check_scores(name, scores, proposals)
        picks = [int(s.argmax()) if len(s) else None for s in scores]
    chosen = [(p.bboxes[k], int(p.labels[k])) for p, k in zip(proposals, picks, strict=True) if k is not None]
    rles: Iterator[dict | None] = itertools.repeat(None)
    if 'res' in plan.tasks and chosen:
        with outcome.stage('masks', len(chosen)):
            if plan.masks is None:
                rles = iter(_unique_masks(image, chosen))
                out = wholly_outside(torch.stack([box for box, _ in chosen]), image.info.height, image.info.width)
                outcome.counts[f'boxes that {name} chose wholly outside their image: an empty mask'] += int(out.sum())
            else:
                ids = [int(p.det_ids[k]) for p, k in zip(proposals, picks, strict=True) if k is not None]
                rles = iter([as_text(plan.masks(i, image.info.height, image.info.width)) for i in ids])
    return [None if k is None else
            Choice(xyxy_to_xywh(np.asarray(p.bboxes[k]))[0], float(s[k]),
                   category_name(int(p.labels[k]), image.classes), next(rles))
            for p, s, k in zip(proposals, scores, picks, strict=True)]


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
