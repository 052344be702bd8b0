"""What a detector says of an image, kept on disk: runs, rules, studies and shards detect an image once.

An entry is one file of tensors (safetensors), under the hash of the pixels and of everything else that its content
follows from. Entries are written beside and renamed, so that any number of processes can share a store, on network file
systems too. Over its size limit the entries that were used longest ago go. diskcache, the obvious library, keeps
pickles, which execute code when they are read, and has had no release since 2023; lmdb maps a file of a fixed size and
must not lie on network file systems.
"""
from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from harness.errors import InputError
from harness.files.writing import replacing

_ENDING = '.detections'
_CHECKSUM = 8  # hex digits before the tensors
#: After eviction a store has this share of its limit, so that not every entry evicts.
_KEPT = 0.9
GIGABYTE = 10 ** 9
DEFAULT_LIMIT = 10 * GIGABYTE


def store_folder() -> Path:
    """Where stores are kept: ``$REFNMS_STORE``, or ``~/.cache/refnms-store``."""
    return Path(os.environ.get('REFNMS_STORE') or Path.home() / '.cache' / 'refnms-store').expanduser()


@dataclass
class DetectionStore:
    """A folder of entries.

    Attributes:
        folder: is made with the first entry.
        limit: bytes that it may hold.
        damaged: how many entries did not fit their checksum when they were asked for; they count as missing.
    """

    folder: Path = field(default_factory=store_folder)
    limit: int = DEFAULT_LIMIT
    damaged: int = 0
    _size: int | None = field(default=None, repr=False)

    def key(self, pixels: np.ndarray, detector: str) -> str:
        """The name of an entry: ``pixels`` ``(H, W, 3)`` uint8, and what tells a detector's results from another's."""
        digest = hashlib.sha256(f'{detector} {pixels.shape} '.encode())
        digest.update(np.ascontiguousarray(pixels).data)
        return digest.hexdigest()

    def get(self, key: str) -> dict[str, Tensor] | None:
        """The tensors of an entry; ``None`` where there is none, or a damaged one."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        tensors = _read(content)
        if tensors is None:
            self.damaged += 1
            return None
        with suppress(OSError):
            os.utime(path)  # it was used now
        return tensors

    def take_damaged(self) -> int:
        """The number of damaged entries since the last time."""
        damaged, self.damaged = self.damaged, 0
        return damaged

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep an entry; where the disk refuses, nothing is kept and nothing is lost."""
        content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
        content = f'{zlib.crc32(content):0{_CHECKSUM}x}'.encode() + content
        path = self._path(key)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, ending=f'.{os.getpid()}.part') as beside:
                beside.write_bytes(content)
            self._grow(len(content))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f'{key}{_ENDING}'

    def _grow(self, size: int) -> None:
        """Evict where the limit is passed; what other processes add is seen at the next count."""
        if self._size is None:
            self._size = sum(entry.size for entry in self.entries())
        else:
            self._size += size
        if self._size > self.limit:
            self._size = self._evict()

    def _evict(self) -> int:
        entries = sorted(self.entries(), key=lambda entry: entry.used)
        size = sum(entry.size for entry in entries)
        for entry in entries:
            if size <= _KEPT * self.limit:
                break
            entry.path.unlink(missing_ok=True)
            size -= entry.size
        return size

    def entries(self) -> Iterator[Entry]:
        """All entries; those that another process removes meanwhile are left out."""
        for path in self.folder.glob(f'??/*{_ENDING}'):
            with suppress(FileNotFoundError):
                state = path.stat()
                yield Entry(path, state.st_size, state.st_mtime)

    def verify(self) -> list[Path]:
        """The damaged entries, which are removed."""
        damaged = []
        for entry in list(self.entries()):
            with suppress(FileNotFoundError):
                if _read(entry.path.read_bytes()) is None:
                    entry.path.unlink(missing_ok=True)
                    damaged.append(entry.path)
        return damaged

    def clear(self) -> int:
        """Remove all entries, and nothing else; how many there were.

        Raises:
            InputError: an entry cannot be removed.
        """
        entries = list(self.entries())
        for entry in entries:
            try:
                entry.path.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(f'{entry.path}: cannot be removed ({error.strerror}); check permissions') from None
        for folder in self.folder.glob('??'):
            with suppress(OSError):
                folder.rmdir()
        return len(entries)


@dataclass(frozen=True)
class Entry:
    """A file of a store: its size in bytes and the time of its last use, in seconds since 1970."""

    path: Path
    size: int
    used: float


def _read(content: bytes) -> dict[str, Tensor] | None:
    """The tensors of a file's content, ``None`` where it is not what was written."""
    checksum, tensors = content[:_CHECKSUM], content[_CHECKSUM:]
    if checksum != f'{zlib.crc32(tensors):0{_CHECKSUM}x}'.encode():
        return None
    try:
        return load(tensors)
    except (SafetensorError, ValueError, KeyError):
        return None
