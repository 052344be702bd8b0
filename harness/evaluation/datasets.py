"""Which datasets a request means, whose weights they take, and what is to be known of them."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.data.counts import SPLIT_BY
from harness.data.embedded_names import EMBEDDED
from harness.data.known import datasets_in, load_known, split_makers
from harness.errors import InputError
from harness.names import pick
from harness.registry import DATASETS, names
from harness.types import Dataset

#: Whose shipped weights stand in where a real dataset's own are not given.
STAND_IN = {'refcoco': 'mini-refcoco', 'refcoco+': 'mini-refcoco+', 'refcocog': 'mini-refcocog'}


def home(name: str) -> str:
    """The embedded dataset whose shipped weights a dataset takes; one of the user's own takes RefCOCO's stand-in."""
    return name if name in EMBEDDED else STAND_IN.get(name, STAND_IN['refcoco'])


def find_datasets(asked: Sequence[str] | None, root: Path | None, split_by: str | None, images: Path | None) -> tuple[
        dict[str, Dataset], list[str]]:
    """Datasets by name: the embedded ones, or those in REFER's layout that ``--data-root`` holds, by default all of
    these; and notes on those that are left out.

    Raises:
        InputError: a name is unknown, the folder holds none, or whatever is wrong with their files.
    """
    wanted, notes = dataset_names(asked, root, split_by)
    return {name: load_dataset(name, root, split_by, images) for name in wanted}, notes


def dataset_names(asked: Sequence[str] | None, root: Path | None, split_by: str | None) -> tuple[list[str], list[str]]:
    """The names of these datasets, none of them loaded, and the notes.

    Raises:
        InputError: a name is unknown, or the folder holds none.
    """
    notes: list[str] = []
    if root is None:
        if split_by is not None:
            raise InputError('--split-by: says which refs of --data-root are meant; add --data-root DIR')
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
    """A dataset of the data root, or else a registered one.

    Raises:
        InputError: as :func:`harness.data.known.load_known`.
    """
    if root is not None and (name in SPLIT_BY or name not in names(DATASETS) or split_makers(root / name)):
        return load_known(name, root, split_by, images)
    return DATASETS.get(name)(root)


def _folder(root: Path) -> Path:
    if not root.is_dir():
        raise InputError(f'--data-root {root}: there is no such folder')
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
    """Where each dataset's images are, for reports to show."""
    return {name: str(info.path.parent) for name, dataset in datasets.items()
            for info in list(dataset.images.values())[:1] if info.path is not None}


def notes_on(datasets: Iterable[Dataset], shipped_weights: bool) -> list[str]:
    """What is to be known of the datasets of a run, what goes for several in one line.

    Args:
        datasets: that are run on.
        shipped_weights: whether weights take part that the project ships.
    """
    notes: list[str] = []
    for dataset in datasets:
        notes += dataset.notes
        if shipped_weights and dataset.name not in EMBEDDED:
            whose = '' if dataset.name in STAND_IN else f', those of {home(dataset.name)},'
            notes.append(f'{dataset.name}: the embedded benchmark\'s weights{whose} on other images: meaningless as '
                         'accuracy')
        if dataset.annotations is None:
            notes.append(f'{dataset.name}: the file has neither masks nor categories nor other objects: context recall '
                         'and RES are not available')
    return joined(notes)


def joined(notes: Iterable[str]) -> list[str]:
    """Notes of the form ``dataset: what: details``, those of the same ``what`` as one."""
    together: dict[str, dict[str, None]] = {}
    said: dict[str, dict[str, None]] = {}
    for note in notes:
        name, _, rest = note.partition(': ')
        what, _, details = rest.partition(': ')
        together.setdefault(what, {})[name] = None
        said.setdefault(what, {})[details] = None
    return [f'{", ".join(names)}: {what}' + (f': {"; ".join(said[what])}' if any(said[what]) else '')
            for what, names in together.items()]
