"""The progress of a run: its rows on disk, and beside them a journal with one line per image.

The first line of ``journal.jsonl`` describes the run (:class:`Header`). Each further line is written once the rows of
an image are on disk, and holds their size. However a run ends early, even by a power failure, the same command cuts off
the rows after the last complete line and continues with the next image.
"""
from __future__ import annotations

import fcntl
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from harness.errors import InputError
from harness.evaluation.counters import Counters
from harness.evaluation.one_image import Evaluated
from harness.evaluation.result_folder import ROWS, move_aside, new_folder
from harness.evaluation.timing import Timing
from harness.files.fingerprint import differences, listed

JOURNAL = 'journal.jsonl'
PROPOSALS = 'proposals.jsonl'
FILES = (ROWS, PROPOSALS)


@dataclass(frozen=True)
class Header:
    """The description of a run.

    Attributes:
        plan: everything that determines the rows (:mod:`harness.evaluation.plan_record`).
        about: what ``results.json`` says about the run besides its figures.
        chosen_by: the grounders of each rule of each dataset.
        tasks: what is measured.
        images: the number of images of the whole run.
        expressions: the number of expressions on them.
        numbers: the numbers of the images that belong to this folder.
        shard: the shard, as ``2/3``; ``None`` for a whole run.
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
        sizes: the number of bytes of its rows in each of :data:`FILES`.
        checksums: the CRC-32 of these bytes.
        timing: the time of each stage on it.
        counters: what was counted on it.
    """

    number: int
    sizes: tuple[int, ...]
    checksums: tuple[int, ...]
    timing: Timing
    counters: Counters

    @classmethod
    def of(cls, number: int, rows: Sequence[bytes | bytearray], image: Evaluated) -> Entry:
        """The entry of an image whose rows are given for each of :data:`FILES`."""
        return cls(number, tuple(map(len, rows)), tuple(map(zlib.crc32, rows)), image.timing, image.counters)

    def line(self) -> bytes:
        """The entry as a line of the journal."""
        return orjson.dumps({'number': self.number, 'sizes': self.sizes, 'checksums': self.checksums,
                             'timing': self.timing.as_json(), 'counters': self.counters.as_json()}) + b'\n'

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        """The entry that a line of the journal holds.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: the line holds no entry.
        """
        entry = orjson.loads(line)
        return cls(int(entry['number']), tuple(map(int, entry['sizes'])), tuple(map(int, entry['checksums'])),
                   Timing.of_json(entry['timing']), Counters.of_json(entry['counters']))


def read_journal(folder: Path) -> tuple[Header | None, list[Entry], int]:
    """The header and entries of a folder's journal, and the number of bytes up to its last complete line.

    If the header is ``None``, the folder holds no run that can be continued.
    """
    path = folder / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    try:
        header = Header(**orjson.loads(lines[0])) if lines and lines[0].endswith(b'\n') else None
    except (ValueError, TypeError):
        header = None
    if header is None:
        return None, [], 0
    entries, size = [], len(lines[0])
    for line in lines[1:]:
        try:
            entry = Entry.of_line(line)
        except (ValueError, TypeError, KeyError, AttributeError):
            break
        if not line.endswith(b'\n') or len(entry.sizes) != len(FILES):
            break
        entries.append(entry)
        size += len(line)
    return header, entries, size


class Journal:
    """The files of a run, open for writing; :func:`open_run` makes one.

    Attributes:
        header: the description of the run.
        entries: the images that are done.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder, self.header = folder, header
        self.entries: list[Entry] = []
        self._wrote_header = False
        self._files: list[BinaryIO] = []

    def __enter__(self) -> Journal:
        names = (*FILES, JOURNAL)
        self._files = [(self.folder / name).open('r+b' if (self.folder / name).exists() else 'x+b', buffering=0)
                       for name in names]
        try:
            fcntl.lockf(self._files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._close()
            raise InputError(f'--out {self.folder}: another process is writing to this folder; wait for it to end, or '
                             'choose another folder') from None
        try:
            self._resume()
        except BaseException:
            self._close()
            raise
        return self

    def _resume(self) -> None:
        """Keep the entries of an earlier start of the same run, and cut off what is incomplete."""
        header, entries, _ = read_journal(self.folder)
        if header is None:
            if any((self.folder / name).stat().st_size for name in FILES):
                raise InputError(f'--out {self.folder}: holds an earlier run that cannot be continued, its journal is '
                                 'missing or damaged; choose another folder, or move the run aside by --fresh')
        else:
            kept = {'shard': header.shard or 'none', **header.plan}
            if found := differences(kept, {'shard': self.header.shard or 'none', **self.header.plan}):
                raise InputError(f'--out {self.folder}: holds a different run: {listed(found)}; choose another folder, '
                                 'or move that run aside by --fresh')
            self.header, self._wrote_header = header, True
            self.entries = list(_sound(entries, self._files))
        ends = [sum(entry.sizes[i] for entry in self.entries) for i in range(len(FILES))]
        lines = b''.join(entry.line() for entry in self.entries)
        ends.append(len(self._head() + lines) if self._wrote_header else 0)
        for file, end in zip(self._files, ends, strict=True):
            file.truncate(end)
            file.seek(end)

    def _head(self) -> bytes:
        return orjson.dumps(asdict(self.header)) + b'\n'

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
        head = b'' if self._wrote_header else self._head()
        texts: tuple[bytes | bytearray, ...] = (*rows, head + entry.line())
        for file, text in zip(self._files, texts, strict=True):
            _write(file, text, self.folder)
        self._wrote_header = True
        self.entries.append(entry)

    def _close(self) -> None:
        for file in self._files:
            file.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._close()


def _sound(entries: Sequence[Entry], files: Sequence[BinaryIO]) -> Iterator[Entry]:
    """The entries up to the first whose rows on disk are not those that were written."""
    for file in files:
        file.seek(0)
    for entry in entries:
        for size, checksum, file in zip(entry.sizes, entry.checksums, files[:len(FILES)], strict=True):
            rows = file.read(size) if size else b''
            if len(rows) != size or zlib.crc32(rows) != checksum:
                return
        yield entry


def _write(file: BinaryIO, text: bytes | bytearray, folder: Path) -> None:
    left = memoryview(text)
    try:
        while left:
            left = left[file.write(left):]
    except OSError as error:
        raise InputError(f'{folder}: cannot be written ({error.strerror}); free some space and run the same command '
                         'again, it continues from here') from None


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
    aside = move_aside(folder) if fresh else None
    try:
        with nullcontext() if (folder / JOURNAL).exists() else new_folder(folder, (*FILES, *besides)):
            try:
                with Journal(folder, header) as journal:
                    yield journal
            except BaseException:
                _remove_empty_journal(folder)
                raise
    except BaseException:
        if aside is not None and not folder.exists():
            aside.rename(folder)
            aside = None
        raise
    finally:
        if aside is not None:
            say(f'{folder} held an earlier run: it is now {aside}')


def _remove_empty_journal(folder: Path) -> None:
    """Remove the journal of a run that has no rows, since there is nothing to continue."""
    if folder.is_dir() and not any((folder / name).exists() and (folder / name).stat().st_size for name in FILES):
        (folder / JOURNAL).unlink(missing_ok=True)
