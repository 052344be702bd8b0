"""Train any grounder on annotated boxes: the plug-in says what and how, this file runs its stages.

A grounder that can be trained has a class method ``recipe(material, seed, options) -> Recipe``, and ``recipes``, named
sets of its options, each a frozen dataclass; one without ``recipes`` has ``recipe(material, seed)``
(:class:`harness.plugins.Grounder`).
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.runner import set_random_seed
from torch import Tensor, nn
from torch.utils.data import Dataset as TorchDataset

from harness.errors import InputError
from harness.files.fingerprint import Record
from harness.files.weights import Weights, provenance, save_weights
from harness.registry import GROUNDERS
from harness.training.runner import BestBy, Precision, check_precision, fit
from harness.types import Dataset
from harness.words.vectors import WordVectors

#: What a stage's ``evaluate`` calls the percentage of sentences whose referent scores best of all annotated boxes.
ACCURACY = 'accuracy on annotated boxes'
#: The recipe that is taken where none is named: that of the shipped weights.
DEFAULT_RECIPE = 'embedded'

Batch = TypeVar('Batch')


@dataclass
class Material:
    """What a grounder learns from.

    Attributes:
        train: the training split's expressions and annotations.
        val: those of the evaluation splits; only ``val`` is used.
        train_features: features of the annotated boxes of ``train``,
            :class:`harness.training.features.AnnotatedFeatures`.
        val_features: the same of ``val``.
        vectors: word vectors.
        trained: the weights of another grounder that was trained on this dataset, by its name; ``InputError`` if there
            are none.
        parsed: by ``sent_id``, the words of a sentence that are attributes of what it refers to, as another program
            parsed it; ``None``: they are found in the sentences themselves.
    """

    train: Dataset
    val: Dataset
    train_features: dict[str, Any]
    val_features: dict[str, Any]
    vectors: WordVectors
    trained: Callable[[str], Weights]
    parsed: Mapping[int, Sequence[str]] | None = None


@dataclass
class TrainingStage:
    """One training run of a recipe; the next stage starts from its weights.

    Attributes:
        name: of the stage.
        model, train_set, collate, batch_size, epochs, optim_wrapper, param_scheduler: as
            :func:`harness.training.runner.fit` takes them.
        evaluate: values on val by name.
        steps: how many, instead of ``epochs``.
        validate_every: steps between validations; ``None``: after each epoch.
        keep_best: end with the weights that are best on val instead of the last ones.
        best_by: which value of ``evaluate`` says so, and whether less or more of it is better.
        evaluate_on: ``'cpu'``: the model is there while ``evaluate`` runs, wherever it is trained; ``'any device'``:
            it stays where it is, and ``evaluate`` brings its data there (:func:`on_device_of`).
    """

    name: str
    model: BaseModel
    train_set: TorchDataset
    collate: Callable
    batch_size: int
    epochs: int
    optim_wrapper: dict
    param_scheduler: list[dict]
    evaluate: Callable[[], dict[str, float]]
    steps: int | None = None
    validate_every: int | None = None
    keep_best: bool = False
    best_by: BestBy = (ACCURACY, 'greater')
    evaluate_on: Literal['cpu', 'any device'] = 'cpu'


@dataclass
class Recipe:
    """Stages in order, then what is saved: ``tensors()`` and ``meta``."""

    stages: list[TrainingStage]
    tensors: Callable[[], dict[str, Tensor]]
    meta: dict[str, Any]


def train_grounder(name: str, material: Material, out: Path, work_dir: Path, *, command: str, seed: int,
                   shaped_by: Record | None = None, options: Any = None, precision: Precision = 'fp32',
                   workers: int = 0, checkpoint_every: int | None = None) -> Path:
    """Train a registered grounder on one dataset and write its weights.

    Args:
        name: of the grounder.
        material: what it learns from.
        out: the safetensors file.
        work_dir: checkpoints, for resuming.
        command: recorded in the file as its origin.
        seed: of everything random.
        shaped_by: record of what shapes the training beside its options, kept beside its checkpoints.
        options: of its training; by default those of its recipe ``'embedded'``, where it has recipes.
        precision: what to compute in; on a CPU float32 alone.
        workers: processes that load data.
        checkpoint_every: steps between checkpoints; ``None``: one after each epoch.

    Raises:
        InputError: the grounder has no ``recipe``, or a batch is larger than what there is to train on.
    """
    check_precision(precision)
    recipe = build_recipe(name, material, seed, options)
    for stage in recipe.stages:
        _check_batch(stage, material.train.name)
    record = {**(shaped_by or {}), **options_record(name, options), **parsed_record(material.parsed)}
    results: dict[str, float] = {}
    for stage in recipe.stages:
        train_stage(f'{name} {material.train.name}', stage, work_dir, seed=seed, shaped_by=record, precision=precision,
                    workers=workers, checkpoint_every=checkpoint_every)
        results |= {f'{stage.name} {k}': v for k, v in _evaluated(stage).items()}
    if is_main_process():
        save_weights(out, recipe.tensors(), {
            **recipe.meta, **options_record(name, options), **_lengths(recipe.stages), 'validation': results,
            **({} if precision == 'fp32' else {'precision': precision}),
            **provenance(command, seed, material.train.data_hash)})
    return out


def build_recipe(name: str, material: Material, seed: int, options: Any = None) -> Recipe:
    """The recipe of a registered grounder, with new networks.

    Raises:
        InputError: the grounder has no ``recipe``.
    """
    plugin, chosen = trainable(name), options_of(name, options)
    set_random_seed(seed)
    recipe: Recipe = plugin.recipe(material, seed) if chosen is None else plugin.recipe(material, seed, chosen)
    return recipe


def train_stage(name: str, stage: TrainingStage, work_dir: Path, *, seed: int, shaped_by: Record | None = None,
                precision: Precision = 'fp32', workers: int = 0, checkpoint_every: int | None = None,
                hooks: Sequence[Hook] = ()) -> None:
    """Train one stage, with its checkpoints in a folder of its name in ``work_dir``; see
    :func:`harness.training.runner.fit`."""
    fit(f'{name}, {stage.name}', stage.model, stage.train_set, collate=stage.collate, batch_size=stage.batch_size,
        epochs=stage.epochs, steps=stage.steps, optim_wrapper=stage.optim_wrapper,
        param_scheduler=stage.param_scheduler, evaluate=partial(_evaluated, stage),
        validate_every=stage.validate_every, keep_best=stage.keep_best, best_by=stage.best_by, precision=precision,
        workers=workers, checkpoint_every=checkpoint_every, work_dir=work_dir / stage.name, seed=seed,
        shaped_by=shaped_by, hooks=hooks)


def trainable(name: str) -> Any:
    """The class of a registered grounder that can be trained.

    Raises:
        InputError: it has no ``recipe``.
    """
    plugin = GROUNDERS.get(name)
    if plugin.recipe is None:
        raise InputError(f'train {name}: this grounder cannot be trained, its class has no recipe; choose another one')
    return plugin


def options_of(name: str, options: Any = None) -> Any:
    """The options of a training: those given, or else of its recipe ``'embedded'``; ``None`` where it has none."""
    return GROUNDERS.get(name).recipes.get(DEFAULT_RECIPE) if options is None else options


def options_record(name: str, options: Any = None) -> Record:
    """What the options add to the record of what shapes a training, and to the metadata of its weights."""
    chosen = options_of(name, options)
    return {} if chosen is None else {'options': asdict(chosen)}


def parsed_record(parsed: Mapping[int, Sequence[str]] | None) -> Record:
    """What parsed sentences add to the record of what shapes a training."""
    if parsed is None:
        return {}
    content = json.dumps([[sent_id, list(words)] for sent_id, words in sorted(parsed.items())])
    return {'sha256 of parsed sentences': hashlib.sha256(content.encode()).hexdigest()}


def on_device_of(model: nn.Module, batch: Batch) -> Batch:
    """A batch, tensors in tuples or mappings, where the parameters of a model are."""
    device = next((parameter.device for parameter in model.parameters()), torch.device('cpu'))
    moved: Batch = BaseDataPreprocessor().to(device)(batch)
    return moved


def _check_batch(stage: TrainingStage, dataset: str) -> None:
    items = len(stage.train_set)  # type: ignore[arg-type]  # map-style
    if items < stage.batch_size:
        raise InputError(f'{dataset}: has {items} items to train on, fewer than a batch of {stage.batch_size} '
                         f'(stage {stage.name}); take a smaller batch')


def _lengths(stages: Sequence[TrainingStage]) -> dict[str, dict[str, int]]:
    """``epochs`` of each stage, or ``steps`` where it counts those."""
    steps = {stage.name: stage.steps for stage in stages if stage.steps is not None}
    return {'epochs': {stage.name: stage.epochs for stage in stages if stage.steps is None},
            **({'steps': steps} if steps else {})}


def _evaluated(stage: TrainingStage) -> dict[str, float]:
    """``stage.evaluate()``, on the CPU if the stage wants that, even if the model is trained elsewhere."""
    if stage.evaluate_on == 'any device':
        return stage.evaluate()
    device = next(stage.model.parameters()).device
    stage.model.cpu()
    try:
        return stage.evaluate()
    finally:
        stage.model.to(device)
