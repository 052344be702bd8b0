"""A run in parts: what a launcher says, and every image in exactly one part."""
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.evaluation.plan import Group
from harness.evaluation.shards import Shard, images_of, parse_shard, shard_of
from harness.types import Expression, ImageInfo


def work_of(sizes: list[list[int]]) -> list[list[Group]]:
    """Images of groups with so many expressions."""
    e = Expression.__new__(Expression)
    return [[Group('refcoco', 'val', ImageInfo(i, 10, 10), [e] * n) for n in groups] for i, groups in enumerate(sizes)]


SIZES = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=3), max_size=60)


@pytest.mark.parametrize(('text', 'shard'), [('1/1', (1, 1)), ('2/3', (2, 3)), ('3/3', (3, 3)), ('01/3', (1, 3)),
                                             ('999999/999999', (999999, 999999))])
def test_a_shard_is_read(text: str, shard: tuple[int, int]) -> None:
    assert parse_shard(text) == Shard(*shard)


@pytest.mark.parametrize('text', ['', '1', '/', '1/', '/2', '0/2', '3/2', '0/0', '-1/2', '1/-2', '1/2/3', '1 / 2',
                                  ' 1/2', '1/2\n', '1.0/2', 'a/b', '1/1000000', '٢/٣', '1\\2', '9' * 5000 + '/2'])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match='must be I/N with I from 1 to N, for instance 2/3'):
        parse_shard(text)


@given(st.text())
def test_any_text_is_a_shard_or_refused(text: str) -> None:
    try:
        shard = parse_shard(text)
    except InputError:
        return
    assert 1 <= shard.index <= shard.count


def test_a_shard_names_itself_and_its_folder() -> None:
    assert str(Shard(2, 3)) == '2/3' and Shard(2, 3).folder == 'shard-2-of-3'
    assert parse_shard(str(Shard(2, 3))) == Shard(2, 3)


TORCHRUN = {'RANK': '1', 'WORLD_SIZE': '4', 'LOCAL_RANK': '0', 'MASTER_ADDR': 'localhost'}
OPEN_MPI = {'OMPI_COMM_WORLD_RANK': '0', 'OMPI_COMM_WORLD_SIZE': '2'}
SLURM = {'SLURM_PROCID': '3', 'SLURM_STEP_NUM_TASKS': '5', 'SLURM_NTASKS': '5', 'SLURM_JOB_ID': '77'}
#: A batch script for five tasks, which srun has not been asked to start.
BATCH = {'SLURM_PROCID': '0', 'SLURM_NTASKS': '5', 'SLURM_JOB_ID': '77'}


def array(task: object, first: object = 1, last: object = 4, step: object = 1, count: object = 4) -> dict[str, str]:
    return {f'SLURM_ARRAY_TASK_{name}': str(value) for name, value in
            (('ID', task), ('MIN', first), ('MAX', last), ('STEP', step), ('COUNT', count))}


@pytest.mark.parametrize(('environment', 'shard'), [
    ({}, None), ({'HOME': '/root', 'RANK': '1'}, None), ({'WORLD_SIZE': '2'}, None), ({'SLURM_JOB_ID': '7'}, None),
    (TORCHRUN, '2/4'), (OPEN_MPI, '1/2'), (SLURM, '4/5'),
    ({**SLURM, **TORCHRUN}, '2/4'),  # torchrun started by srun: its own numbers count
    ({'RANK': '0', 'WORLD_SIZE': '1'}, None), ({'SLURM_PROCID': '0', 'SLURM_STEP_NUM_TASKS': '1'}, None),
    (BATCH, None), ({**array(2), **BATCH}, '2/4'),
    ({**SLURM, 'SLURM_STEP_NUM_TASKS': '4'}, '4/4'),  # srun --ntasks 4 in a job for five
    (array(1), '1/4'), (array(4), '4/4'), (array(0, 0, 3), '1/4'), (array(30, 10, 40, 10), '3/4'),
    (array(0, 0, 0, 1, 1), None), (array(5, 2, 5), '4/4'),
    ({'SLURM_ARRAY_TASK_ID': '2', 'SLURM_ARRAY_TASK_COUNT': '3'}, '3/3'),
    ({**array(1), 'SLURM_PROCID': '0', 'SLURM_STEP_NUM_TASKS': '1'}, '1/4'),
    ({**array(2), 'SLURM_PROCID': '1', 'SLURM_STEP_NUM_TASKS': '3'}, '5/12'),  # parts of parts
    ({**array(4), **TORCHRUN}, '14/16'),
])
def test_the_shard_that_a_launcher_means(environment: dict[str, str], shard: str | None) -> None:
    found = shard_of(environment)
    assert (None if found is None else str(found)) == shard


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.integers(1, 5))
def test_the_processes_of_all_jobs_of_an_array_are_all_shards(jobs: int, processes: int, first: int, step: int) -> None:
    shards = [shard_of({**array(first + job * step, first, first + (jobs - 1) * step, step, jobs),
                        'RANK': str(rank), 'WORLD_SIZE': str(processes)})
              for job in range(jobs) for rank in range(processes)]
    whole = jobs * processes
    assert shards == ([Shard(i, whole) for i in range(1, whole + 1)] if whole > 1 else [None])


