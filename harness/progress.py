"""How far a long loop is: a bar with rate and time left in a terminal, a line every half minute anywhere else.

Pipes, logs and batch jobs keep what is written to them, so that a bar which is drawn over and over is of no use there.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

T = TypeVar('T')
EVERY = 30.0  # seconds


def track(work: Iterable[T], what: str, console: Console | None = None, total: int | None = None) -> Iterator[T]:
    """The same items, telling on the way how many of them are done.

    Args:
        work: a list, or anything else of which ``total`` says the length.
        what: is done, for instance ``'images'``.
        console: by default standard error.
        total: number of items.
    """
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    if total is None:
        assert isinstance(work, Sized), 'total says how many there are'
        total = len(work)
    if not console.is_terminal:
        yield from report_lines(work, what, total, lambda line: console.print(line, markup=False))
    elif total:
        with Progress(TextColumn('{task.description}', markup=False), BarColumn(), MofNCompleteColumn(), _Rate(),
                      TimeRemainingColumn(), TextColumn('left'), console=console) as bar:
            yield from bar.track(work, total, description=what)


def report_lines(work: Iterable[T], what: str, total: int, say: Callable[[str], object],
                 now: Callable[[], float] = time.monotonic) -> Iterator[T]:
    """The same items; ``say`` is told a line every :data:`EVERY` seconds, as soon as the next item is done."""
    start = last = now()
    for done, item in enumerate(work):
        if (time_now := now()) - last >= EVERY:
            rate = done / (time_now - start)
            left = timedelta(seconds=round((total - done) / rate)) if done else '?'
            say(f'{what}: {done} of {total}, {_per_second(rate)}, {left} left')
            last = time_now
        yield item
    if last > start:
        say(f'{what}: all {total} in {timedelta(seconds=round(now() - start))}')


def _per_second(rate: float) -> str:
    return f'{rate:.1f} a second' if rate >= 1 else f'{60 * rate:.1f} a minute'


class _Rate(ProgressColumn):
    """How many items a second, or a minute."""

    def render(self, task: Task) -> Text:
        return Text('' if task.speed is None else _per_second(task.speed))
