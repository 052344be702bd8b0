"""The time of each stage of a run, and the work done in it."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from typing import Any


@dataclass
class Stage:
    """The time of a stage and the numbers of images and expressions in it, which are 0 if they do not apply."""

    seconds: float = 0.0
    images: int = 0
    expressions: int = 0


@dataclass
class Timing:
    """The stages of a run, or of some of its images, in order of first use; :meth:`add` sums them."""

    stages: dict[str, Stage] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, expressions: int = 0) -> Iterator[None]:
        """Add the time spent inside the context to a stage, as that of one image and its number of expressions."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._add(name, Stage(time.perf_counter() - start, 1, expressions))

    def add(self, other: Timing) -> None:
        """Add the times of other images of the run."""
        for name, stage in other.stages.items():
            self._add(name, stage)

    def stage_of(self, name: str) -> Stage:
        """A stage by name; a new one starts at 0."""
        return self.stages.setdefault(name, Stage())

    def _add(self, name: str, more: Stage) -> None:
        stage = self.stage_of(name)
        stage.seconds += more.seconds
        stage.images += more.images
        stage.expressions += more.expressions

    def as_json(self) -> dict[str, Any]:
        """The stages as JSON, for :meth:`of_json`."""
        return {name: astuple(stage) for name, stage in self.stages.items()}

    @classmethod
    def of_json(cls, stages: dict[str, Any]) -> Timing:
        """The stages that :meth:`as_json` wrote."""
        return cls({name: Stage(*numbers) for name, numbers in stages.items()})
