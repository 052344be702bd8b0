"""Worker processes that share a list of items; results come in the order of the list.

On a CPU, workers are forked, so that they share everything that is already loaded, such as weights, without a copy. On
a GPU they are spawned, and each loads for itself.
"""
from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from harness.options import within

T = TypeVar('T')
Work = Callable[[int], T]
#: How many items per worker may be given out beyond the first unfinished one; this bounds the memory of results.
_AHEAD = 8
#: The most processes that can be asked for.
MOST_WORKERS = 1024
#: A further worker is started by default only if there are this many items per worker.
_WORTH = 16


def processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def number_of_workers(asked: int | None, items: int, device: str) -> int:
    """The number of workers: as asked for; by default one on a GPU, else one per processor if there are enough items.

    Raises:
        InputError: the number asked for is out of range.
    """
    within('--workers', asked, 1, MOST_WORKERS)
    if device != 'cpu':
        return asked or 1
    return asked or max(1, min(processors(), items // _WORTH))


class Failed:
    """The result of an item on which a worker raised an exception."""


class WorkerDied(Exception):
    """A worker process ended: ``item`` is what it was working on, and ``how`` says how it ended."""

    def __init__(self, item: int, how: str) -> None:
        super().__init__(item, how)
        self.item, self.how = item, how


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    item: int | None = None


@dataclass
class Workers(Generic[T]):
    """The worker processes that do ``work``; if there are none, this process does it."""

    work: Work[T]
    crew: list[_Worker] = field(default_factory=list)

    def results(self, items: Sequence[int]) -> Iterator[tuple[int, T]]:
        """Each item with its result, in the order of ``items``.

        An item on which a worker fails is done again in this process, so that its exception is raised here.

        Raises:
            WorkerDied: a worker process ended.
        """
        if not self.crew:
            for item in items:
                yield item, self.work(item)
            return
        there: dict[int, Any] = {}
        given = 0
        for done, item in enumerate(items):
            while item not in there:
                for worker in self.crew:
                    if worker.item is None and given < min(len(items), done + _AHEAD * len(self.crew)):
                        _give(worker, items[given])
                        given += 1
                self._collect(there)
            result = there.pop(item)
            yield item, self.work(item) if isinstance(result, Failed) else result

    def _collect(self, there: dict[int, Any]) -> None:
        """Wait until at least one worker has a result, and take the results that are ready."""
        busy = {worker.pipe: worker for worker in self.crew if worker.item is not None}
        for pipe in wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            assert worker.item is not None
            try:
                there[worker.item] = worker.pipe.recv()
            except (EOFError, OSError):
                raise _died(worker) from None
            worker.item = None

    def stop(self) -> None:
        """End all worker processes."""
        for worker in self.crew:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self.crew:
            worker.process.join()


@contextmanager
def workers(work: Work[T], number: int, rebuild: Callable[[int], Work[T]] | None = None) -> Iterator[Workers[T]]:
    """Start worker processes; they end with the context, and with this process however it ends.

    Args:
        work: computes the result of an item, which can be pickled.
        number: the number of processes; 1: only this one.
        rebuild: makes ``work`` in a spawned process, given the number of the worker; it can be pickled. Without it,
            workers are forked and inherit ``work``.
    """
    crew = Workers(work)
    if number == 1:
        yield crew
        return
    fork = rebuild is None
    context: Any = multiprocessing.get_context('fork' if fork else 'spawn')
    try:
        for index in range(number):
            ours, theirs = context.Pipe()
            inherited = [worker.pipe for worker in crew.crew] + [ours] if fork else []
            arguments = (work if rebuild is None else None, rebuild, index, theirs, inherited)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            crew.crew.append(_Worker(process, ours))
        yield crew
    finally:
        crew.stop()


def _serve(work: Work[T] | None, rebuild: Callable[[int], Work[T]] | None, index: int, pipe: Connection,
           inherited: Sequence[Connection]) -> None:
    """The loop of a worker; it ends when the other end of its pipe is closed, as when that process dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    for other in inherited:
        other.close()
    done = work
    if done is None:
        assert rebuild is not None
        done = rebuild(index)
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            result: Any = done(item)
        except Exception:
            result = Failed()
        try:
            pipe.send(result)
        except OSError:
            return


def _give(worker: _Worker, item: int) -> None:
    worker.item = item
    try:
        worker.pipe.send(item)
    except OSError:
        raise _died(worker) from None


def _died(worker: _Worker) -> WorkerDied:
    assert worker.item is not None
    worker.process.join(10)
    code = worker.process.exitcode
    how = f'killed by {signal.Signals(-code).name}' if code is not None and code < 0 else f'exit code {code}'
    return WorkerDied(worker.item, how)
