"""A run in parts, for several machines or processes that know nothing of each other: whole images, evenly by cost."""
from __future__ import annotations

import heapq
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import InputError
from harness.evaluation.plan import Group

#: What an image costs beside its expressions, in expressions: detection, against rules and grounders for a sentence.
_DETECTION = 5
#: Launchers that start several processes: the variables of a process's number, from 0, and of how many there are.
_LAUNCHERS = (('RANK', 'WORLD_SIZE'), ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'),
              ('SLURM_PROCID', 'SLURM_NTASKS'))


@dataclass(frozen=True)
class Shard:
    """Part ``index`` of ``count``, from 1."""

    index: int
    count: int

    def __str__(self) -> str:
        return f'{self.index}/{self.count}'

    @property
    def folder(self) -> str:
        """Its folder in the folder of the run."""
        return f'shard-{self.index}-of-{self.count}'


def parse_shard(text: str) -> Shard:
    """``--shard 2/3``.

    Raises:
        InputError: it is not of that form.
    """
    match = re.fullmatch(r'([0-9]{1,6})/([0-9]{1,6})', text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f'--shard {text}: must be i/n with i from 1 to n, for instance 2/3')
    return Shard(int(match[1]), int(match[2]))


def shard_of(environment: Mapping[str, str] = os.environ) -> Shard | None:
    """The part that a launcher means this process to do: torchrun (and what mmengine reads), Open MPI, tasks and job
    arrays of Slurm; those together are parts of parts. ``None`` where there is only one.

    Raises:
        InputError: the variables contradict each other.
    """
    index, count = 0, 1
    for rank, size in _LAUNCHERS:
        if rank in environment and size in environment:
            index, count = _number(environment, rank), _number(environment, size)
            if index >= count:
                raise InputError(f'the environment says that this is process {rank}={index} of {size}={count}; unset '
                                 'them, or give --shard i/n')
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
        raise InputError('SLURM_ARRAY_TASK_ID: the job array has gaps; give --array=1-N, or --shard i/n')
    return job, jobs


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, None if default is None else str(default))
    if text is None:
        raise InputError(f'{name}: is not set beside the others of its kind; give --shard i/n')
    if not re.fullmatch(r'[0-9]{1,9}', text):
        raise InputError(f'{name}={text}: is not a number; unset it, or give --shard i/n')
    return int(text)


def images_of(shard: Shard | None, work: Sequence[Sequence[Group]]) -> list[int]:
    """The numbers of a shard's images, in the order of the plan.

    The dearest image first, each goes to the shard that has the least to do; every shard works this out for itself.
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
