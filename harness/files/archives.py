"""Archives given in the place of a file in them: told by their first bytes, named with what they hold."""
from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from harness.errors import shown

_MOST_NAMED = 3
_FIRST_BYTES = {b'PK\x03\x04': 'zip', b'PK\x05\x06': 'zip', b'\x1f\x8b': 'gzip', b'BZh91AY': 'bzip2',
                b'\xfd7zXZ\x00': 'xz', b'7z\xbc\xaf\x27\x1c': '7z', b'Rar!\x1a\x07': 'rar', b'\x28\xb5\x2f\xfd': 'zstd'}
_TAR_AT, _TAR = 257, b'ustar'
#: So many bytes of a file tell what packed it.
BEGINNING = _TAR_AT + len(_TAR)


def archive_fault(path: Path) -> str | None:
    """What an archive is and what to do, to stand behind its name in a message; ``None`` for any other file, and for
    one that cannot be read."""
    try:
        with path.open('rb') as file:
            kind = archive_kind(file.read(BEGINNING))
    except OSError:
        return None
    if kind is None:
        return None
    if kind == 'zip':
        try:
            with zipfile.ZipFile(path) as archive:
                return zip_fault(archive.namelist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return 'is a zip archive, damaged or cut short; fetch it again, unzip it and give the file in it'
    return f'is packed by {kind}; unpack it first and give the file in it'


def archive_kind(data: bytes) -> str | None:
    """What packed a file's content, told by its first bytes; ``None``: nothing that is known here."""
    if data[_TAR_AT:BEGINNING] == _TAR:
        return 'tar'
    return next((kind for first, kind in _FIRST_BYTES.items() if data.startswith(first)), None)


def zip_fault(names: Iterable[str]) -> str:
    """:func:`archive_fault` for a zip archive of files of these names."""
    files = [shown(name) for name in names if not name.endswith('/')]
    more = f' and {len(files) - _MOST_NAMED} more' if len(files) > _MOST_NAMED else ''
    holds = f'of {", ".join(files[:_MOST_NAMED])}{more}' if files else 'without a file'
    return f'is a zip archive {holds}; unzip it first and give the file in it'
