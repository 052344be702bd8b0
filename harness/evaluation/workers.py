"""Processes that share a list of work: each takes an item, does it and takes the next; results come in the list's
order.

A worker is forked where the platform can: it then sees everything that was loaded before, weights among it, without a
copy. Elsewhere, and on GPUs, it is spawned and loads for itself.
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

from harness.errors import InputError

T = TypeVar('T')
Work = Callable[[int], T]
#: How far a worker may be ahead of the first item that is not done yet, per worker: bounds what waits in memory.
_AHEAD = 8
#: Fewer items than this per worker are not worth a process.
_WORTH = 16


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def number_of_workers(asked: int | None, items: int, device: str) -> int:
    """As many workers as asked for; by default one per processor where there is work for them, and one per GPU.

    Raises:
        InputError: it is not a number of processes.
    """
    if asked is not None and not 1 <= asked <= 1024:
        raise InputError(f'--workers {asked}: must be 1 to 1024')
    if device != 'cpu':
        return asked or 1
    return asked or max(1, min(processors(), items // _WORTH))


class Failed:
    """Stands for the result of an item of which a worker could not make one."""


class WorkerDied(Exception):
    """A worker is gone: ``item`` is what it was at, ``how`` what ended it."""

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
    """Processes that do ``work``; none of them where one process is enough."""

    work: Work[T]
    crew: list[_Worker] = field(default_factory=list)

    def results(self, items: Sequence[int]) -> Iterator[tuple[int, T]]:
        """Each item with its result, in the order of ``items``.

        An item that fails in a worker is done once more here, where its error is raised as if there were no workers.

        Raises:
            WorkerDied: a process was killed.
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
        """Wait until any worker is ready, and take what it has made."""
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
        """End the processes."""
        for worker in self.crew:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self.crew:
            worker.process.join()


@contextmanager
def workers(work: Work[T], number: int, rebuild: Callable[[int], Work[T]] | None = None) -> Iterator[Workers[T]]:
    """Some processes that do ``work``; they are gone afterwards, and with this process whatever ends it.

    Args:
        work: from an item to its result, which can be pickled.
        number: of processes; 1: this one.
        rebuild: gives ``work`` in a process that cannot inherit it, by the worker's number; can be pickled. With it
            workers are spawned.
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
    """A worker's life: it ends when the other end of its pipe is closed, as by the death of that process."""
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
