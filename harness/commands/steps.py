"""Steps, which are commands with the files that they depend on and leave, and a runner of those that are not done.

A step is done if its command, the hashes of its inputs and those of its outputs are as ``steps.json`` in the folder of
the steps has them. The record is written after each step, so that the same steps go on where they were interrupted.
"""
from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from harness.errors import InputError
from harness.files.fingerprint import sha256_of
from harness.files.reading import parse_json, read_bytes
from harness.files.writing import write_text

RECORD = 'steps.json'
INTERRUPTED = 130
_ROOT = Path(__file__).resolve().parents[2]
#: Seconds that an interrupted step has to end in its own way.
_PATIENCE = 60


@dataclass(frozen=True)
class Step:
    """One command, and the files that it depends on and leaves.

    Attributes:
        name: what it is called in lines and in the record.
        command: after ``python``.
        inputs: files whose hashes decide whether it is done.
        outputs: files that it leaves.
        into: the file that what it prints goes into.
        anew: more options, where the outputs of an earlier command or of other inputs are still there.
        estimates: whether ``--dry-run`` says what it would take.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    into: Path | None = None
    anew: tuple[str, ...] = ()
    estimates: bool = False


class Hashes:
    """SHA-256 of files, each read once as long as it stays as it is."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int, int], str] = {}

    def of(self, paths: Iterable[Path]) -> dict[str, str | None]:
        """By path; ``None`` where there is no file."""
        return {str(path): self._of(path) if path.is_file() else None for path in paths}

    def _of(self, path: Path) -> str:
        stat = path.stat()
        key = path, stat.st_size, stat.st_mtime_ns
        if key not in self._known:
            self._known[key] = sha256_of(path)
        return self._known[key]


class Record:
    """What is known of the steps that were done in a folder.

    Raises:
        InputError: the file of the record is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._hashes = folder / RECORD, Hashes()
        self._done: dict[str, Any] = {}
        if self._path.is_file():
            self._done = parse_json(read_bytes(self._path), str(self._path))
            if not isinstance(self._done, dict) or not all(isinstance(one, dict) for one in self._done.values()):
                raise InputError(f'{self._path}: is not a record of steps; delete the file, finished trainings are not '
                                 'repeated')

    def has(self, step: Step) -> bool:
        """Whether a step is done."""
        return self._known(step, 'of') == self.of(step) and self._left(step)

    def outdated(self, step: Step) -> bool:
        """Whether its outputs are there, but of another command or of other inputs."""
        return self._known(step, 'of') != self.of(step) and self._left(step)

    def of(self, step: Step) -> dict[str, Any]:
        """What a step is made of, as long as its inputs stay as they are."""
        return {'command': list(step.command), 'inputs': self._hashes.of(step.inputs)}

    def add(self, step: Step, of: dict[str, Any], seconds: float) -> None:
        """A step has been done, of what :meth:`of` said when it began."""
        self._done[step.name] = {'of': of, 'outputs': self._hashes.of(step.outputs), 'seconds': round(seconds)}
        write_text(self._path, json.dumps(self._done, indent=1) + '\n')

    def _left(self, step: Step) -> bool:
        """Whether the outputs are those that were recorded."""
        return self._known(step, 'outputs') == self._hashes.of(step.outputs)

    def _known(self, step: Step, what: str) -> Any:
        return self._done.get(step.name, {}).get(what)


def run_steps(steps: Sequence[Step], folder: Path) -> int:
    """Run each step that is not done; the exit code of the first that fails, else 0.

    Raises:
        InputError: the record is damaged, or a step has not left what it should.
    """
    record = Record(folder)
    for number, step in enumerate(steps, start=1):
        title = f'[{number}/{len(steps)}] {step.name}'
        if record.has(step):
            _say(f'{title}: done before')
            continue
        _say(f'{title}\n  {_typed(step.command)}')
        start, of = time.monotonic(), record.of(step)
        if code := _do(step, step.anew if record.outdated(step) else ()):
            _say(f'{title}: interrupted; the same command goes on from here' if code == INTERRUPTED else
                 f'{title}: stopped with code {code}; fix what it says, and the same command goes on from here')
            return code
        if lacks := [path for path in step.outputs if not path.is_file()]:
            raise InputError(f'{lacks[0]}: {step.name} has ended without writing it; try its command by itself')
        seconds = time.monotonic() - start
        record.add(step, of, seconds)
        _say(f'{title}: done in {_duration(seconds)}')
    return 0


def list_steps(steps: Sequence[Step], folder: Path) -> int:
    """Print the steps with what those that can estimate it would take; nothing is written.

    Returns:
        the exit code of the first estimate that says that its step cannot be, else 0.

    Raises:
        InputError: the record is damaged.
    """
    record, refused = Record(folder), 0
    for number, step in enumerate(steps, start=1):
        done = record.has(step)
        print(f'[{number}/{len(steps)}] {step.name}{": done before" if done else ""}\n  {_typed(step.command)}',
              flush=True)
        if step.estimates and not done:
            with TemporaryFile() as printed:
                code = _call([*step.command, '--dry-run'], printed)
                print(''.join(f'    {line}\n' for line in _text(printed).splitlines()), end='', flush=True)
            refused = refused or code
            if code == INTERRUPTED:
                break
    return refused


def _do(step: Step, more: Sequence[str]) -> int:
    """Run a step; of one that fails, what it prints is shown."""
    for path in step.outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
    if step.into is None:
        return _call([*step.command, *more])
    with TemporaryFile() as printed:
        code = _call([*step.command, *more], printed)
        if code:
            _say(_text(printed).rstrip())
        else:
            write_text(step.into, _text(printed))
    return code


def _text(printed: IO[bytes]) -> str:
    printed.seek(0)
    return printed.read().decode('utf-8', errors='replace')


def _call(command: Sequence[str], stdout: IO[bytes] | None = None) -> int:
    """The exit code of a command of this program, in a process of its own.

    Ctrl-C reaches that process as well, which keeps what it has done; so it is waited for.
    """
    first = str(_ROOT / command[0]) if command[0].endswith('.py') else command[0]
    packages = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get('PYTHONPATH'))))
    with subprocess.Popen([sys.executable, first, *command[1:]], stdout=stdout,
                          env={**os.environ, 'PYTHONPATH': packages}) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(_PATIENCE)
            process.terminate()
            return INTERRUPTED
    return 128 - code if code < 0 else code


def _typed(command: Sequence[str]) -> str:
    return f'python {shlex.join(command)}'


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 3600 else f'{seconds / 3600:.1f} h'


def _say(line: str) -> None:
    if line:
        print(line, file=sys.stderr, flush=True)
