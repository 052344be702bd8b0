"""Finished weight files are not trained again; a file that another recipe finished is refused, not reused."""
from __future__ import annotations

import json
from pathlib import Path

from harness.errors import InputError
from harness.files import fingerprint
from harness.files.fingerprint import Record, flat, sha256_of
from harness.files.reading import parse_json, read_bytes
from harness.files.writing import write_text
from harness.training.runner import ADVICE

_KEPT = 'finished.json'


def is_finished(path: Path, work: Path, record: Record) -> bool:
    """Whether :func:`finish` recorded this file for the same recipe, and the file has not changed since.

    Args:
        path: of the weights.
        work: the training's folder.
        record: what shapes the training.

    Raises:
        InputError: another or an unknown recipe finished the file.
    """
    done = work / _KEPT
    if not path.exists() or not done.exists():
        return False
    kept = parse_json(read_bytes(done), str(done))
    if not isinstance(kept, dict) or kept.get('sha256') != sha256_of(path):
        return False
    if not isinstance(kept.get('shaped_by'), dict):
        raise InputError(f'{work}: does not say what shaped {path}, because an older version wrote it; {ADVICE}')
    fingerprint.refuse_differences(f'{work}: {path}', kept['shaped_by'], record, ADVICE)
    return True


def finish(path: Path, work: Path, record: Record, seconds: float) -> None:
    """Record that a file is finished, and how long the last start took."""
    write_text(work / _KEPT, json.dumps({'sha256': sha256_of(path), 'seconds_of_the_last_start': round(seconds),
                                         'shaped_by': flat(record)}) + '\n')
