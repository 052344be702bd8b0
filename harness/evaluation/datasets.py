"""The datasets that a request means, the weights that they take, and notes on them."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.data.counts import SPLIT_BY
from harness.data.embedded_names import EMBEDDED
from harness.data.known import datasets_in, load_known, split_makers
from harness.data.rehearsal_mark import rehearsed
from harness.errors import InputError
from harness.names import pick
from harness.registry import DATASETS, names
from harness.types import Dataset

#: The embedded dataset whose shipped weights a real dataset takes when none are given for it.
STAND_IN = {'refcoco': 'mini-refcoco', 'refcoco+': 'mini-refcoco+', 'refcocog': 'mini-refcocog'}


def home(name: str) -> str:
    """The embedded dataset whose shipped weights a dataset takes; a user's own dataset takes those for RefCOCO, a
    rehearsal those for what it rehearses."""
    return name if name in EMBEDDED else STAND_IN.get(rehearsed(name), STAND_IN['refcoco'])


def find_datasets(asked: Sequence[str] | None, root: Path | None, split_by: str | None, images: Path | None) -> tuple[
        dict[str, Dataset], list[str]]:
    """The datasets asked for, by the names that they have for themselves, and notes on those that are left out.

    Without ``--data-root`` the default is the embedded datasets, with it every dataset in REFER's layout there.

    Raises:
        InputError: a name is unknown, the folder holds no dataset, or a file is wrong.
    """
    wanted, notes = dataset_names(asked, root, split_by)
    loaded = [load_dataset(name, root, split_by, images) for name in wanted]
    return {dataset.name: dataset for dataset in loaded}, notes


def dataset_names(asked: Sequence[str] | None, root: Path | None, split_by: str | None) -> tuple[list[str], list[str]]:
    """What :func:`find_datasets` gives, with names in place of loaded datasets.

    Raises:
        InputError: a name is unknown, or the folder holds no dataset.
    """
    notes: list[str] = []
    if root is None:
        if split_by is not None:
            raise InputError('--split-by: chooses among the refs files of --data-root; add --data-root DIR, or leave '
                             '--split-by out')
        there: list[str] = []
        default: Sequence[str] = EMBEDDED
    else:
        there = list(datasets_in(_folder(root)))
        default = there
        if asked is None:
            default, notes = _complete(root, split_by)
    known = dict.fromkeys([*names(DATASETS), *there])
    if 'all' in ','.join(asked or ()).split(','):
        known = dict.fromkeys(name for name in known if name in there or name not in SPLIT_BY)
    return pick('--dataset', asked, known, default), notes


def load_dataset(name: str, root: Path | None, split_by: str | None = None, images: Path | None = None) -> Dataset:
    """A dataset of the data root, or a registered one; one of a rehearsal by the name of its folder or by its own.

    Raises:
        InputError: the same as from :func:`harness.data.known.load_known`.
    """
    if root is not None and not split_makers(root / name):
        name = rehearsed(name)
    if root is not None and (name in SPLIT_BY or name not in names(DATASETS) or split_makers(root / name)):
        return load_known(name, root, split_by, images)
    return DATASETS.get(name)(root)


def _folder(root: Path) -> Path:
    if not root.is_dir():
        raise InputError(f'--data-root {root}: there is no such folder; check the path')
    return root


def _complete(root: Path, split_by: str | None) -> tuple[list[str], list[str]]:
    """The datasets of a data root that can be read, and a note on the others."""
    there = datasets_in(root)
    if not there:
        what = 'is itself a dataset\'s folder; give the one that holds it' if split_makers(root) else (
            'holds no dataset, which is a folder with refs(<split maker>).p and instances.json, such as refcoco/; '
            'check-data says what there is')
        raise InputError(f'--data-root {root}: {what}')
    found = [name for name, makers in there.items() if split_by is None or split_by in makers]
    complete = [name for name in found if (root / name / 'instances.json').exists()]
    if complete and len(complete) < len(there):
        left_out = ', '.join(name for name in there if name not in complete)
        return complete, [f'--data-root {root}: left out {left_out}, for want of instances.json'
                          + (f' or refs({split_by})' if split_by else '')]
    return complete or found or list(there), []


def image_folders(datasets: Mapping[str, Dataset]) -> dict[str, str]:
    """The image folder of each dataset, for reports to show."""
    return {name: str(info.path.parent) for name, dataset in datasets.items()
            for info in list(dataset.images.values())[:1] if info.path is not None}


def notes_on(datasets: Iterable[Dataset], shipped_weights: bool) -> list[str]:
    """Notes on the datasets of a run; one that applies to several is one line.

    Args:
        datasets: the datasets of the run.
        shipped_weights: whether the run uses weights that the project ships.
    """
    notes: list[str] = []
    for dataset in datasets:
        notes += dataset.notes
        if shipped_weights and dataset.name not in EMBEDDED:
            whose = '' if rehearsed(dataset.name) in STAND_IN else f', those of {home(dataset.name)},'
            notes.append(f'{dataset.name}: the embedded benchmark\'s weights{whose} on other images: meaningless as '
                         'accuracy')
        if dataset.annotations is None and dataset.referents is None:
            notes.append(f'{dataset.name}: the file has no masks, categories or other objects: context recall and RES '
                         'are not available')
        elif dataset.annotations is None:
            notes.append(f'{dataset.name}: the file has no other objects than the referents: context recall is not '
                         'available')
    return joined(notes)


def joined(notes: Iterable[str]) -> list[str]:
    """Notes of the form ``dataset: what: details``, joined into one where ``what`` is the same."""
    together: dict[str, dict[str, None]] = {}
    said: dict[str, dict[str, None]] = {}
    for note in notes:
        name, _, rest = note.partition(': ')
        what, _, details = rest.partition(': ')
        together.setdefault(what, {})[name] = None
        said.setdefault(what, {})[details] = None
    return [f'{", ".join(names)}: {what}' + (f': {"; ".join(said[what])}' if any(said[what]) else '')
            for what, names in together.items()]
