"""The benchmark from Python, for notebooks and scripts: load a dataset, run, read what a run has written.

What is refused raises :class:`~harness.errors.InputError` with the one line that the command line prints; it names the
command line's options.
"""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.assembly.datasets import load_data as assembled
from harness.data.results import read_results_file
from harness.errors import InputError
from harness.evaluation.datasets import find_datasets
from harness.evaluation.request import Request
from harness.evaluation.result_folder import ROWS
from harness.files.reading import parse_json, read_bytes
from harness.options import within
from harness.progress import track
from harness.types import Dataset

if TYPE_CHECKING:
    import pandas as pd

#: One name, several, or ``None`` for the command line's default.
Names = str | Sequence[str] | None


@dataclass(frozen=True)
class Results:
    """What a run has measured.

    Attributes:
        folder: where its files are; ``python -m reports`` reads them.
        records: as :func:`read_results` returns them.
        notes: what has to be known to read the figures.
    """

    folder: Path
    records: pd.DataFrame
    notes: tuple[str, ...] = ()

    def predictions(self) -> pd.DataFrame:
        """The rows of the run, as :func:`read_predictions` returns them."""
        return read_predictions(self.folder)


def load_dataset(name: str, root: str | Path | None = None) -> Dataset:
    """A dataset with its images, expressions and annotations.

    Args:
        name: an embedded dataset (it is drawn if it is not there yet), or one of ``root``.
        root: a folder of datasets in REFER's layout, as ``--data-root`` takes it.

    Raises:
        InputError: there is no such dataset, or one of its files is broken.
    """
    datasets, _ = find_datasets([name], _path(root), None, None)
    if name not in datasets:
        raise InputError(f'--dataset {name}: give the name of one dataset')
    return datasets[name]


def load_data(*files: str | Path, images: str | Path | None = None, boxes: str | None = None) -> dict[str, Dataset]:
    """The datasets in files of any form, by name, as ``--data`` reads them.

    Args:
        files: files, and folders of one dataset.
        images: the folder of their images.
        boxes: ``'xywh'`` or ``'xyxy'``, where neither the form nor all boxes together say it.

    Raises:
        InputError: a file is of no known form, or not as its form wants it.
    """
    return assembled([Path(file) for file in files], _path(images), boxes)


def run(*, grounder: Names = None, dataset: Names = None, split: Names = None, limit: int | None = None,
        out: str | Path | None = None, proposals: Names = None, task: Names = None, root: str | Path | None = None,
        data: str | Path | Sequence[str | Path] = (), images: str | Path | None = None,
        weights: Mapping[str, str | Path] | None = None, settings: Mapping[str, Mapping[str, Any]] | None = None,
        device: str | None = None, seed: int = 0, workers: int | None = 1, fresh: bool = False) -> Results:
    """Run the benchmark, write its files, and return what was measured; without arguments as the command line runs.

    Args:
        grounder, dataset, split, proposals, task: names as the command line takes them; ``grounder='none'`` measures
            recall alone.
        limit: only the first so many expressions of each split.
        out: the folder of the run; by default ``results/<time>``. The same run in it goes on where it was cut off.
        root: a folder of datasets in REFER's layout.
        data: files of any form in its place.
        images: the folder of their images.
        weights: files of weights by name, for instance ``{'cmae': 'cmae.safetensors'}``.
        settings: options by rule or grounder, for instance ``{'ref-nms-b': {'threshold': 0.2}}``.
        device: ``'cpu'`` or ``'cuda'``; by default a GPU where there is one.
        seed: of everything random.
        workers: processes that share the images; ``None``: one per processor. They are forked, which notebooks with
            threads of their own may not bear.
        fresh: an earlier run in the folder is moved aside.

    Raises:
        InputError: something of this cannot be met; nothing has been written then.
    """
    from mmengine.runner import set_random_seed

    from harness.evaluation.measure import Execution, measure
    from harness.evaluation.results import write_results

    start = time.perf_counter()
    request = Request(
        grounders=_names(grounder), datasets=_names(dataset), splits=_names(split), tasks=_names(task),
        rules=_names(proposals), limit=limit, device=device, seed=seed, data_root=_path(root), images=_path(images),
        data=(Path(data),) if isinstance(data, str | Path) else tuple(map(Path, data)),
        weights={name: Path(file) for name, file in (weights or {}).items()},
        settings={name: dict(options) for name, options in (settings or {}).items()})
    within('--seed', seed, 0, 2 ** 32 - 1)
    set_random_seed(seed)
    said: list[str] = []
    options = _options(request)
    command = f'harness.run({_written(options)})'
    measured = measure(request, Execution(_path(out), workers, fresh=fresh), lambda images: track(images, 'images'),
                       {'command': command, 'options': options}, say=said.append)
    record = measured.record(command, options, seed, time.perf_counter() - start)
    write_results(measured.out, measured.outcome, record)
    told = [line for line in said if not line.endswith('…')]
    return Results(measured.out, read_results(measured.out), (*record['notes'], *told))


def read_results(folder: str | Path) -> pd.DataFrame:
    """The figures of a run: a row per dataset, split, metric, grounder and proposal rule, with ``value`` and ``n``, the
    number of expressions. Shares are in percent.

    Raises:
        InputError: the folder holds no ``results.json`` of a run.
    """
    import pandas as pd

    return pd.DataFrame(read_results_file(Path(folder)).records)


def read_predictions(folder: str | Path) -> pd.DataFrame:
    """The answers of a run: a row per expression, proposal rule and grounder, with the columns of
    ``predictions.jsonl``; boxes are lists ``[x, y, width, height]`` in pixels.

    Raises:
        InputError: the folder holds no ``predictions.jsonl``, or a line of it is broken.
    """
    import pandas as pd

    file = Path(folder) / ROWS
    lines = read_bytes(_there(file)).splitlines()
    return pd.DataFrame([parse_json(line, f'{file}: line {number}') for number, line in enumerate(lines, 1)])


def _there(file: Path) -> Path:
    if not file.is_file():
        raise InputError(f'{file}: there is no such file; give the folder of a run')
    return file


def _names(names: Names) -> list[str] | None:
    return None if names is None else [names] if isinstance(names, str) else list(names)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _options(request: Request) -> dict[str, Any]:
    """The options of a request that are not the default ones, under the names and in the form of the command line."""
    options = {'grounder': request.grounders, 'dataset': request.datasets, 'split': request.splits,
               'task': request.tasks, 'proposals': request.rules, 'limit': request.limit, 'device': request.device,
               'data_root': request.data_root and str(request.data_root), 'data': list(map(str, request.data)),
               'images': request.images and str(request.images),
               'weights': [f'{name}={file}' for name, file in request.weights.items()],
               'settings': [f'{name}.{option}={value}' for name, options in request.settings.items()
                            for option, value in options.items()]}
    return {name: value for name, value in options.items() if value}


def _written(options: Mapping[str, Any]) -> str:
    return ', '.join(f'{name}={value!r}' for name, value in options.items())
