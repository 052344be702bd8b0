"""Carrying out a request: it is checked and run, and its results are recorded with their provenance."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from harness.data.passport import Passports, passports
from harness.data.results import SeenImages
from harness.device import pick_device, without_tf32
from harness.evaluation.datasets import image_folders
from harness.evaluation.journal import Header, open_run
from harness.evaluation.one_image import Evaluated, evaluate
from harness.evaluation.outcome import Outcome, outcome_of
from harness.evaluation.plan import Plan, images
from harness.evaluation.plan_record import plan_record, versions
from harness.evaluation.prepare import prepare
from harness.evaluation.request import OWN_FORMS, Readers, Request
from harness.evaluation.result_folder import named_by_time
from harness.evaluation.results import run_record
from harness.evaluation.run import evaluate_images
from harness.evaluation.shards import Shard, images_of
from harness.evaluation.workers import number_of_workers

Say = Callable[[str], object]


def silent(line: Any) -> None:
    """Say nothing."""


def no_plug_ins() -> None:
    """Register nothing."""


@dataclass(frozen=True)
class Execution:
    """How a request is carried out; nothing here changes a row.

    Attributes:
        out: the folder of the whole run, in which a shard has a folder of its own; ``None``: ``results/<time>``.
        workers: the number of processes; ``None``: as many as are useful.
        shard: the shard to run; ``None``: the whole run.
        fresh: move an earlier run in the folder aside. Otherwise it is continued, or refused if it is a different run.
        register: registers the user's own plug-ins; called first in a spawned worker, which knows the project's alone.
    """

    out: Path | None = None
    workers: int | None = None
    shard: Shard | None = None
    fresh: bool = False
    register: Callable[[], object] = no_plug_ins

    @property
    def folder(self) -> Path:
        """The folder in which the rows are written."""
        out = self.out or named_by_time()
        return out if self.shard is None else out / self.shard.folder


@dataclass
class Measured:
    """The result of a run or a judgement: its folder, its outcome, and the provenance of that."""

    out: Path
    outcome: Outcome
    data: Mapping[str, str]
    notes: Sequence[str]
    weights: Mapping[str, Any] = field(default_factory=dict)
    images_in: Mapping[str, str] = field(default_factory=dict)
    detector_seen: Mapping[str, Mapping[str, SeenImages]] = field(default_factory=dict)
    passports: Passports = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)
    shard: Shard | None = None

    def record(self, command: str, options: Mapping[str, Any], seed: int, wall: float) -> dict[str, Any]:
        """The ``run`` part of ``results.json``: see :func:`harness.evaluation.results.run_record`."""
        return run_record(self.outcome, command=command, options=options, seed=seed, data=self.data,
                          weights=self.weights, notes=list(self.notes), wall=wall, images_in=self.images_in,
                          detector_seen=self.detector_seen, passports=self.passports,
                          versions_of=self.versions)


def measure(request: Request, execution: Execution, progress: Callable[[Any], Any], about: Mapping[str, Any],
            readers: Readers = OWN_FORMS, say: Say = silent, announce: Callable[[Plan], object] = silent) -> Measured:
    """Run what a request asks for, or continue that run.

    Args:
        request: as :func:`harness.evaluation.prepare.prepare` takes it.
        execution: how it is carried out.
        progress: wraps the images, for instance in a progress bar.
        about: ``command`` and ``options``, which a merge of shards needs.
        readers: the readers of the files that the request names.
        say: called with a line before a long step, and about what an earlier start has done.
        announce: called with the plan before the first image.

    Raises:
        InputError: whatever is wrong with the request; nothing has been written then.
    """
    start = time.perf_counter()
    one_thread()
    without_tf32()
    device = pick_device(request.device)
    prepared = prepare(request, readers, say)
    plan = prepared.plan
    announce(plan)
    work = images(plan)
    numbers = images_of(execution.shard, work)
    workers = number_of_workers(execution.workers, len(numbers), device)
    provenance: dict[str, Any] = {'data': prepared.data, 'weights': prepared.weights, 'notes': prepared.notes,
                                  'images_in': image_folders(plan.datasets), 'detector_seen': prepared.detector_seen,
                                  'passports': passports(plan.datasets, plan.expressions), 'versions': versions(plan)}
    header = Header(plan_record(request, plan, prepared.weights, device), {**about, **provenance}, plan.chosen_by(),
                    list(plan.tasks), len(work), sum(map(len, plan.expressions.values())), numbers,
                    None if execution.shard is None else str(execution.shard))
    loaded = time.perf_counter() - start
    folder = execution.folder
    with open_run(folder, header, execution.fresh, say) as journal:
        if journal.entries:
            say(f'{folder}: {len(journal.entries)} of {len(numbers)} images were done before; --fresh starts again')
        rebuild = None if device == 'cpu' else partial(rebuilt, request, readers, execution.register)
        evaluate_images(plan, work, journal, progress, workers, rebuild)
    outcome = outcome_of(folder, plan.tasks)
    outcome.timing.stage_of('read data and weights').seconds = loaded
    return Measured(folder, outcome, **provenance, shard=execution.shard)


def one_thread() -> None:
    """Let networks compute in one thread: these are too small to gain from a second one, and lose time waiting for it
    on a busy machine. A second process nearly halves the time."""
    torch.set_num_threads(1)


def rebuilt(request: Request, readers: Readers, register: Callable[[], object],
            worker: int) -> Callable[[int], Evaluated]:
    """The work of a spawned worker; each takes the next GPU unless the request names one."""
    one_thread()
    without_tf32()
    register()
    if request.device in (None, 'auto', 'cuda') and torch.cuda.device_count() > 1:
        request = replace(request, device=f'cuda:{worker % torch.cuda.device_count()}')
    plan = prepare(request, readers).plan
    work = images(plan)
    return lambda number: evaluate(plan, work[number], number)
