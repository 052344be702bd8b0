"""How long the main job takes, in seven ways, beside what is asked of it: ``python -m tests.bars``.

All figures are of one machine in one go, on which nothing else should run; it takes half an hour. Options are handed to
the run, for a part of it: ``python -m tests.bars --dataset mini-refcoco --split testB``, and the tests are left out.
CPU seconds are of a run's process and all its workers.
"""
from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tabulate import tabulate

from tests.kill_and_resume import images_in

ROOT = Path(__file__).parents[1]
RUN = [sys.executable, 'run_benchmark.py', '--grounder', 'all', '--device', 'cpu']
TESTS = [sys.executable, '-m', 'pytest', '-q', '--numprocesses=2', '--dist=loadfile']
#: Takes a processor for as long as it lives.
SPIN = [sys.executable, '-c', 'while True: pass']


@dataclass(frozen=True)
class Took:
    """Seconds by the clock and of processors, and when (by the clock) the first and the middle image were done."""

    wall: float
    cpu: float
    first: float = 0.
    middle: float = 0.


@dataclass
class Bars:
    """The runs in a folder, and a row for each bar."""

    folder: Path
    options: Sequence[str]
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def run(self, name: str, *options: str, store: str = 'none') -> Took:
        """The main job in a new folder; the store is one of this measurement's own."""
        out = self.folder / name
        print(f'{name} …', flush=True)
        return took([*RUN, *self.options, *options, '--store', store, '--out', str(out)], self.folder, out)

    def say(self, what: str, measured: str, asked: str) -> None:
        """A row of the table."""
        self.rows.append((what, measured, asked))
        print(f'    {what}: {measured} (asked: {asked})', flush=True)


def main(options: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix='bars-') as folder:
        bars = Bars(Path(folder), options)
        cold = bars.run('cold', store='boxes')
        bars.say('main job, cold', seconds(cold), '150 s, 300 s of CPU')
        bars.say('the same again, boxes kept', seconds(bars.run('warm', store='boxes')), '90 s')
        bars.say('keeping maps too', seconds(bars.run('maps', store='maps')), '-')
        bars.say('the same again, maps kept', seconds(bars.run('maps-warm', store='maps')), '90 s')
        one, two = bars.run('one-worker', '--workers', '1'), bars.run('two-workers', '--workers', '2')
        bars.say('2 workers against 1', f'{one.wall / two.wall:.2f} × ({seconds(one)}; {seconds(two)})', '1.8 ×')
        resumed = resumed_at_half(bars)
        alone = two.first + two.wall - two.middle
        bars.say('resumed at half, against the rest alone', f'{resumed / alone:.2f} × ({resumed:.0f} s; {alone:.0f} s)',
                 '1.1 ×')
        with all_processors_taken():
            busy = bars.run('busy', store='none')
        bars.say('while another job takes all processors', f'{busy.wall / two.wall:.2f} × ({seconds(busy)})', '2.2 ×')
        if not options:
            print('tests …', flush=True)
            bars.say('make test', seconds(took(TESTS, bars.folder)), '180 s')
    print()
    print(tabulate(bars.rows, ['what', 'measured', 'asked'], 'github'))
    print(f'\n{os.cpu_count()} processors; a load of {os.getloadavg()[2]:.1f} in the last quarter of an hour')
    return 0


def took(command: Sequence[str], folder: Path, run: Path | None = None) -> Took:
    """Run a command to its end.

    Args:
        command: its words.
        folder: of its output, and of the store.
        run: the folder of the run that the command is, of which the first and the middle image are waited for.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = started(command, folder)
    moments: list[tuple[float, int]] = []
    while process.poll() is None:
        images = 0 if run is None else images_in(run)
        if images > (moments[-1][1] if moments else 0):
            moments.append((time.perf_counter() - start, images))
        time.sleep(0.05)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f'{" ".join(command)} failed:\n{(folder / "said.txt").read_text()[-2000:]}')
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    middle = next((at for at, images in moments if images >= moments[-1][1] / 2), 0.)
    return Took(wall, cpu, moments[0][0] if moments else 0., middle)


def resumed_at_half(bars: Bars) -> float:
    """How long the rest of a run takes that was killed when half of its images were done."""
    out = bars.folder / 'resumed'
    command = [*RUN, *bars.options, '--workers', '2', '--store', 'none', '--out', str(out)]
    half = images_in(bars.folder / 'two-workers') / 2
    print('resumed …', flush=True)
    process = started(command, bars.folder)
    while process.poll() is None and images_in(out) < half:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return took(command, bars.folder).wall


def started(command: Sequence[str], folder: Path) -> subprocess.Popen:
    """A command as the first of a group of processes."""
    said = (folder / 'said.txt').open('w')
    environment = {**os.environ, 'REFNMS_STORE': str(folder / 'store'), 'PYTHONPATH': str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True)


@contextmanager
def all_processors_taken() -> Iterator[None]:
    """Another job on each processor."""
    jobs = [subprocess.Popen(SPIN) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for job in jobs:
            job.kill()
            job.wait()


def seconds(took: Took) -> str:
    return f'{took.wall:.0f} s, {took.cpu:.0f} s of CPU'


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
