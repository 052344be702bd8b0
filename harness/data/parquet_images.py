"""The images that a parquet file holds as the library ``datasets`` writes them: records of ``bytes`` and ``path``."""
from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from harness.data.assembly.names import bare_name, image_id_of
from harness.errors import InputError
from harness.files import fields
from harness.files.parquet import rows

_JPEG = b'\xff\xd8'


def named_images(path: Path, column: str = 'file_name') -> Iterator[tuple[str, bytes]]:
    """The images under the bare names in a column, each once; rows without an image's bytes are passed over."""
    there: set[str] = set()
    for where, row in rows(path, {column: 'text', 'image': {'bytes': 'bytes'}}):
        name, data = bare_name(fields.name(row, column, where)), (row['image'] or {}).get('bytes')
        if data and name not in there:
            there.add(name)
            yield name, data


def own_names(path: Path) -> list[str]:
    """The name of each row's image: that of its file where all rows have one of COCO's, else by the hash of its bytes,
    for which all images are read.

    Raises:
        InputError: a row has no image.
    """
    return _of_their_files(path) or [name for name, _ in _hashed(path)]


def own_images(path: Path) -> Iterator[tuple[str, bytes]]:
    """The images under the names of :func:`own_names`, each once."""
    there: set[str] = set()
    names = _of_their_files(path)
    for i, (name, data) in enumerate(_hashed(path)):
        if names:
            name = names[i]
        if name not in there:
            there.add(name)
            yield name, data


def _of_their_files(path: Path) -> list[str]:
    """The names of the images' files, if all of them are COCO's; else none."""
    paths = [(row['image'] or {}).get('path') or '' for _, row in rows(path, {'image': {'path': 'text'}})]
    known = all(image_id_of(name) is not None for name in paths)
    return [bare_name(name) for name in paths] if known else []


def _hashed(path: Path) -> Iterator[tuple[str, bytes]]:
    for where, row in rows(path, {'image': {'bytes': 'bytes'}}):
        data = (row['image'] or {}).get('bytes')
        if not data:
            raise InputError(f"{where}: 'image' has no bytes, and nothing else tells which image it is")
        ending = 'jpg' if data.startswith(_JPEG) else 'png'
        yield f'{hashlib.sha256(data).hexdigest()[:24]}.{ending}', data
