"""The plan of a run: its datasets, expressions, rules and grounders, checked and loaded, and its images in order."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.data.needed_masks import Referents
from harness.detection.source import FromMaps, FromNowhere, FromPictures
from harness.evaluation.request import TASKS
from harness.plugins import Detector, Grounder, Plugin, Rule
from harness.types import Annotation, Dataset, Expression, ImageInfo


@dataclass
class Plugins:
    """The rules and grounders of one dataset by name, with their weights loaded.

    ``controls`` are further grounders, used with rules that have ``with_controls``.
    """

    rules: dict[str, Rule]
    grounders: dict[str, Grounder]
    controls: dict[str, Grounder] = field(default_factory=dict)


@dataclass
class Plan:
    """Everything that a run needs, checked and loaded; nothing has been written yet.

    Attributes:
        datasets: the datasets to evaluate, by name.
        expressions: the chosen expressions of each (dataset, split).
        plugins: by dataset name.
        source: the source of image features; ``None`` if only boxes from outside are judged.
        tasks: some of :data:`TASKS`.
        context: contextual objects by (dataset, sent_id), for datasets that annotate other objects.
        ground_recall_only: run grounders on rules that are meant for recall only, too.
        referents: run lengths of the referents' masks, by dataset and ``ann_id``; empty if RES is not measured.
        masks: gives the stored mask of a box from outside by ``det_id``, height and width; ``None``: the detector makes
            masks.
        seed: seeds all random numbers; each image has a seed of its own derived from it.
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

    @property
    def detector(self) -> Detector | None:
        """The detector that looks at the images; ``None`` if none does."""
        return self.source.detector if isinstance(self.source, FromPictures | FromMaps) else None

    @property
    def all_plugins(self) -> list[Plugin]:
        """The rules and grounders of all datasets."""
        return [plugin for mine in self.plugins.values()
                for plugin in (*mine.rules.values(), *mine.grounders.values())]

    def annotated(self, group: Group) -> list[Annotation] | None:
        """The annotated objects of a group's image, ``None`` where its dataset has none."""
        annotations = self.datasets[group.dataset].annotations
        return None if annotations is None else annotations.get(group.info.image_id, [])

    def grounders_of(self, dataset: str, rule: Rule) -> dict[str, Grounder]:
        """The grounders that choose among the proposals of a rule, by name."""
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
    """The expressions of one image in one dataset and split."""

    dataset: str
    split: str
    info: ImageInfo
    expressions: list[Expression]


def images(plan: Plan) -> list[list[Group]]:
    """The images of a plan in order of first appearance, each as its groups: those that share its file and recorded
    size."""
    by_file: dict[Any, list[Group]] = defaultdict(list)
    for (dataset, split), expressions in plan.expressions.items():
        for info, mine in plan.datasets[dataset].by_image(expressions):
            file = info.path or (dataset, info.image_id)
            by_file[file, info.height, info.width].append(Group(dataset, split, info, mine))
    return list(by_file.values())
