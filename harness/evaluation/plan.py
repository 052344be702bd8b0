"""What a run goes through: datasets, expressions, rules and grounders, all checked and loaded, image by image."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.data.needed_masks import Referents
from harness.detection.source import FromMaps, FromNowhere, FromPictures
from harness.evaluation.request import TASKS
from harness.plugins import Grounder, Rule
from harness.types import Annotation, Dataset, Expression, ImageInfo


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
        seed: of whatever draws random numbers; each image begins with its own.
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
    seed: int = 0

    def annotated(self, group: Group) -> list[Annotation] | None:
        """The annotated objects of a group's image, ``None`` where its dataset has none."""
        annotations = self.datasets[group.dataset].annotations
        return None if annotations is None else annotations.get(group.info.image_id, [])

    def grounders_of(self, dataset: str, rule: Rule) -> dict[str, Grounder]:
        """Who chooses among a rule's proposals."""
        if rule.recall_only and not self.ground_recall_only:
            return {}
        plugins = self.plugins[dataset]
        return plugins.grounders | (plugins.controls if rule.with_controls else {})

    def chosen_by(self) -> dict[str, dict[str, list[str]]]:
        """The names of the grounders of each rule of each dataset."""
        return {dataset: {name: list(self.grounders_of(dataset, rule)) for name, rule in plugins.rules.items()}
                for dataset, plugins in self.plugins.items()}


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
