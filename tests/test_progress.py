"""How far a long loop is, told by a clock that the test turns."""
from __future__ import annotations

import io
from collections.abc import Iterator

from rich.console import Console

from harness.progress import report_lines, track


class Clock:
    """Seconds that pass as the test says."""

    def __init__(self) -> None:
        self.seconds = 0.

    def __call__(self) -> float:
        return self.seconds

    def after(self, items: range, seconds: float) -> Iterator[int]:
        """The items; each takes so long."""
        for item in items:
            yield item
            self.seconds += seconds


def lines(count: int, seconds: float) -> list[str]:
    clock, said = Clock(), []
    items = clock.after(range(count), seconds)
    # What the consumer does with an item passes before the next one is fetched, as the clock has it here.
    assert list(report_lines(items, 'images', count, said.append, clock)) == list(range(count))
    return said


def test_a_line_every_half_minute_with_done_total_rate_and_time_left() -> None:
    # Two items a second: the 61st is fetched after 30 s, when 60 are done and 40 are left.
    assert lines(100, 0.5) == ['images: 60 of 100, 2.0 a second, 0:00:20 left', 'images: all 100 in 0:00:50']
    # Three a minute: the lines come with the items, since half a minute is over in the middle of one.
    assert lines(3, 20) == ['images: 2 of 3, 3.0 a minute, 0:00:20 left', 'images: all 3 in 0:01:00']


def test_what_is_over_soon_or_empty_says_nothing() -> None:
    assert lines(10, 1) == lines(0, 1) == []


def test_a_pipe_gets_no_bar() -> None:
    out = io.StringIO()
    assert list(track([1, 2], 'images', Console(file=out))) == [1, 2]
    assert out.getvalue() == ''


def test_a_terminal_gets_a_bar_with_rate_and_time_left() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    assert list(track(iter('abc'), 'images', console, total=3)) == ['a', 'b', 'c']
    assert all(part in out.getvalue() for part in ('images', '3/3', 'left'))
    assert list(track([], 'images', console)) == []
