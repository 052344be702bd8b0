"""The progress of a run: its rows on disk, and beside them a journal with one line per image.

The first line of ``journal.jsonl`` is written before any row and describes the run (:class:`Header`). Each further line
is written once the rows of an image are on disk, and holds their size. However a run ends early, even by a power
failure, the same command cuts off the rows after the last complete line and continues with the next image.
"""
from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from harness.errors import InputError
from harness.evaluation.counters import Counters
from harness.evaluation.one_image import Evaluated
from harness.evaluation.result_folder import ROWS, moved_aside, new_folder
from harness.evaluation.timing import Timing
from harness.files.fingerprint import differences, listed
from harness.files.writing import append_whole

JOURNAL = 'journal.jsonl'
PROPOSALS = 'proposals.jsonl'
FILES = (ROWS, PROPOSALS)
_ADVICE = 'free some space and give the same command again, it goes on from here'


@dataclass(frozen=True)
class Header:
    """The description of a run.

    Attributes:
        plan: everything that determines the rows, as :mod:`harness.files.fingerprint` compares it.
        about: what ``results.json`` says about the run, except for what is measured.
        chosen_by: the grounders of each rule of each dataset.
        tasks: what is measured.
        images: the number of images of the whole run.
        expressions: the number of their expressions.
        numbers: the numbers of the images that belong to this folder.
        shard: the shard that these are, ``None`` for the whole run.
    """

    plan: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    chosen_by: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    tasks: Sequence[str] = ()
    images: int = 0
    expressions: int = 0
    numbers: Sequence[int] = ()
    shard: str | None = None


@dataclass(frozen=True)
class Entry:
    """One image in the journal.

    Attributes:
        number: its place in the plan.
        sizes: the size of its rows in each of :data:`FILES`, in bytes.
        checksums: the CRC-32 of these rows.
        timing: the times of its stages.
        counters: its counts.
    """

    number: int
    sizes: tuple[int, ...]
    checksums: tuple[int, ...]
    timing: Timing
    counters: Counters

    @classmethod
    def of(cls, number: int, rows: Sequence[bytes | bytearray], image: Evaluated) -> Entry:
        """The entry of an image, with its rows for each of :data:`FILES`."""
        return cls(number, tuple(map(len, rows)), tuple(map(zlib.crc32, rows)), image.timing, image.counters)

    def line(self) -> bytes:
        """The entry as JSON."""
        return orjson.dumps({'number': self.number, 'sizes': self.sizes, 'checksums': self.checksums,
                             'timing': self.timing.as_json(), 'counters': self.counters.as_json()}) + b'\n'

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        """The entry of a line.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is none.
        """
        entry = orjson.loads(line)
        return cls(int(entry['number']), tuple(map(int, entry['sizes'])), tuple(map(int, entry['checksums'])),
                   Timing.of_json(entry['timing']), Counters.of_json(entry['counters']))


def read_journal(folder: Path) -> tuple[Header | None, list[Entry]]:
    """The header and the entries of a folder's journal.

    If the header is ``None``, the folder holds no run that can be continued.
    """
    path = folder / JOURNAL
    return _parsed(path.read_bytes() if path.is_file() else b'')


def _parsed(journal: bytes) -> tuple[Header | None, list[Entry]]:
    lines = journal.splitlines(keepends=True)
    try:
        header = Header(**orjson.loads(lines[0])) if lines and lines[0].endswith(b'\n') else None
    except (ValueError, TypeError):
        header = None
    if header is None:
        return None, []
    entries = []
    for line in lines[1:]:
        try:
            entry = Entry.of_line(line)
        except (ValueError, TypeError, KeyError, AttributeError):
            break
        if not line.endswith(b'\n') or len(entry.sizes) != len(FILES):
            break
        entries.append(entry)
    return header, entries


