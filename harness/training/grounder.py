"""Train any grounder on annotated boxes: the plug-in says what and how, this file runs its stages.

A grounder that can be trained has a class method ``recipe(material, seed) -> Recipe``
(:class:`harness.plugins.Grounder`).
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.model import BaseModel
from mmengine.runner import set_random_seed
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from harness.errors import InputError
from harness.files.fingerprint import Record
from harness.files.weights import Weights, provenance, save_weights
from harness.registry import GROUNDERS
from harness.training.runner import fit
from harness.types import Dataset
from harness.words.vectors import WordVectors


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
    """

    train: Dataset
    val: Dataset
    train_features: dict[str, Any]
    val_features: dict[str, Any]
    vectors: WordVectors
    trained: Callable[[str], Weights]


@dataclass
class TrainingStage:
    """One training run of a recipe; the next stage starts from its weights."""

    name: str
    model: BaseModel
    train_set: TorchDataset
    collate: Callable
    batch_size: int
    epochs: int
    optim_wrapper: dict
    param_scheduler: list[dict]
    evaluate: Callable[[], dict[str, float]]


@dataclass
class Recipe:
    """Stages in order, then what is saved: ``tensors()`` and ``meta``."""

    stages: list[TrainingStage]
    tensors: Callable[[], dict[str, Tensor]]
    meta: dict[str, Any]


def train_grounder(name: str, material: Material, out: Path, work_dir: Path, *, command: str, seed: int,
                   shaped_by: Record | None = None) -> Path:
    """Train a registered grounder on one dataset and write its weights.

    Args:
        name: of the grounder.
        material: what it learns from.
        out: the safetensors file.
        work_dir: checkpoints, for resuming.
        command: recorded in the file as its origin.
        seed: of everything random.
        shaped_by: record of what shapes the training, kept beside its checkpoints.

    Raises:
        InputError: the grounder has no ``recipe``.
    """
    plugin = GROUNDERS.get(name)
    if plugin.recipe is None:
        raise InputError(f'train {name}: this grounder cannot be trained, its class has no recipe; choose another one')
    set_random_seed(seed)
    recipe: Recipe = plugin.recipe(material, seed)
    results: dict[str, float] = {}
    for stage in recipe.stages:
        fit(f'{name} {material.train.name}, {stage.name}', stage.model, stage.train_set, collate=stage.collate,
            batch_size=stage.batch_size, epochs=stage.epochs, optim_wrapper=stage.optim_wrapper,
            param_scheduler=stage.param_scheduler, evaluate=partial(_evaluated, stage), work_dir=work_dir / stage.name,
            seed=seed, shaped_by=shaped_by)
        results |= {f'{stage.name} {k}': v for k, v in _evaluated(stage).items()}
    save_weights(out, recipe.tensors(), {**recipe.meta, 'epochs': {s.name: s.epochs for s in recipe.stages},
                                         'validation': results,
                                         **provenance(command, seed, material.train.data_hash)})
    return out


def _evaluated(stage: TrainingStage) -> dict[str, float]:
    """``stage.evaluate()`` on the CPU, where its data are, even if the model is trained elsewhere."""
    device = next(stage.model.parameters()).device
    stage.model.cpu()
    try:
        return stage.evaluate()
    finally:
        stage.model.to(device)
