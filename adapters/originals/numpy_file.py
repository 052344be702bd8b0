"""One array of plain numbers in a numpy file; its header is trusted only where it agrees with the size of the file."""
from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from harness.errors import InputError
from harness.files.reading import read_bytes


def read_npy(path: str | Path, shape: Sequence[int | None]) -> NDArray:
    """An ``.npy`` file's array.

    Args:
        path: a file that ``numpy.save`` wrote.
        shape: the required shape; ``None`` stands for any size.

    Raises:
        InputError: the file is not such a file, is cut short, has another shape, or holds objects, which would be a
            pickle.
    """
    data = read_bytes(path)
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        found, fortran, dtype = read(stream)
    except (ValueError, KeyError, EOFError, SyntaxError, TypeError, MemoryError, RecursionError, OverflowError,
            TokenError):
        raise InputError(f'{path}: is not an .npy file of numbers, or is damaged; create it again') from None
    if dtype.kind not in 'iuf' or dtype.hasobject:
        raise InputError(f'{path}: holds no plain numbers but {dtype.name[:40]}; nothing in it was executed')
    if len(found) != len(shape) or any(w is not None and w != f for f, w in zip(found, shape, strict=True)):
        needed = ', '.join('any' if w is None else str(w) for w in shape)
        raise InputError(f'{path}: has the shape {str(found)[:80]}, but ({needed}) is needed; give the right file')
    if any(size < 0 for size in found) or math.prod(found) * dtype.itemsize != len(data) - stream.tell():
        raise InputError(f'{path}: its header does not agree with its size, so it is damaged or cut short; '
                         'create it again')
    if 0 in found:
        return np.empty(found, dtype.newbyteorder('='))
    numbers = np.frombuffer(data, dtype, offset=stream.tell())
    return numbers.reshape(found, order='F' if fortran else 'C').astype(dtype.newbyteorder('='))
