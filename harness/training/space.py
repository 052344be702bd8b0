"""Whether what a training stores fits on the disk, known before it begins."""
from __future__ import annotations

import shutil
from pathlib import Path

from harness.errors import InputError


def free_space(folder: Path) -> int:
    """Free bytes on the disk where a folder is or will be."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def no_space(folder: Path, wanted: float, advice: str = 'or ') -> str | None:
    """Why so many bytes do not fit into a folder; ``None``: they do."""
    free = free_space(folder)
    if wanted <= free:
        return None
    return (f'{folder}: {wanted / 1e9:.2f} GB are needed for stored features, {free / 1e9:.2f} GB are free; make room, '
            f'{advice}choose another disk by --work DIR')


def check_space(folder: Path, wanted: float, advice: str = 'or ') -> None:
    """
    Raises:
        InputError: so many bytes do not fit into the folder.
    """
    if refusal := no_space(folder, wanted, advice):
        raise InputError(refusal)
