"""Which files are meant by ``--data``, and which form each has."""
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.assembly.beside import instances_beside, is_instances
from harness.data.assembly.samples import samples
from harness.data.known import datasets_in
from harness.errors import InputError
from harness.plugins import DataForm
from harness.registry import DATA_FORMS, names
from harness.types import FormRow, Sample

#: Endings of what may lie in a folder of data and holds none.
_NO_DATA = ('.jpg', '.jpeg', '.png', '.md', '.txt', '.py', '.lock', '.gitattributes')
#: No folder of one dataset has more files.
_MOST = 2000


@dataclass(frozen=True, eq=False)
class DataFile:
    """A file of a form that is known."""

    path: Path
    form: DataForm
    sample: Sample

    def rows(self) -> list[FormRow]:
        """All rows."""
        return list(self.form.rows(self.path, self.sample))


@dataclass(frozen=True)
class DataFiles:
    """The files with sentences, and the one with annotations, if there is any."""

    files: tuple[DataFile, ...]
    instances: Path | None


def data_files(given: Sequence[Path], option: str = '--data') -> DataFiles:
    """The files that are meant.

    Args:
        given: files, and folders of one dataset.
        option: by which they were given, for messages.

    Raises:
        InputError: a file is of no form that is known, none has sentences, a folder holds several forms, or there are
            several files of annotations.
    """
    files: list[DataFile] = []
    annotated: list[Path] = []
    for path in given:
        for mine in _listed(path):
            found = samples(mine)
            if (file := _of_a_form(mine, found)) is not None:
                files.append(file)
            elif any(map(is_instances, found)):
                annotated.append(mine)
            elif not path.is_dir():
                raise InputError(f'{option} {path}: is of no form that is known here ({", ".join(names(DATA_FORMS))}); '
                                 'docs/forms.md describes them')
        if path.is_dir():
            _one_form([file for file in files if file.path.is_relative_to(path)], path)
    if not files:
        raise InputError(f'{option} {" ".join(map(str, given))}: holds no sentences; docs/forms.md describes the forms '
                         'that are read')
    beside = list(dict.fromkeys(annotated or filter(None, (instances_beside(file.path) for file in files))))
    if len(beside) > 1:
        raise InputError(f'--data: there are annotations in {" and in ".join(map(str, beside[:3]))}; give the files of '
                         'one dataset')
    return DataFiles(tuple(files), beside[0] if beside else None)


def _listed(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if several := list(datasets_in(path)):
        raise InputError(f'--data {path}: holds the datasets {", ".join(several)} in REFER\'s layout; say --data-root '
                         f'{path}, or give the folder of one')
    found = sorted(Path(folder) / name for folder, _, names_ in os.walk(path) for name in names_
                   if not name.startswith('.') and not name.lower().endswith(_NO_DATA))
    if len(found) > _MOST:
        raise InputError(f'--data {path}: holds {len(found):,} files; give the files that are meant')
    return found


def _of_a_form(path: Path, found: Sequence[Sample]) -> DataFile | None:
    for name in names(DATA_FORMS):
        form = DATA_FORMS.get(name)()
        for sample in found:
            if form.fits(sample):
                return DataFile(path, form, sample)
    return None


def _one_form(files: Sequence[DataFile], folder: Path) -> None:
    forms = {file.form.name: file.path.name for file in files}
    if len(forms) > 1:
        told = ' and '.join(f'{name} ({form})' for form, name in list(forms.items())[:3])
        raise InputError(f'--data {folder}: holds files of several forms, {told}; give the files that are meant')
