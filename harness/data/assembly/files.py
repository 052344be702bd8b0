"""Which files are meant by ``--data``, and which form each has."""
from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from harness.data.assembly.beside import instances_beside, is_instances
from harness.data.assembly.refs_beside import refs_beside
from harness.data.assembly.samples import samples
from harness.data.counts import SPLIT_BY
from harness.data.known import datasets_in, split_makers
from harness.errors import InputError, shown
from harness.plugins import DataForm
from harness.registry import DATA_FORMS, names
from harness.types import FormRow, Sample

#: The forms that are refs themselves.
REFS = ('refer', 'grefcoco')
#: Endings of what may lie in a folder of data and holds none.
_NO_DATA = ('.jpg', '.jpeg', '.png', '.md', '.txt', '.py', '.lock', '.gitattributes')
#: No folder of one dataset has more files, and no file more sentences: all published ones together have a fifth of it.
_MOST, _MOST_ROWS = 2000, 2_000_000
#: So many names are told where a form is not known.
_TOLD = 12


@dataclass(frozen=True, eq=False)
class DataFile:
    """A file of a form that is known."""

    path: Path
    form: DataForm
    sample: Sample

    def rows(self) -> list[FormRow]:
        """All rows.

        Raises:
            InputError: they are not as the form wants them, or more than any data have.
        """
        rows = list(islice(self.form.rows(self.path, self.sample), _MOST_ROWS + 1))
        if len(rows) > _MOST_ROWS:
            raise InputError(f'--data {self.path}: has more than {_MOST_ROWS:,} sentences, no data have; give the rows '
                             'that are meant')
        return rows


@dataclass(frozen=True)
class DataFiles:
    """The files with sentences, and if there are any the one with annotations, and REFER's refs beside files of another
    form."""

    files: tuple[DataFile, ...]
    instances: Path | None
    refs: DataFile | None = None


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
                raise InputError(f'{option} {path}: is of no form that is known here{_instead(found)}; docs/forms.md '
                                 'describes the forms')
        if path.is_dir():
            _one_form([file for file in files if file.path.is_relative_to(path)], path)
    if not files:
        raise InputError(f'{option} {" ".join(map(str, given))}: holds no sentences; docs/forms.md describes the forms '
                         'that are read')
    beside = list(dict.fromkeys(annotated or filter(None, (instances_beside(file.path) for file in files))))
    if len(beside) > 1:
        raise InputError(f'--data: there are annotations in {" and in ".join(map(str, beside[:3]))}; give the files of '
                         'one dataset')
    files, refs = _without_refs(files)
    return DataFiles(tuple(files), beside[0] if beside else None, refs)


def _without_refs(files: Sequence[DataFile]) -> tuple[list[DataFile], DataFile | None]:
    """The files, and REFER's refs that say the ids of those of another form: given as well, or beside one of them."""
    others = [file for file in files if file.form.name not in REFS]
    given = [file for file in files if file.form.name == REFS[0]]
    if not others or len(given) > 1:
        return list(files), None
    if given:
        return others, given[0]
    path = refs_beside(others[0].path)
    return list(files), None if path is None else _of_a_form(path, samples(path))


def _listed(path: Path) -> list[Path]:
    """A file, or those in a folder. A link to a file is that file, wherever it leads: the cache of Hugging Face is made
    of such links. A link to a folder is not followed."""
    if not path.is_dir():
        return [path]
    if several := list(datasets_in(path)):
        raise InputError(f'--data {path}: holds the datasets {", ".join(several)} in REFER\'s layout; say --data-root '
                         f'{path}, or give the folder of one')
    found = sorted(Path(folder) / name for folder, _, names_ in os.walk(path) for name in names_
                   if not name.startswith('.') and not name.lower().endswith(_NO_DATA))
    if len(found) > _MOST:
        raise InputError(f'--data {path}: holds {len(found):,} files; give the files that are meant')
    return _of_one_maker(found, path)


def _of_one_maker(found: list[Path], folder: Path) -> list[Path]:
    """Of REFER's refs in a folder those of who made the published splits: other makers divide the same sentences."""
    makers = split_makers(folder)
    if len(makers) < 2:
        return found
    usual = SPLIT_BY.get(folder.name)
    if usual not in makers:
        raise InputError(f'--data {folder}: has the refs of {", ".join(makers)}; give the file that is meant')
    others = {f'refs({maker}).{ending}' for maker in makers if maker != usual for ending in ('p', 'json')}
    return [path for path in found if path.parent != folder or path.name not in others]


def _of_a_form(path: Path, found: Sequence[Sample]) -> DataFile | None:
    for name in names(DATA_FORMS):
        form = DATA_FORMS.get(name)()
        for sample in found:
            if form.fits(sample):
                return DataFile(path, form, sample)
    return None


def _instead(found: Sequence[Sample]) -> str:
    """What a file has that is of no form."""
    for sample in found:
        if sample.layout == 'parquet':
            return f'; it has the columns {_told(sample.first[""])}{_nearest(sample)}'
        for key, record in sample.first.items():
            if isinstance(record, Mapping):
                return f'; its first record{f" of {shown(key)!r}" if key else ""} has {_told(record)}'
    return f' ({", ".join(names(DATA_FORMS))})'


def _told(keys: Iterable[object]) -> str:
    told = [shown(str(key)) for key in keys]
    more = f' and {len(told) - _TOLD} more' if len(told) > _TOLD else ''
    return f'{", ".join(told[:_TOLD]) or "none"}{more}'


def _nearest(sample: Sample) -> str:
    """The form of which a parquet file has the largest part of the columns, and what it lacks of it."""
    wanted = {name: form.columns for name in names(DATA_FORMS) if (form := DATA_FORMS.get(name)).columns}
    shares = {name: sum(map(sample.has, columns)) / len(columns) for name, columns in wanted.items()}
    nearest = max(shares, key=lambda name: shares[name])
    if not shares[nearest]:
        return f', none of those of {", ".join(wanted)}'
    return f', and lacks {_told(c for c in wanted[nearest] if not sample.has(c))} of the form {nearest}'


def _one_form(files: Sequence[DataFile], folder: Path) -> None:
    forms = {file.form.name: file.path.name for file in files}
    if len(forms) > 1:
        told = ' and '.join(f'{name} ({form})' for form, name in list(forms.items())[:3])
        raise InputError(f'--data {folder}: holds files of several forms, {told}; give the files that are meant')