@pytest.mark.parametrize(('environment', 'said'), [
    ({'RANK': '4', 'WORLD_SIZE': '4'}, 'RANK=4 of WORLD_SIZE=4'), ({'RANK': '0', 'WORLD_SIZE': '0'}, 'WORLD_SIZE=0'),
    ({'RANK': '3', 'WORLD_SIZE': '1'}, 'RANK=3 of WORLD_SIZE=1'),
    ({'RANK': '-1', 'WORLD_SIZE': '4'}, 'RANK=-1'), ({'RANK': '', 'WORLD_SIZE': '4'}, 'RANK='),
    ({'RANK': '1', 'WORLD_SIZE': 'many'}, 'WORLD_SIZE=many'), ({'RANK': '1.0', 'WORLD_SIZE': '4'}, 'RANK=1.0'),
    ({'RANK': '²', 'WORLD_SIZE': '4'}, 'RANK=²'), ({'RANK': '1' * 5000, 'WORLD_SIZE': '4'}, 'is not a number'),
    ({'SLURM_PROCID': '9', 'SLURM_STEP_NUM_TASKS': '2'}, 'SLURM_PROCID=9 of SLURM_STEP_NUM_TASKS=2'),
    ({**array(2), 'RANK': '5', 'WORLD_SIZE': '2'}, 'RANK=5 of WORLD_SIZE=2'),  # not shard 8/8
    (array(1, 1, 7, 1, 3), 'has gaps'), (array(3, 1, 7, 1, 3), 'has gaps'), (array(7, 1, 7, 1, 3), 'has gaps'),
    (array(5), 'has gaps'), (array(0), 'has gaps'), (array(15, 10, 40, 10), 'has gaps'),
    (array('x'), 'SLURM_ARRAY_TASK_ID=x'), (array(1, count='some'), 'SLURM_ARRAY_TASK_COUNT=some'),
    (array(0, 0, 0, 1, 0), 'has gaps'), ({'SLURM_ARRAY_TASK_ID': '1'}, 'SLURM_ARRAY_TASK_COUNT'),
])
def test_what_contradicts_itself_is_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        shard_of(environment)
    assert '--shard I/N' in str(error.value) and '\n' not in str(error.value)


NAMES = [*TORCHRUN, *OPEN_MPI, *SLURM, *array(1)]


@given(st.dictionaries(st.sampled_from(NAMES), st.one_of(st.text(max_size=5), st.integers(-2, 9).map(str))))
def test_any_environment_gives_a_shard_or_one_line(environment: dict[str, str]) -> None:
    try:
        shard = shard_of(environment)
    except InputError:
        return
    assert shard is None or 1 <= shard.index <= shard.count


@given(SIZES, st.integers(1, 70))
def test_every_image_is_in_exactly_one_shard(sizes: list[list[int]], count: int) -> None:
    work = work_of(sizes)
    shards = [images_of(Shard(i, count), work) for i in range(1, count + 1)]
    assert sorted(n for mine in shards for n in mine) == list(range(len(work)))
    assert all(mine == sorted(mine) for mine in shards), 'in the order of the plan'
    assert images_of(None, work) == list(range(len(work)))


@given(SIZES, st.integers(1, 12))
def test_shards_differ_by_no_more_than_the_dearest_image(sizes: list[list[int]], count: int) -> None:
    costs = [5 + sum(groups) for groups in sizes]
    loads = [sum(costs[n] for n in images_of(Shard(i, count), work_of(sizes))) for i in range(1, count + 1)]
    assert max(loads) - min(loads) <= max(costs, default=0)


def test_equal_images_are_dealt_in_turn() -> None:
    work = work_of([[2]] * 5)
    assert [images_of(Shard(i, 2), work) for i in (1, 2)] == [[0, 2, 4], [1, 3]]


def test_where_there_are_more_shards_than_images_some_have_none() -> None:
    work: Any = work_of([[1], [9]])
    assert [images_of(Shard(i, 4), work) for i in (1, 2, 3, 4)] == [[1], [0], [], []]
    assert images_of(Shard(999999, 999999), work) == []
