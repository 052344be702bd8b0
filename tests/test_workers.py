"""Processes that share work: results in the list's order, failures as without them, and nothing left behind."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.evaluation import workers as module
from harness.evaluation.workers import WorkerDied, number_of_workers, workers

NUMBERS = pytest.mark.parametrize('number', [1, 2, 4])


def square(item: int) -> int:
    return item * item


def is_gone(pid: int) -> bool:
    """Also where nobody has asked for its exit code yet."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(what: Callable[[], object], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(what())


@NUMBERS
@pytest.mark.parametrize('items', [[], [5], [3, 1, 2], list(range(100))], ids=len)
def test_results_come_in_the_order_of_the_items(items: list[int], number: int) -> None:
    with workers(square, number) as crew:
        assert list(crew.results(items)) == [(item, item * item) for item in items]


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 3)), unique_by=lambda pair: pair[0], max_size=30),
       st.integers(1, 4))
def test_the_order_holds_however_long_each_item_takes(slow: list[tuple[int, int]], number: int) -> None:
    takes = dict(slow)

    def work(item: int) -> int:
        time.sleep(takes[item] / 1000)
        return -item
    with workers(work, number) as crew:
        assert list(crew.results(list(takes))) == [(item, -item) for item in takes]


def test_the_same_workers_take_one_list_after_the_other() -> None:
    with workers(square, 2) as crew:
        assert [dict(crew.results(items)) for items in ([1, 2, 3], [], [4])] == [{1: 1, 2: 4, 3: 9}, {}, {4: 16}]


def test_workers_are_other_processes_and_one_is_this() -> None:
    with workers(lambda _: os.getpid(), 1) as crew:
        assert dict(crew.results([0])) == {0: os.getpid()}
    with workers(lambda _: time.sleep(0.05) or os.getpid(), 2) as crew:
        pids = {pid for _, pid in crew.results(range(20))}
    assert len(pids) == 2 and os.getpid() not in pids
    assert all(map(is_gone, pids)), 'they are gone afterwards'


def test_large_results_pass() -> None:
    with workers(lambda item: bytes([item]) * 5_000_000, 2) as crew:
        assert [(item, len(text), text[0]) for item, text in crew.results(range(6))] == [
            (item, 5_000_000, item) for item in range(6)]


@NUMBERS
def test_a_failure_is_raised_as_it_is_once_the_results_before_it_are_given(number: int, tmp_path: Path) -> None:
    def work(item: int) -> int:
        if item == 7:
            (tmp_path / str(os.getpid())).touch()
            raise InputError(f'item {item} of process {os.getpid()}')
        return item
    done = []
    with pytest.raises(InputError, match=f'^item 7 of process {os.getpid()}$') as error, workers(work, number) as crew:
        for item, _ in crew.results(range(20)):
            done.append(item)
    assert done == list(range(7))
    assert error.traceback[-1].name == 'work', 'it was raised here, by the work itself'
    assert {path.name for path in tmp_path.iterdir()} >= {str(os.getpid())}


def test_what_fails_in_a_worker_alone_is_made_up_for(tmp_path: Path) -> None:
    here = os.getpid()

    def work(item: int) -> int:
        if os.getpid() != here:
            raise MemoryError
        return item
    with workers(work, 2) as crew:
        assert list(crew.results(range(5))) == [(i, i) for i in range(5)]


@pytest.mark.parametrize(('end', 'how'), [
    (lambda: os.kill(os.getpid(), signal.SIGKILL), 'killed by SIGKILL'),
    (lambda: os.kill(os.getpid(), signal.SIGTERM), 'killed by SIGTERM'), (lambda: os._exit(3), 'exit code 3')],
    ids=['killed', 'ended', 'left'])
def test_a_worker_that_dies_names_its_item(end: Callable[[], None], how: str) -> None:
    def work(item: int) -> int:
        if item == 5:
            until(lambda: False, 0.2)  # the items before it are done by then
            end()
        return item
    done = []
    with pytest.raises(WorkerDied) as died, workers(work, 2) as crew:
        pids = [worker.process.pid for worker in crew.crew]
        for item, _ in crew.results(range(40)):
            done.append(item)
    assert (died.value.item, died.value.how) == (5, how)
    assert done == list(range(len(done))) and len(done) <= 5
    assert all(map(is_gone, pids)), 'the other one too'


