"""One broken input and the rule that it is held against."""
from __future__ import annotations

import importlib
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import reports.__main__
import run_benchmark
from harness.errors import exit_code
from tests.broken_inputs.damage import FIRED, Content

SECONDS = 20
#: How much more memory a trial may take at its peak than what was held before.
MEGABYTES = 1_000
_LONGEST_LINE = 650

def read(argv: list[str]) -> int:
    """Call the reader of that name with a file."""
    module, _, name = argv[0].rpartition('.')
    return exit_code(lambda: bool(getattr(importlib.import_module(module), name)(argv[1])) and 0, '', 'check the file')


_PROGRAMS = {'run': run_benchmark.command_line, 'reports': reports.__main__.command_line, 'read': read}
#: What libraries say beside the program.
_NOISE = re.compile(r'Traceback|warn|libpng|corrupt|premature|deprecat|exception ignored', re.IGNORECASE)


@dataclass(frozen=True)
class Trial:
    """A command line on files in a folder of their own.

    Attributes:
        what: is wrong.
        argv: of the command.
        files: by their names in the folder.
        program: ``run_benchmark.py``, ``python -m reports``, or a reader that no command calls.
        sound: nothing is wrong: it has to be accepted, or the others are refused for another reason than theirs.
    """

    what: str
    argv: Sequence[str]
    files: Mapping[str, Content] = field(default_factory=dict)
    program: Literal['run', 'reports', 'read'] = 'run'
    sound: bool = False


@dataclass(frozen=True)
class Verdict:
    """How a trial ended; ``why`` says what is wrong, or what it was refused with."""

    kind: Literal['accepted', 'refused', 'wrong']
    why: str = ''


class TooLong(BaseException):
    """Not an ``Exception``, so that nobody takes it for one of theirs."""


def tried(trial: Trial, seconds: float = SECONDS) -> Verdict:
    """Run a trial and hold it against the rule."""
    home = Path.cwd()
    folder = Path(tempfile.mkdtemp(prefix='broken-'))
    try:
        os.chdir(folder)
        for name, content in trial.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content) if isinstance(content, bytes) else content(path)
        before = _listed(folder)
        code, said, grown = _run(trial, folder, seconds)
        return _judged(trial, code, said, grown, sorted(_listed(folder) - before))
    finally:
        os.chdir(home)
        shutil.rmtree(folder, ignore_errors=True)


def _listed(folder: Path) -> set[str]:
    return {os.path.relpath(os.path.join(root, name), folder) for root, folders, files in os.walk(folder)
            for name in (*folders, *files)}


def _run(trial: Trial, folder: Path, seconds: float) -> tuple[int | str, str, float]:
    """Exit code or what came up, standard error, and megabytes that were taken."""
    code: int | str
    with tempfile.TemporaryFile('w+', encoding='utf-8', errors='backslashreplace') as said:
        held = _peak(reset=True)
        try:
            with _written_to(said), _limited(10 * seconds if trial.sound else seconds):  # what is first imports all
                code = _PROGRAMS[trial.program](list(trial.argv))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else f'SystemExit {stop.code}'
        except TooLong:
            code = f'took more than {seconds:g} s'
        except BaseException as error:
            frame, said_so = traceback.extract_tb(error.__traceback__)[-1], ' '.join(str(error).split())[:150]
            code = f'{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {said_so}'
        said.seek(0)
        return code, said.read(), (_peak() - held) / 1024


def _judged(trial: Trial, code: int | str, said: str, grown: float, left: list[str]) -> Verdict:
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith('error: ')]
    noise = [line for line in lines if _NOISE.search(line) and line not in errors]
    refused = code == 2
    wrong = [
        (isinstance(code, str), str(code)),
        (any(Path(name).name == FIRED for name in left), 'something of the file was executed'),
        (grown > MEGABYTES, f'took {grown:.0f} MB'),
        (not isinstance(code, str) and code not in (0, 1, 2), f'exit code {code}'),
        (refused and len(errors) != 1, f'{len(errors)} lines begin with "error: "'),
        (refused and bool(errors) and lines[-1] != errors[0], 'more is said behind the error'),
        (bool(errors) and (not errors[0].isprintable() or len(errors[0]) > _LONGEST_LINE),
         f'its line is of {len(errors[0]) if errors else 0} signs or not printable'),
        (not refused and bool(errors), f'exit code {code} with an error'),
        (bool(noise), f'a library speaks: {noise[0][:150] if noise else ""}'),
        (refused and bool(left), f'left behind: {", ".join(left[:3])}'),
        (trial.sound and code != 0, f'sound, but exit code {code}: {lines[-1][:200] if lines else ""}'),
    ]
    if faults := [why for true, why in wrong if true]:
        return Verdict('wrong', '; '.join(faults))
    return Verdict('refused', errors[0]) if refused else Verdict('accepted')


@contextmanager
def _written_to(said: Any) -> Iterator[None]:
    """Standard error goes into a file, that of C libraries too; what is printed goes nowhere."""
    sys.stderr.flush()
    sys.stdout.flush()
    streams, descriptors = (sys.stdout, sys.stderr), (os.dup(1), os.dup(2))
    with open(os.devnull, 'w', encoding='utf-8') as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(said.fileno(), 2)
        sys.stdout, sys.stderr = nowhere, said
        try:
            yield
        finally:
            said.flush()
            sys.stdout, sys.stderr = streams
            for descriptor, number in zip(descriptors, (1, 2), strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Time by an alarm, which also ends a wait for a pipe; memory by what the process may map."""
    def ring(number: int, frame: FrameType | None) -> None:
        raise TooLong
    before, bounds = signal.signal(signal.SIGALRM, ring), resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 4 * MEGABYTES * 2**20, bounds[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, bounds)


def _peak(reset: bool = False) -> int:
    """Kilobytes held at most since the last reset, or ever where the system does not reset them."""
    if reset:
        try:
            Path('/proc/self/clear_refs').write_text('5')
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+)', status)[1])  # type: ignore[index]
