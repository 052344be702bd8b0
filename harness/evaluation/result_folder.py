"""The folder of a run or study: earlier results in it are kept, and a run that writes nothing leaves nothing behind."""
from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import InputError

#: The file that every run writes.
ROWS = 'predictions.jsonl'


def named_by_time(before: str = '') -> Path:
    """The folder of results when ``--out`` is not given."""
    return Path('results') / f'{before}{datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")}'


def require_folder(out: Path | None) -> None:
    """Refuse an ``--out`` that is a file.

    Raises:
        InputError: it is a file.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f'--out {out}: is a file; choose a folder')


@contextmanager
def result_folder(wanted: Path | None, say: Callable[[str], object]) -> Iterator[Path]:
    """The folder of a run, by default named by the time; an earlier run in it is moved aside.

    However a run ends, if it has not written a row, everything is left as it was: the folder is removed and the earlier
    run moved back.

    Raises:
        InputError: the folder holds other files, or cannot be made.
    """
    out = wanted or named_by_time()
    with moved_aside(out, say), new_folder(out):
        yield out


@contextmanager
def moved_aside(out: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Move an earlier run in ``out`` aside for the work in the context, and back if that leaves no folder.

    Raises:
        InputError: it cannot be moved.
    """
    aside = _renamed(out)
    try:
        yield
    except BaseException:
        if aside is not None and not out.exists():
            aside.rename(out)
            aside = None
        raise
    finally:
        if aside is not None:
            say(f'{out} held an earlier run: it is now {aside}')


def _renamed(out: Path) -> Path | None:
    """Rename a folder that holds a run to the next free name; ``None`` if it holds none.

    Raises:
        InputError: it cannot be renamed.
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
    """An empty folder, removed again with the parents made for it if the work fails before anything is written.

    Args:
        out: the folder.
        besides: the names of files that may be in it.

    Raises:
        InputError: it cannot be made, or holds other files.
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
