"""Shards of a run, for machines or processes that do not communicate: whole images, shared out evenly by cost."""
from __future__ import annotations

import heapq
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.evaluation.plan import Group

#: The cost of detection on an image, in units of the cost of an expression.
_DETECTION = 5
#: The variables by which launchers tell a process its number, from 0, and the number of processes. Slurm's number is
#: that of the step, which only srun sets: SLURM_NTASKS is there in a batch script too, which is one process.
_LAUNCHERS = (('RANK', 'WORLD_SIZE'), ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'),
              ('SLURM_PROCID', 'SLURM_STEP_NUM_TASKS'))


@dataclass(frozen=True)
class Shard:
    """Shard ``index`` of ``count``, numbered from 1."""

    index: int
    count: int

    def __str__(self) -> str:
        return f'{self.index}/{self.count}'

    @property
    def folder(self) -> str:
        """The name of its folder in the folder of the run."""
        return f'shard-{self.index}-of-{self.count}'


def parse_shard(text: str) -> Shard:
    """The shard that ``--shard 2/3`` names.

    Raises:
        InputError: the text is not of that form.
    """
    match = re.fullmatch(r'([0-9]{1,6})/([0-9]{1,6})', text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f'--shard {text}: must be I/N with I from 1 to N, for instance 2/3')
    return Shard(int(match[1]), int(match[2]))


def shard_of(environment: Mapping[str, str] = os.environ) -> Shard | None:
    """The shard that a launcher assigns to this process; ``None`` if there is only one process.

    Launchers are torchrun (whose variables mmengine reads too), Open MPI, and Slurm with tasks that srun starts, job
    arrays or both.

    Raises:
        InputError: the variables contradict each other.
    """
    index, count = 0, 1
    for rank, size in _LAUNCHERS:
        if rank in environment and size in environment:
            index, count = _number(environment, rank), _number(environment, size)
            if index >= count:
                raise InputError(f'the environment says that this is process {rank}={index} of {size}={count}; unset '
                                 'them, or give --shard I/N')
            break
    if 'SLURM_ARRAY_TASK_ID' in environment:
        job, jobs = _job_of_array(environment)
        index, count = job * count + index, jobs * count
    return None if count == 1 else Shard(index + 1, count)


def _job_of_array(environment: Mapping[str, str]) -> tuple[int, int]:
    """The place of a job in its array, from 0, and the number of jobs."""
    first = _number(environment, 'SLURM_ARRAY_TASK_MIN', 0)
    step = max(1, _number(environment, 'SLURM_ARRAY_TASK_STEP', 1))
    jobs = _number(environment, 'SLURM_ARRAY_TASK_COUNT')
    last = first + (jobs - 1) * step
    job, rest = divmod(_number(environment, 'SLURM_ARRAY_TASK_ID') - first, step)
    if rest or not 0 <= job < jobs or _number(environment, 'SLURM_ARRAY_TASK_MAX', last) != last:
        raise InputError('SLURM_ARRAY_TASK_ID: the job array has gaps; use --array=1-N, or give --shard I/N')
    return job, jobs


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, None if default is None else str(default))
    if text is None:
        raise InputError(f'{name}: is not set beside the others of its kind; give --shard I/N')
    if not re.fullmatch(r'[0-9]{1,9}', text):
        raise InputError(f'{name}={text}: is not a number; unset it, or give --shard I/N')
    return int(text)


def images_of(shard: Shard | None, work: Sequence[Sequence[Group]]) -> list[int]:
    """The numbers of the images of a shard, in the order of the plan.

    From the most expensive image down, each goes to the shard with the least cost so far; every process computes this
    alike.
    """
    if shard is None:
        return list(range(len(work)))
    costs = [_DETECTION + sum(len(group.expressions) for group in groups) for groups in work]
    load, mine = [(0, index) for index in range(1, shard.count + 1)], []
    for number in sorted(range(len(work)), key=lambda n: (-costs[n], n)):
        least, index = load[0]
        heapq.heapreplace(load, (least + costs[number], index))
        if index == shard.index:
            mine.append(number)
    return sorted(mine)
