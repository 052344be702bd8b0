"""Where a run or a study writes: nothing that was there is lost, and one of which nothing comes leaves nothing."""
from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import InputError

#: What every run writes, row by row.
ROWS = 'predictions.jsonl'


def named_by_time(before: str = '') -> Path:
    """Where results go when nobody says where."""
    return Path('results') / f'{before}{datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")}'


@contextmanager
def result_folder(wanted: Path | None, say: Callable[[str], object]) -> Iterator[Path]:
    """A run's folder, by default named by the time; an earlier run in it is moved aside.

    A run that ends without a single row, whatever ends it, leaves all as it was: the folder is gone, the earlier run
    back in its place.

    Raises:
        InputError: the folder holds other files, or can't be made.
    """
    out = wanted or named_by_time()
    aside = move_aside(out)
    try:
        with new_folder(out):
            yield out
    except BaseException:
        if aside is not None and not out.exists():
            aside.rename(out)
            aside = None
        raise
    finally:
        if aside is not None:
            say(f'{out} held an earlier run: it is now {aside}')


def move_aside(out: Path) -> Path | None:
    """Rename a folder that holds a run to the next free name; ``None`` where there is none.

    Raises:
        InputError: it can't be renamed.
    """
    try:
        if not (out / ROWS).exists():
            return None
        free = next(p for i in range(1, 10**6) if not (p := out.with_name(f'{out.name}.{i}')).exists())
        return out.rename(free)
    except OSError as error:
        raise _cannot_be_made(out, error) from None


@contextmanager
def new_folder(out: Path, besides: Collection[str] = ()) -> Iterator[Path]:
    """An empty folder; it and those made for it are gone again where the work in it fails before anything is written.

    Args:
        out: the folder.
        besides: names of files that may be there already.

    Raises:
        InputError: it can't be made, or holds other files.
    """
    try:
        new = [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
        if any(path.name not in besides for path in out.iterdir()):
            raise InputError(f'--out {out}: the folder holds other files; choose an empty or new one')
    except OSError as error:
        raise _cannot_be_made(out, error) from None
    try:
        yield out
    except BaseException:
        left = list(out.iterdir())
        if not any(path.is_dir() or path.stat().st_size for path in left):
            for path in left:
                path.unlink()
            with suppress(OSError):  # another run may have put its folder there
                for folder in new:
                    folder.rmdir()
        raise


def _cannot_be_made(out: Path, error: OSError) -> InputError:
    return InputError(f'--out {out}: cannot be made ({error.strerror}); choose another folder')
