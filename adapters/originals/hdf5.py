"""HDF5 as the originals write it: plain numbers in one piece of the file itself.

The library only tells where the numbers lie; they are then memory-mapped, so that only the rows in use are loaded.
Refused are links, numbers in other files, datasets made of others, chunks, filters (whose content may unpack without
end), types that are not plain numbers, and shapes that the file is too short for.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from harness.errors import InputError
from harness.files.archives import archive_fault
from harness.files.reading import require_regular

_REPACK = 'repack it with "h5repack -l CONTI -f NONE IN OUT"'
_PLAIN = {h5py.h5t.INTEGER: 'iu', h5py.h5t.FLOAT: 'f'}


class _Refused(Exception):
    """Why a dataset is refused; :func:`numbers` prefixes the name of the file."""


def numbers(path: str | Path, name: str, shape: Sequence[int | None]) -> NDArray:
    """A dataset of the file's root, mapped read-only and not yet read.

    Args:
        path: an HDF5 file, never changed.
        name: of the dataset, without folders.
        shape: the required shape; ``None`` stands for any size.

    Raises:
        InputError: the file is missing, damaged or no HDF5, has no such dataset, or it is not plain numbers that lie in
            the file in one piece.
    """
    path = Path(path)
    if not path.is_dir():
        require_regular(path)
    if not path.is_file():
        raise InputError(f'{path}: there is no such file; check the path')
    try:
        with h5py.File(path, 'r', locking=False) as file:
            dtype, found, offset = _place(file.id, name.encode())
        _check(dtype, found, shape, offset, path.stat().st_size)
        if offset is None:
            return np.empty(found, dtype)
        return np.memmap(path, dtype, 'r', offset, found)
    except _Refused as reason:
        raise InputError(f'{path}: {name!r} {reason}') from None
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError):
        said = archive_fault(path) or 'is not an HDF5 file, or is damaged or cut short; fetch it again'
        raise InputError(f'{path}: {said}') from None


def has(path: str | Path, name: str) -> bool:
    """Whether the file's root has something of that name; ``False`` for a file that is no HDF5.

    Raises:
        InputError: it is not a regular file.
    """
    try:
        require_regular(path)
        with h5py.File(path, 'r', locking=False) as file:
            return bool(file.id.links.exists(name.encode()))
    except (OSError, RuntimeError, LookupError, ValueError, TypeError):
        return False


def _place(root: h5py.h5f.FileID, name: bytes) -> tuple[np.dtype, tuple[int, ...], int | None]:
    """Type, shape and where the first number lies; nothing that a link or a dataset names is opened."""
    if b'/' in name or not root.links.exists(name):  # the way through a folder may be a link
        raise _Refused('is not in this file; give the file that has it')
    if root.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise _Refused('is a link to somewhere else, which is not followed; give the file itself')
    if h5py.h5o.get_info(root, name).type != h5py.h5o.TYPE_DATASET:
        raise _Refused('is a group or a type, not numbers')
    dataset = h5py.h5d.open(root, name)
    properties = dataset.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL:
        raise _Refused('is made of other datasets, which are not followed; give the file itself')
    if properties.get_external_count():
        raise _Refused('keeps its numbers in other files, which are not opened; give the file itself')
    if properties.get_nfilters() or properties.get_layout() != h5py.h5d.CONTIGUOUS:
        raise _Refused(f'is packed or in chunks, while the originals write it in one piece; {_REPACK}')
    kind = dataset.get_type()
    if kind.get_class() not in _PLAIN or kind.get_size() not in (1, 2, 4, 8):
        raise _Refused('does not hold plain numbers')
    dtype = kind.dtype
    if dtype.kind not in _PLAIN[kind.get_class()]:
        raise _Refused('does not hold plain numbers')
    return dtype, dataset.shape, dataset.get_offset()


def _check(dtype: np.dtype, found: tuple[int, ...], wanted: Sequence[int | None], offset: int | None,
           size: int) -> None:
    """Refuse a shape that differs from the wanted one, or that the file is too short for."""
    if len(found) != len(wanted) or any(w is not None and w != f for f, w in zip(found, wanted, strict=True)):
        expected = ', '.join('any' if w is None else str(w) for w in wanted)
        raise _Refused(f'has the shape {found}, but ({expected}) is needed')
    need = math.prod(found) * dtype.itemsize
    if need and (offset is None or offset < 0 or offset + need > size):
        raise _Refused(f'claims {need} bytes, which the file does not have; it is damaged or cut short, fetch it again')
