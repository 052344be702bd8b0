"""A request carried out: checked, run into a folder of its own, and recorded with where it comes from."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.evaluation.datasets import image_folders
from harness.evaluation.plan import prepare
from harness.evaluation.request import Request
from harness.evaluation.result_folder import result_folder
from harness.evaluation.results import run_record
from harness.evaluation.run import Outcome, Plan, run


@dataclass
class Measured:
    """What a run or a judgement leaves: its folder, its outcome, and where that comes from."""

    out: Path
    outcome: Outcome
    data: dict[str, str]
    notes: list[str]
    weights: dict[str, Any] = field(default_factory=dict)
    images_in: dict[str, str] = field(default_factory=dict)

    def record(self, command: str, options: Mapping[str, Any], seed: int, wall: float) -> dict[str, Any]:
        """The ``run`` part of ``results.json``: see :func:`harness.evaluation.results.run_record`."""
        return run_record(self.outcome, command=command, options=options, seed=seed, data=self.data,
                          weights=self.weights, notes=self.notes, wall=wall, images_in=self.images_in)


def measure(request: Request, out: Path | None, progress: Callable[[Any], Any], moved: Callable[[str], object],
            say: Callable[[str], object] = lambda line: None,
            announce: Callable[[Plan], object] = lambda plan: None) -> Measured:
    """Run what a request asks for.

    Args:
        request: as :func:`harness.evaluation.plan.prepare` takes it.
        out: the folder of the run; ``None``: ``results/<time>``. An earlier run in it is moved aside.
        progress: wraps the list of images, for instance a progress bar.
        moved: is told where an earlier run has been moved.
        say: is told what takes long.
        announce: is told the plan before the first image.

    Raises:
        InputError: whatever is wrong with the request; nothing has been written then.
    """
    start = time.perf_counter()
    prepared = prepare(request, say)
    announce(prepared.plan)
    loaded = time.perf_counter() - start
    with result_folder(out, moved) as folder:
        outcome = run(prepared.plan, folder, progress)
    outcome.stages['read data and weights'].seconds = loaded
    return Measured(folder, outcome, prepared.data, prepared.notes, prepared.weights,
                    image_folders(prepared.plan.datasets))
