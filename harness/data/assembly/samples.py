"""What a file of data is, told from its beginning and never from its name."""
from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import safe_pickle
from harness.files.archives import archive_fault
from harness.files.json_stream import Beginning, beginning, records
from harness.files.parquet import ENCRYPTED, MAGIC, columns
from harness.files.reading import GZIP_MAGIC, require_file
from harness.types import Sample

_ZIP = b'PK\x03\x04'
#: The number that the layout of ``torch.save`` before PyTorch 1.6 begins with, pickled.
_TORCH = b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19'
_LINE = 1 << 16


def samples(path: Path) -> list[Sample]:
    """What a file may be: nothing of what is not known here; two things where one record alone could be a line or a
    record of lists.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    require_file(path)
    with path.open('rb') as file:
        first = file.read(_LINE)
    if first.startswith((MAGIC, ENCRYPTED)):
        return [Sample('parquet', {'': dict.fromkeys(columns(path))})]
    if first.startswith(_ZIP) or _TORCH in first[:32]:
        return _of_torch(path)
    text = first.lstrip(b'\xef\xbb\xbf \t\r\n')
    if first.startswith(GZIP_MAGIC) or text[:1] in (b'[', b'{'):
        return [Sample(layout, found) for layout, found in beginning(path) or _first_record(path, text)]
    if first.startswith((b'\x80', b'(')):
        return [Sample('pickle', {'': _first(safe_pickle.load(path))})]
    line = first.split(b'\n', 1)[0]
    if b'\t' in line and b'\0' not in line:
        return [Sample('table', {'': line.rstrip(b'\r').decode('utf-8', 'replace').split('\t')})]
    return []


def _first_record(path: Path, text: bytes) -> list[Beginning]:
    """A list whose first record is long, for it holds an image, or is no JSON, which is said."""
    if not text.startswith(b'['):
        return []
    return [Beginning('list', {'': record}) for _, record in islice(records(path, 'list'), 1)]


def _of_torch(path: Path) -> list[Sample]:
    from harness.files import torch_file  # takes a second to import
    try:
        return [Sample('torch', {'': _first(torch_file.load(path))})]
    except InputError:
        if (fault := archive_fault(path)) is not None and path.suffix not in ('.pth', '.pt'):
            raise InputError(f'{path}: {fault}') from None
        raise


def _first(content: Any) -> Any:
    return content[0] if isinstance(content, list | tuple) and content else content
