"""Whether a run that is killed goes on as if nothing had been: ``python -m tests.kill_and_resume``.

A small run of CM-A-E on an embedded benchmark of twelve images is killed (SIGKILL, to all of its processes) at a moment
drawn from a seed, and given again with the same command, again and again until it is through; then the next one begins,
until there were as many moments as are asked for. The rows of each are held against those of a run that nobody killed,
to the byte, and ``results.json`` but for its times. What differs makes the exit code 1.
"""
from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.embedded import build
from run_benchmark import command_line
from tests.conftest import SMALL
from tests.runs_in_parts import results_of, rows_of

JOURNAL = 'journal.jsonl'
OPTIONS = ['--grounder', 'cmae', '--proposals', 'greedy,ref-nms-b', '--task', 'rec,res', '--device', 'cpu']


@dataclass(frozen=True)
class Moment:
    """When a run is killed: once so many further images are in the journal, and so many seconds later."""

    images: int
    seconds: float


@dataclass
class Trial:
    """A command in a folder, with what it must come to."""

    folder: Path
    options: list[str]
    rows: Mapping[str, bytes]
    results: Mapping[str, Any]
    seconds_to_begin: float
    seconds_an_image: float
    images: int

    def moment(self, chance: random.Random, left: int) -> Moment:
        """Anywhere in what is left: before the first image, or while one is evaluated or written."""
        images = chance.randint(0, left)
        return Moment(images, chance.uniform(0, self.seconds_an_image * 2 if images else self.seconds_to_begin))

    def run(self, chance: random.Random, most: int) -> int:
        """Kill the run up to so many times, until it is through; gives how often it was killed.

        Raises:
            AssertionError: it does not come to the same.
        """
        killed = 0
        shutil.rmtree(self.folder, ignore_errors=True)
        while True:
            before = images_in(self.folder)
            moment = self.moment(chance, self.images - before) if killed < most else None
            if through(self.folder, self.options, moment):
                break
            killed += 1
            print(f'killed after {images_in(self.folder) - before} further images, {images_in(self.folder)} of '
                  f'{self.images} are done', flush=True)
        assert rows_of(self.folder) == self.rows, f'{self.folder}: other rows'
        assert results_of(self.folder) == self.results, f'{self.folder}: other results'
        print(f'through: the same rows and results after {killed} times', flush=True)
        return killed


def images_in(folder: Path) -> int:
    """How many images a journal has, its header left out."""
    path = folder / JOURNAL
    return max(0, path.read_bytes().count(b'\n') - 1) if path.exists() else 0


def started(folder: Path, options: list[str]) -> int:
    """The run as the first of a group of processes; what it imports has been imported here."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        quiet = os.open(folder.parent / 'said.txt', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, 'w', 1) for number in (1, 2))  # pytest has its own
        code = 1
        try:
            code = command_line([*options, '--out', str(folder)])
        finally:
            os._exit(code)
    return pid


def through(folder: Path, options: list[str], moment: Moment | None) -> bool:
    """Run, until it ends or the moment has come; gives whether it was through.

    Raises:
        AssertionError: it fails by itself.
    """
    before, pid, due = images_in(folder), started(folder, options), None
    while True:
        ended, status = os.waitpid(pid, 0 if moment is None else os.WNOHANG)
        if ended:
            said = (folder.parent / 'said.txt').read_text()
            assert os.waitstatus_to_exitcode(status) == 0, said
            return True
        assert moment is not None
        if due is None and images_in(folder) - before >= moment.images:
            due = time.monotonic() + moment.seconds
        if due is not None and time.monotonic() >= due:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.001)


def prepared(folder: Path, options: list[str]) -> Trial:
    """The run that nobody kills, and how long its parts take.

    It is by one process, whatever the others have, and by this one: what it imports and reads on its way is inherited.
    """
    cache = folder / 'cache'
    (cache / build.EMBEDDED_VERSION).mkdir(parents=True)
    build.build_part(cache / build.EMBEDDED_VERSION / 'eval', SMALL, 1)
    os.environ['REFNMS_CACHE'] = str(cache)
    whole = folder / 'whole'
    with open(os.devnull, 'w') as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        assert command_line([*OPTIONS, '--workers', '1', '--out', str(whole)]) == 0
    start = time.monotonic()
    assert not through(folder / 'begun', OPTIONS, Moment(1, 0))
    began = time.monotonic()
    assert through(folder / 'begun', OPTIONS, None)
    images = images_in(whole)
    an_image = max(0.01, (time.monotonic() - began - (began - start)) / images)
    return Trial(folder / 'run', options, rows_of(whole), results_of(whole), began - start, an_image, images)


def main(argv: Sequence[str] | None = None) -> int:
    """Kill as often as is asked for."""
    parser = argparse.ArgumentParser(prog='python -m tests.kill_and_resume', allow_abbrev=False,
                                     description='Kill a small run again and again, and compare what comes of it.')
    parser.add_argument('--times', type=int, default=50, metavar='N', help='moments in all (default: 50)')
    parser.add_argument('--workers', type=int, default=2, metavar='N', help='processes of the run (default: 2)')
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='of the moments (default: 0)')
    args = parser.parse_args(argv)
    chance, killed, runs = random.Random(args.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        trial = prepared(Path(folder), [*OPTIONS, '--workers', str(args.workers)])
        while killed < args.times:
            killed += trial.run(chance, args.times - killed)
            runs += 1
    print(f'{killed} kills in {runs} runs by {args.workers} workers: every row and result is the same')
    return 0


if __name__ == '__main__':
    sys.exit(main())
