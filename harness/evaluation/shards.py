"""A run in parts, for several machines or processes that know nothing of each other: whole images, evenly by cost."""
from __future__ import annotations

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
    match = re.fullmatch(r'(\d{1,6})/(\d{1,6})', text)
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
            break
    if 'SLURM_ARRAY_TASK_ID' in environment:
        least = _number(environment, 'SLURM_ARRAY_TASK_MIN', 0)
        step = _number(environment, 'SLURM_ARRAY_TASK_STEP', 1)
        job, rest = divmod(_number(environment, 'SLURM_ARRAY_TASK_ID') - least, max(1, step))
        jobs = _number(environment, 'SLURM_ARRAY_TASK_COUNT', 0)
        if rest or not 0 <= job < jobs:
            raise InputError('SLURM_ARRAY_TASK_ID: the job array has gaps; give --array=1-N, or --shard i/n')
        index, count = job * count + index, jobs * count
    if count == 1:
        return None
    if not 0 <= index < count:
        raise InputError(f'the environment says that this is process {index} of {count}; give --shard i/n')
    return Shard(index + 1, count)


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, '' if default is None else str(default))
    if not text.isdecimal():
        raise InputError(f'{name}={text}: is not a number; unset it, or give --shard i/n')
    return int(text)


def images_of(shard: Shard | None, work: Sequence[Sequence[Group]]) -> list[int]:
    """The numbers of a shard's images, in the order of the plan.

    The dearest image first, each goes to the shard that has the least to do; every shard works this out for itself.
    """
    if shard is None:
        return list(range(len(work)))
    costs = [_DETECTION + sum(len(group.expressions) for group in groups) for groups in work]
    load, mine = [0] * shard.count, []
    for number in sorted(range(len(work)), key=lambda n: (-costs[n], n)):
        least = load.index(min(load))
        load[least] += costs[number]
        if least == shard.index - 1:
            mine.append(number)
    return sorted(mine)