class Journal:
    """The files of a run, open for writing; made by :func:`open_run`.

    Attributes:
        header: the description of the run.
        entries: the images that are done.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder, self.header = folder, header
        self.entries: list[Entry] = []
        self._open = ExitStack()
        self._rows: list[BinaryIO] = []

    def __enter__(self) -> Journal:
        with ExitStack() as stack:
            def opened(name: str) -> BinaryIO:
                return stack.enter_context((self.folder / name).open('a+b', buffering=0))
            self._journal = opened(JOURNAL)
            _lock(self._journal, self.folder)
            self._rows = [opened(name) for name in FILES]
            self._resume()
            self._open = stack.pop_all()
        return self

    def _resume(self) -> None:
        """Keep the images of an earlier start of the same run, and cut off what is incomplete.

        A run that has not finished an image starts again.
        """
        rows, journal = self._rows, self._journal
        journal.seek(0)  # opening it again and closing that would release the lock
        header, entries = _parsed(journal.read())
        if header is None and self._has_rows():
            raise InputError(f'--out {self.folder}: holds an earlier run, which does not say how to go on with it; '
                             'choose another folder, or move it aside by --fresh')
        if header is not None and entries:
            kept = {'shard': header.shard or 'none', **header.plan}
            if found := differences(kept, {'shard': self.header.shard or 'none', **self.header.plan}):
                raise InputError(f'--out {self.folder}: holds another run: {listed(found)}; choose another folder, or '
                                 'move it aside by --fresh')
            self.header = header
            self.entries = list(_sound(entries, rows))
        for i, file in enumerate(rows):
            file.truncate(sum(entry.sizes[i] for entry in self.entries))
        head = orjson.dumps(asdict(self.header)) + b'\n'
        if self.entries:
            journal.truncate(len(head) + sum(len(entry.line()) for entry in self.entries))
        else:
            journal.truncate(0)
            append_whole(journal, head, self.folder, _ADVICE)
            os.fsync(journal.fileno())

    def _has_rows(self) -> bool:
        return any(os.fstat(file.fileno()).st_size for file in self._rows)

    @property
    def left(self) -> list[int]:
        """The numbers of the images that are not done."""
        done = {entry.number for entry in self.entries}
        return [number for number in self.header.numbers if number not in done]

    def append(self, number: int, image: Evaluated) -> None:
        """Write the rows of an image, then its line in the journal.

        Raises:
            InputError: a file cannot be written, for instance because the disk is full; earlier images are kept.
        """
        rows = (image.predictions, image.proposals)
        entry = Entry.of(number, rows, image)
        for file, text in zip(self._rows, rows, strict=True):
            append_whole(file, text, self.folder, _ADVICE)
        append_whole(self._journal, entry.line(), self.folder, _ADVICE)
        self.entries.append(entry)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is not None and not self._has_rows():
            self._journal.truncate(0)  # there is nothing to continue
        self._open.close()


def _lock(journal: BinaryIO, folder: Path) -> None:
    """Reserve the run for this process until it closes the file or ends; no effect where files cannot be locked.

    Raises:
        InputError: another process has reserved it.
    """
    try:
        fcntl.lockf(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise InputError(f'--out {folder}: another process is writing this run; wait for it, or choose another '
                         'folder') from None
    except OSError:
        return


def _sound(entries: Sequence[Entry], files: Sequence[BinaryIO]) -> Iterator[Entry]:
    """The entries up to the first whose rows on disk are not those that were written."""
    for file in files:
        file.seek(0)
    for entry in entries:
        for size, checksum, file in zip(entry.sizes, entry.checksums, files, strict=True):
            rows = file.read(size) if size else b''
            if len(rows) != size or zlib.crc32(rows) != checksum:
                return
        yield entry


@contextmanager
def open_run(folder: Path, header: Header, fresh: bool = False, say: Callable[[str], object] = print,
             besides: Sequence[str] = ()) -> Iterator[Journal]:
    """Open the files of a run, to start or to continue it.

    If it fails before it has written a row, everything is left as it was.

    Args:
        folder: the folder of the run.
        header: the description of the run.
        fresh: move an earlier run in the folder aside and start again.
        say: called with a line that says where the earlier run was moved.
        besides: the names of other files that may be in the folder.

    Raises:
        InputError: the folder holds a different run or other files, another process is writing to it, or it cannot be
            made.
    """
    if fresh:
        _refuse_while_written(folder)
    with moved_aside(folder, say) if fresh else nullcontext():
        begun = (folder / JOURNAL).exists()
        with nullcontext() if begun else new_folder(folder, (*FILES, *besides)), Journal(folder, header) as journal:
            yield journal


def _refuse_while_written(folder: Path) -> None:
    """Refuse a folder in which another process is writing a run."""
    if (folder / JOURNAL).is_file():
        with (folder / JOURNAL).open('r+b') as journal:
            _lock(journal, folder)
