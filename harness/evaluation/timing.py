"""How long each stage of a run took, and on how much."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from typing import Any


@dataclass
class Stage:
    """The time that a stage took, and for how many images and expressions; both 0 where they do not apply."""

    seconds: float = 0.0
    images: int = 0
    expressions: int = 0


@dataclass
class Timing:
    """The stages of a run by name, in order of first appearance. Timings of parts add up (:meth:`add`)."""

    stages: dict[str, Stage] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, expressions: int = 0) -> Iterator[None]:
        """Add the time inside to a stage, as spent on one image and on so many expressions."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._add(name, Stage(time.perf_counter() - start, 1, expressions))

    def add(self, other: Timing) -> None:
        """Add the stages of another part of the run."""
        for name, stage in other.stages.items():
            self._add(name, stage)

    def stage_of(self, name: str) -> Stage:
        """A stage, which begins with nothing."""
        return self.stages.setdefault(name, Stage())

    def _add(self, name: str, more: Stage) -> None:
        stage = self.stage_of(name)
        stage.seconds += more.seconds
        stage.images += more.images
        stage.expressions += more.expressions

    def as_json(self) -> dict[str, Any]:
        """What :meth:`of_json` reads."""
        return {name: astuple(stage) for name, stage in self.stages.items()}

    @classmethod
    def of_json(cls, stages: dict[str, Any]) -> Timing:
        """What :meth:`as_json` gave."""
        return cls({name: Stage(*numbers) for name, numbers in stages.items()})
