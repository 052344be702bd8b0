"""Everything that determines the rows of a run, as one flat record: runs whose records differ are different runs."""
from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.evaluation.plan import Plan
from harness.evaluation.request import Request
from harness.files.fingerprint import OURS, code_of_the_project, flat, sha256_of
from harness.registry import METRICS

#: Distributions that every run needs.
PACKAGES = ('torch', 'onedl-mmcv', 'onedl-mmengine', 'onedl-mmdetection', 'spacy', 'pycocotools', 'numpy',
            'opencv-python-headless')
#: The part of the record about the times of change: they must not differ when a run is continued, but do on another
#: machine.
CHANGED = 'times of the images'


def versions(plan: Plan | None = None) -> dict[str, str]:
    """The versions of Python, of :data:`PACKAGES`, and of those that the plan's rules and grounders name."""
    named = [] if plan is None else [name for plugin in plan.all_plugins for name in plugin.packages]
    return {'python': platform.python_version(), **{name: version(name) for name in dict.fromkeys([*PACKAGES, *named])}}


def plan_record(request: Request, plan: Plan, weights: Mapping[str, Mapping[str, Any]], device: str) -> dict[str, Any]:
    """The record of a run: data, images, weights, options, rules, grounders, versions and the code.

    Annotations and weights enter it by their content, images and stored features by name, size and (:data:`CHANGED`)
    time of last change.

    Args:
        request: what was asked for.
        plan: the plan made from it.
        weights: the provenance of each weight file by name, with ``sha256``.
        device: the device of the networks.
    """
    pictures = [info.path for dataset in plan.datasets.values() for info in dataset.images.values()
                if info.path is not None]
    features = sorted(request.features.iterdir()) if request.features is not None and request.features.is_dir() else []
    return flat({
        'data': {name: dataset.data_hash for name, dataset in plan.datasets.items()},
        'splits': {f'{dataset} {split}': len(mine) for (dataset, split), mine in plan.expressions.items()},
        'boxes': request.boxes, 'limit': request.limit, 'seed': request.seed, 'device': device.partition(':')[0],
        'precision': request.precision, 'detector': request.detector, 'max pixels': request.max_pixels,
        'tasks': list(plan.tasks),
        'rules': {dataset: list(rules) for dataset, rules in plan.chosen_by().items()},
        'grounders': plan.chosen_by(),
        'set': {name: dict(options) for name, options in request.settings.items()},
        'weights': {name: used['sha256'] for name, used in weights.items()},
        'files': {option: _content(path) for option, path in (
            ('expressions', request.expressions), ('candidates', request.candidates), ('masks', request.masks),
            ('detections', request.detections), ('features', request.features), ('vectors', request.vectors))
            if path is not None},
        'images': _stated(pictures, lambda state: state.st_size),
        CHANGED: _stated([*pictures, *features], lambda state: state.st_mtime_ns),
        'metrics': list(METRICS.module_dict),
        'your code': {path.name: sha256_of(path) for path in _user_files(plan)},
        'versions': versions(plan),
        'code of the project': code_of_the_project(),
    })


def _content(path: Path) -> str:
    if path.is_dir():
        return _stated(sorted(path.iterdir()), lambda state: state.st_size)
    return sha256_of(path) if path.is_file() else 'not there'


def _stated(paths: Iterable[Path], of: Callable[[os.stat_result], int]) -> str:
    """A hash of names and of a fact about each file; reading every image would take too long."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(f'{path.name} {of(path.stat())}\n'.encode())
        except OSError:
            digest.update(f'{path.name} is not there\n'.encode())
    return digest.hexdigest()


def _user_files(plan: Plan) -> Iterator[Path]:
    """The files of rules, grounders, detectors and metrics that are not the project's."""
    classes = [*(type(plugin) for plugin in [*plan.all_plugins, plan.detector]), *METRICS.module_dict.values()]
    files = {getattr(sys.modules.get(cls.__module__), '__file__', None) for cls in classes
             if cls.__module__.split('.')[0] not in OURS}
    yield from sorted(Path(file) for file in files if file is not None and Path(file).is_file())
