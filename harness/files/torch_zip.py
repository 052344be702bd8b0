"""The present layout of ``torch.save``: a zip archive of ``data.pkl`` and ``data/<key>``, one entry per storage.

Source: ``torch/serialization.py: _load`` of pytorch/pytorch.
"""
from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.errors import InputError, shown
from harness.files.archives import zip_fault
from harness.files.pickle_values import Refused
from harness.files.torch_objects import ObjectMachine


def load_zip(path: Path, file_size: int) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                entries = _Entries(archive, file_size)
                if entries.has('byteorder') and bytes(entries.read('byteorder').numpy()) != b'little':
                    raise Refused('was saved on a big-endian machine; save it again with a current PyTorch')
                pickle = bytes(entries.read('data.pkl').numpy())
            except Refused as reason:
                raise InputError(f'{path}: {reason}') from None
            return ObjectMachine(pickle, str(path), 0, file_size, entries.numbers).run()
    except (zipfile.BadZipFile, EOFError, struct.error, RuntimeError, ValueError, OverflowError) as error:
        what = ' '.join(str(error).split())[:120]
        raise InputError(f'{path}: the zip file is damaged or cut short ({what}); fetch it again') from None


class _Entries:
    """The entries in the one folder of an archive: each is read at most once, and no more bytes than the file has."""

    def __init__(self, archive: zipfile.ZipFile, file_size: int) -> None:
        self.archive = archive
        self.left = file_size
        entries = archive.infolist()
        tops = [entry.filename.removesuffix('data.pkl') for entry in entries
                if entry.filename.count('/') == 1 and entry.filename.endswith('/data.pkl')]
        if len(tops) != 1:
            raise Refused(f'was not written by torch.save: it {zip_fault(entry.filename for entry in entries)}')
        self.entries = {entry.filename.removeprefix(tops[0]): entry for entry in entries
                        if entry.filename.startswith(tops[0])}

    def has(self, name: str) -> bool:
        return name in self.entries

    def read(self, name: str, size: int | None = None) -> Tensor:
        """The bytes of an entry, which must be stored without compression."""
        entry = self.entries.pop(name, None)
        if entry is None:
            raise Refused(f'has no entry {shown(name)}')
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise Refused(f'has a compressed entry {shown(name)}, which torch.save never writes; unzip the file and '
                          'zip it again without compression')
        if size is not None and entry.file_size != size:
            raise Refused(f'has {entry.file_size} bytes in {shown(name)} instead of {size}')
        self.left -= entry.file_size
        if self.left < 0:
            raise Refused(f'claims {entry.file_size} bytes in {shown(name)}, more than the file holds')
        content = torch.empty(entry.file_size, dtype=torch.uint8)
        with self.archive.open(entry) as stream:
            if stream.readinto(content.numpy()) != entry.file_size or stream.read(1):  # type: ignore[attr-defined]
                raise EOFError('an entry is shorter than it says')
        return content

    def numbers(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        """The numbers of a storage, ``(count,)``."""
        return self.read(f'data/{key}', count * dtype.itemsize).view(dtype)