def test_a_worker_that_was_killed_while_it_waited_names_the_item_it_was_to_do() -> None:
    with pytest.raises(WorkerDied) as died, workers(square, 2) as crew:
        assert list(crew.results([1, 2])) == [(1, 1), (2, 4)]
        os.kill(crew.crew[0].process.pid, signal.SIGKILL)
        crew.crew[0].process.join()
        list(crew.results([3, 4]))
    assert died.value.item == 3


@pytest.mark.parametrize('error', [KeyboardInterrupt, InputError])
def test_workers_are_gone_where_the_work_with_them_ends_early(error: type[BaseException]) -> None:
    with pytest.raises(error), workers(lambda item: time.sleep(item and 600), 2) as crew:
        pids = [worker.process.pid for worker in crew.crew]
        for _ in crew.results(range(5)):
            raise error
    assert all(map(is_gone, pids))


PARENT = '''
import os, sys, time
from harness.evaluation.workers import workers
def work(item):
    os.write(1, f'{os.getpid()}\\n'.encode())  # in one piece, since three processes write
    time.sleep(1)
with workers(work, 3) as crew:
    list(crew.results(range(1000)))
'''


@pytest.mark.parametrize('by', [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_process_that_started_them(by: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, '-c', PARENT], stdout=subprocess.PIPE, text=True,
                              cwd=Path(__file__).parents[1])
    assert parent.stdout is not None
    pids = {int(parent.stdout.readline()) for _ in range(3)}
    assert len(pids) == 3
    parent.send_signal(by)
    parent.wait()
    assert until(lambda: all(map(is_gone, pids)))


def test_workers_leave_ctrl_c_to_the_first_process() -> None:
    def work(item: int) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return item
    with workers(work, 2) as crew:
        assert list(crew.results(range(4))) == [(i, i) for i in range(4)]


@pytest.mark.parametrize('number', [2, 4])
def test_no_more_is_done_ahead_than_is_bounded(number: int, tmp_path: Path) -> None:
    """Item 0 takes until all are begun that may be."""
    bound = module._AHEAD * number

    def begun() -> int:
        return sum(1 for _ in tmp_path.iterdir())

    def work(item: int) -> None:
        (tmp_path / str(item)).touch()
        if item == 0:
            until(lambda: begun() == bound)
            time.sleep(0.2)  # no further one is begun
    with workers(work, number) as crew:
        for done, _ in enumerate(crew.results(range(10 * bound))):
            assert begun() <= done + bound
            assert done or begun() == bound


def rebuilt(at_hand: str, index: int) -> Callable[[int], tuple[int, str]]:
    return lambda item: (index, f'{at_hand} {item}')


def test_spawned_workers_build_their_work_by_their_number() -> None:
    with workers(lambda item: (-1, ''), 2, partial(rebuilt, 'made there')) as crew:
        results = dict(crew.results([1, 2, 3, 4]))
    assert {item: what for item, (_, what) in results.items()} == {i: f'made there {i}' for i in (1, 2, 3, 4)}
    assert {index for index, _ in results.values()} <= {0, 1}


def test_as_many_workers_as_are_asked_for_or_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'processors', lambda: 4)
    assert [number_of_workers(None, items, 'cpu') for items in (0, 1, 31, 32, 63, 64, 10**6)] == [1, 1, 1, 2, 3, 4, 4]
    assert number_of_workers(7, 1, 'cpu') == 7
    assert number_of_workers(None, 10**6, 'cuda:0') == 1 and number_of_workers(3, 10**6, 'cuda') == 3
    for bad in (0, -1, 1025):
        with pytest.raises(InputError, match=f'^--workers {bad}: must be from 1 to 1024$'):
            number_of_workers(bad, 10, 'cpu')
    assert module.processors() >= 1
