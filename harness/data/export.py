"""Writing datasets in a form that is a plain file: all files whole, or none."""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from harness.data.form_files import Splits
from harness.errors import InputError
from harness.files.writing import ANOTHER_OUT, replacing
from harness.plugins import FormWriter
from harness.types import Dataset, Expression

#: What a dataset may have beyond sentences, boxes, images and splits; :attr:`FormWriter.holds` names of these.
PARTS = ('sent_ids', 'ref_ids', 'annotation ids', 'categories', 'masks', 'other objects', 'truths of scenes')


def export(datasets: Mapping[str, Dataset], chosen: Mapping[str, Splits], writer: FormWriter, out: Path) -> list[Path]:
    """Write what is chosen of datasets.

    Args:
        datasets: by name.
        chosen: the expressions of each, by split.
        writer: of the form.
        out: a folder, or the file itself where there is only one.

    Returns:
        The files, in order.

    Raises:
        InputError: a file is there already or cannot be written, ``out`` is one file of several, or a dataset lacks
            what the form needs. Then nothing is written.
    """
    contents = [file for name, splits in chosen.items() for file in writer.files(datasets[name], splits)]
    paths = _paths([name for name, _ in contents], out)
    for path in paths:
        if os.path.lexists(path):
            raise InputError(f'--out {path}: is there already; move it away, or choose another --out')
    with ExitStack() as stack:
        for path, (_, content) in zip(paths, contents, strict=True):
            stack.enter_context(_folder(path.parent))
            beside = stack.enter_context(replacing(path, ANOTHER_OUT, f'--out {path}'))
            with beside.open('wb') as file:
                file.writelines(content)
    return paths


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """A folder that is there, made if need be, and gone again where the block fails."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'--out {folder}: cannot be made ({error.strerror}); {ANOTHER_OUT}') from None
    try:
        yield
    except BaseException:
        for one in missing:
            with suppress(OSError):
                one.rmdir()
        raise


def _paths(names: Sequence[str], out: Path) -> list[Path]:
    if not out.suffix or out.is_dir():
        return [out / name for name in names]
    if len(names) > 1:
        raise InputError(f'--out {out}: is one file, and there are {len(names)} to write; name a folder, or choose one '
                         '--dataset and --split')
    return [out]


def lost(dataset: Dataset, expressions: Sequence[Expression], writer: FormWriter) -> str | None:
    """A note on what of a dataset the form has no place for; ``None`` where it holds everything."""
    has = _parts(dataset, expressions)
    lacking = [part for part in PARTS if part in has and part not in writer.holds]
    if not lacking:
        return None
    last = f'{", ".join(lacking[:-1])} and {lacking[-1]}' if len(lacking) > 1 else lacking[0]
    return f'{dataset.name}: {writer.name} has no place for {last}'


def _parts(dataset: Dataset, expressions: Sequence[Expression]) -> set[str]:
    there = {
        'sent_ids': bool(expressions), 'ref_ids': any(e.ref_id is not None for e in expressions),
        'annotation ids': any(e.ann_id is not None for e in expressions),
        'categories': any(e.category is not None for e in expressions),
        'masks': any(a.segmentation is not None for own in dataset.with_masks().values() for a in own),
        'other objects': dataset.annotations is not None,
        'truths of scenes': any(e.truth for e in expressions)}
    return {part for part, is_there in there.items() if is_there}
