"""What the training of a grounder would need: its input is checked, and memory, disk and hours are estimated.

It really trains, for four steps of each stage on a few images in a temporary folder, so that what would fail later
fails now, and times are measured on this machine.
"""
from __future__ import annotations

import pickle
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import islice
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tabulate import tabulate
from torch import Tensor

from harness.commands.grounder_training import GrounderJob, material_of
from harness.detection.pictures import read_recorded
from harness.files.weights import provenance, save_weights
from harness.plugins import Detector
from harness.registry import GROUNDERS
from harness.training.annotated_store import layout_of
from harness.training.estimating import Estimate, QuickestStep, rows_of_data
from harness.training.features import AnnotatedFeatures, check_images
from harness.training.grounder import TrainingStage, build_recipe, train_stage
from harness.training.runner import count_parameters, silence
from harness.training.space import free_space, no_space
from harness.types import Dataset

#: Images, and steps on them.
_MEASURED_ON, _STEPS = 8, 4


@dataclass(frozen=True)
class _Stage:
    """What was measured of a stage: steps altogether, seconds a step, numbers that are trained, and the bytes that its
    training set holds in memory."""

    name: str
    steps: int
    seconds: float
    numbers: int
    held: float


def dry_run(job: GrounderJob, detector: Detector) -> Estimate:
    """The table that ``--dry-run`` prints, one line per quantity, and whether the disk suffices.

    Raises:
        InputError: something is missing or of the wrong shape.
    """
    layouts = {split: layout_of(dataset, split, detector)
               for split, dataset in (('train', job.train), ('val', job.val))}
    images = [info for layout in layouts.values() for info in layout.images]
    check_images(job.train.name, images)
    size = sum(layout.size for layout in layouts.values())
    folder = job.folder('train')
    see, stages = _measured(job, detector)
    hours = {'looking at images': see * len(images), **{f'training, {s.name}': s.steps * s.seconds for s in stages}}
    boxes = sum(len(layout.ann_ids) for layout in layouts.values())
    table = tabulate([
        *rows_of_data(job.train, job.val, len(images)),
        ['detector', f'{job.detector.path.name}, crops of {layouts["train"].widths[0]} channels, features of '
                     f'{layouts["train"].widths[1]} in {layouts["train"].widths[2]} × {layouts["train"].widths[2]} '
                     'cells'],
        ['network', f'{stages[-1].numbers / 1e6:.2f} M numbers are trained'],
        ['memory', f'{_memory(stages):.2f} GiB, and what the system keeps of the stored features'],
        ['disk', f'{size / 1e9:.2f} GB for {boxes:,} annotated boxes and {len(images):,} images in {folder.parent}, '
                 f'{free_space(folder) / 1e9:.0f} GB are free'],
        ['steps', ', '.join(f'{s.name} {s.steps:,}' for s in stages)],
        *([what, f'{seconds / 3600:.2f} h'] for what, seconds in hours.items()),
        ['altogether', f'about {sum(hours.values()) / 3600:.1f} h on one process'],
    ], tablefmt='plain')
    return Estimate(table, no_space(folder, size))


def _memory(stages: Sequence[_Stage]) -> float:
    """GiB: the peak so far, and what a whole training set holds."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** 20 + max(s.held for s in stages) / 2 ** 30


def _measured(job: GrounderJob, detector: Detector) -> tuple[float, list[_Stage]]:
    """Seconds to look at an image, and each stage of the recipe, trained for a few steps on a few images."""
    small = replace(job, train=_few(job.train, 'train'), val=_few(job.val, 'val'))
    start = time.perf_counter()
    features = {'train': _seen(small.train, 'train', detector), 'val': _seen(small.val, 'val', detector)}
    images = sum(len(own['image_ids']) for own in features.values())
    see = (time.perf_counter() - start) / images
    with TemporaryDirectory() as folder:
        trained = {name: path if path.is_file() else _untrained(small, name, features, Path(folder))
                   for name, path in job.trained.items()}
        material = material_of(replace(small, trained=trained), features)
        recipe = build_recipe(job.request.part, material, job.request.seed, job.options)
    of_all = len(list(job.train.by_image(job.train.split('train'))))
    stages = []
    for stage in recipe.stages:
        items = len(stage.train_set)  # type: ignore[arg-type]
        most = min(stage.batch_size, items)
        timed, short = QuickestStep(), replace(stage, batch_size=most, epochs=_STEPS, steps=None,
                                         param_scheduler=[])  # the rates do not matter here
        with TemporaryDirectory() as folder, silence():
            train_stage(job.request.part, short, Path(folder), seed=job.request.seed, hooks=[timed],
                        precision=job.request.precision)
        larger = of_all / len(features['train']['image_ids'])
        stages.append(_Stage(stage.name, _steps(stage, items * larger), timed.step * stage.batch_size / most,
                             count_parameters(stage.model), larger * _held(stage.train_set, features['train'])))
    return see, stages


class _WithoutFeatures(pickle.Pickler):
    """Leaves out the features, which are on disk in a training."""

    def __init__(self, file: Any, features: dict[str, Any]) -> None:
        super().__init__(file)
        self._features = {value.data_ptr() for value in features.values() if isinstance(value, Tensor)}

    def persistent_id(self, obj: Any) -> str | None:
        return 'a feature' if isinstance(obj, Tensor) and obj.data_ptr() in self._features else None


def _held(train_set: Any, features: dict[str, Any]) -> int:
    """Bytes that a training set holds beside the features."""
    file = BytesIO()
    _WithoutFeatures(file, features).dump(train_set)
    return file.tell()


def _untrained(job: GrounderJob, name: str, features: dict[str, Any], folder: Path) -> Path:
    """Weights of another grounder of the same recipe as they are before training, which take as long to look through.
    """
    options = GROUNDERS.get(name).recipes.get(job.request.recipe)
    recipe = build_recipe(name, material_of(job, features), job.request.seed, options)
    path = folder / f'{name}.safetensors'
    save_weights(path, recipe.tensors(), {**recipe.meta, **provenance('', job.request.seed, job.train.data_hash)})
    return path


def _steps(stage: TrainingStage, items: float) -> int:
    return stage.steps or stage.epochs * ceil(items) // stage.batch_size


def _few(dataset: Dataset, split: str) -> Dataset:
    """The first images of a split."""
    members = [e for _, group in islice(dataset.by_image(dataset.split(split)), _MEASURED_ON) for e in group]
    return replace(dataset, expressions=members)


def _seen(dataset: Dataset, split: str, detector: Detector) -> dict[str, Any]:
    found = AnnotatedFeatures()
    for info, _ in dataset.by_image(dataset.split(split)):
        image = detector.maps_of(read_recorded(info).pixels, info)
        image.annotations = (dataset.annotations or {}).get(info.image_id, [])
        found.add(image)
    return found.collected()
