"""Where a run writes: nothing that was there is lost, and a run of which nothing comes leaves nothing."""
from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import InputError

#: What a run writes row by row.
ROWS = ('predictions.jsonl', 'proposals.jsonl')


@contextmanager
def result_folder(wanted: Path | None, say: Callable[[str], object]) -> Iterator[Path]:
    """A run's folder, by default named by the time; an earlier run in it is moved aside.

    A run that ends without a single row, whatever ends it, leaves all as it was: the folder is gone, the earlier run
    back in its place.

    Raises:
        InputError: the folder holds other files, or can't be made.
    """
    out = wanted or Path('results') / datetime.datetime.now().strftime('%Y-%m-%d-%H%M%S')
    aside = None
    try:
        new = [folder for folder in (out, *out.parents) if not folder.exists()]
        if out.is_dir() and any(out.iterdir()):
            if not (out / ROWS[0]).exists():
                raise InputError(f'--out {out}: the folder holds other files; choose an empty or new one')
            aside = next(p for i in range(1, 10**6) if not (p := out.with_name(f'{out.name}.{i}')).exists())
            out.rename(aside)
            new = [out]
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'--out {out}: cannot be made ({error.strerror}); choose another folder') from None
    try:
        yield out
    except BaseException:
        rows = [out / name for name in ROWS if (out / name).exists()]
        if not any(path.stat().st_size for path in rows):
            for path in rows:
                path.unlink()
            for folder in new:
                folder.rmdir()
            if aside is not None:
                aside.rename(out)
                aside = None
        raise
    finally:
        if aside is not None:
            say(f'{out} held an earlier run: it is now {aside}')
