"""A run: every image of a plan evaluated, by as many processes as there are, and its rows on disk in the plan's order.

What was measured is read back from the folder (:func:`harness.evaluation.outcome.outcome_of`).
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.evaluation.journal import Header, Journal, open_run
from harness.evaluation.one_image import Evaluated, evaluate
from harness.evaluation.outcome import Outcome, outcome_of
from harness.evaluation.plan import Group, Plan, images
from harness.evaluation.workers import WorkerDied, workers

#: What is said where not one image can be used; of a shard it is no fault.
NO_IMAGE = 'none of the images could be read; check the image folder (--images, --data-root, --features)'
Progress = Callable[[Any], Iterable[tuple[int, Evaluated]]]


@dataclass(frozen=True)
class Sized:
    """An iterator that knows its length, for progress bars."""

    items: Iterator[Any]
    length: int

    def __iter__(self) -> Iterator[Any]:
        return self.items

    def __len__(self) -> int:
        return self.length


def run(plan: Plan, out: Path, progress: Progress = iter) -> Outcome:
    """Evaluate all images of a plan in this process.

    Args:
        plan: see :class:`harness.evaluation.plan.Plan`.
        out: an existing folder, in which the rows are written.
        progress: wraps the images, for instance a progress bar.

    Raises:
        InputError: not one image can be read, or a rule or grounder gives what cannot be used.
    """
    work = images(plan)
    header = Header(tasks=list(plan.tasks), images=len(work), numbers=list(range(len(work))))
    with open_run(out, header) as journal:
        evaluate_images(plan, work, journal, progress)
    return outcome_of(out, plan.tasks)


def evaluate_images(plan: Plan, work: Sequence[Sequence[Group]], journal: Journal, progress: Progress = iter,
                    number: int = 1, rebuild: Callable[[int], Callable[[int], Evaluated]] | None = None) -> None:
    """Evaluate what the journal says is left.

    Args:
        plan: see :class:`harness.evaluation.plan.Plan`.
        work: its images (:func:`harness.evaluation.plan.images`).
        journal: of the run.
        progress: wraps the images.
        number: of worker processes.
        rebuild: see :func:`harness.evaluation.workers.workers`.

    Raises:
        InputError: not one image can be read, a rule or grounder gives what cannot be used, or a worker died.
    """
    left = journal.left
    with workers(lambda n: evaluate(plan, work[n], n), number, rebuild) as crew:
        try:
            for n, image in progress(Sized(crew.results(left), len(left))):
                journal.append(n, image)
        except WorkerDied as death:
            info = work[death.item][0].info
            raise InputError(f'image {info.image_id}{f" ({info.path})" if info.path else ""}: the process on it '
                             f'ended ({death.how}), perhaps for want of memory; the same command goes on from here, '
                             '--workers 1 needs the least memory') from None
    if journal.header.shard is None and journal.entries and not any(e.counters.images for e in journal.entries):
        raise InputError(NO_IMAGE)
