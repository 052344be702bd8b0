"""Archives given in the place of a file in them: told by their first bytes, named with what they hold."""
from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from harness.data.safe_pickle import shown

_MOST_NAMED = 3
_FIRST_BYTES = {b'PK\x03\x04': 'zip', b'\x1f\x8b': 'gzip', b'BZh91AY': 'bzip2', b'\xfd7zXZ\x00': 'xz',
                b'7z\xbc\xaf\x27\x1c': '7z', b'Rar!\x1a\x07': 'rar'}


def packed(path: Path) -> str | None:
    """What an archive is and what to do, to stand behind its name in a message; ``None`` for any other file."""
    with path.open('rb') as file:
        start = file.read(8)
    kind = next((kind for first, kind in _FIRST_BYTES.items() if start.startswith(first)), None)
    if kind is None:
        return None
    if kind == 'zip':
        try:
            with zipfile.ZipFile(path) as archive:
                return unzip(archive.namelist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return 'is a zip archive, damaged or cut short; fetch it again, unzip it and give the file in it'
    return f'is packed by {kind}; unpack it first and give the file in it'


def unzip(names: Iterable[str]) -> str:
    """:func:`packed` for a zip archive of files of these names."""
    files = [shown(name) for name in names if not name.endswith('/')]
    more = f' and {len(files) - _MOST_NAMED} more' if len(files) > _MOST_NAMED else ''
    holds = f'of {", ".join(files[:_MOST_NAMED])}{more}' if files else 'without a file'
    return f'is a zip archive {holds}; unzip it first and give the file in it'
