"""One way to train anything here: mmengine's Runner, epoch checkpoints, and randomness that a resume reproduces.

Every epoch starts by seeding from ``(seed, epoch)`` alone. A training killed at any moment and started again by the
same command goes on from the last finished epoch and ends at the same weights as one that was never killed.
"""
from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner, set_random_seed
from rich.console import Console
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from harness.errors import InputError

#: A checkpoint to resume from holds tensors and plain data; mmengine would try again without this guard.
os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'

console = Console(stderr=True, highlight=False, soft_wrap=True)


class SeedEachEpoch(Hook):
    """Seed Python, NumPy and torch from ``(seed, epoch)``; tell the data set which epoch it is, if it asks."""

    priority = 'VERY_HIGH'

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_epoch(self, runner: Runner) -> None:
        set_random_seed(self.seed * 1000 + runner.epoch)
        dataset = runner.train_loop.dataloader.dataset
        if hasattr(dataset, 'set_epoch'):
            dataset.set_epoch(runner.epoch)


class TellProgress(Hook):
    """A line with the loss and the time left, every ``seconds``."""

    def __init__(self, name: str, seconds: float = 15.0) -> None:
        self.name = name
        self.seconds = seconds

    def before_train(self, runner: Runner) -> None:
        self._start = self._last = time.monotonic()
        self._first_iter = runner.iter
        self._losses: list[float] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        self._losses.append(float(outputs['loss'].detach()) if outputs else float('nan'))
        now = time.monotonic()
        if now - self._last < self.seconds and runner.iter + 1 < runner.max_iters:
            return
        done = runner.iter + 1 - self._first_iter
        left = (runner.max_iters - runner.iter - 1) * (now - self._start) / done
        loss = sum(self._losses) / len(self._losses)
        console.print(f'{self.name}: epoch {runner.epoch + 1}/{runner.max_epochs}, '
                      f'step {runner.iter + 1}/{runner.max_iters}, loss {loss:.4f}, about {left / 60:.1f} min left')
        self._last, self._losses = now, []


class CallEachEpoch(Hook):
    """Report ``evaluate()`` after every epoch."""

    priority = 'LOW'

    def __init__(self, name: str, evaluate: Callable[[], dict[str, float]]) -> None:
        self.name = name
        self.evaluate = evaluate

    def after_train_epoch(self, runner: Runner) -> None:
        runner.model.eval()
        values = self.evaluate()
        runner.model.train()
        console.print(f'{self.name}: after epoch {runner.epoch + 1}: '
                      + ', '.join(f'{k} {v:.4f}' for k, v in values.items()))
        for key, value in values.items():
            runner.message_hub.update_scalar(f'val/{key}', value)


def fit(name: str, model: BaseModel, train_set: TorchDataset, *, collate: Callable, batch_size: int, epochs: int,
        optim_wrapper: dict, work_dir: Path, seed: int, param_scheduler: list[dict] | None = None,
        evaluate: Callable[[], dict[str, float]] | None = None, workers: int = 0) -> BaseModel:
    """Train ``model`` for ``epochs``, resuming from ``work_dir`` if it holds a checkpoint of this training.

    Args:
        name: what the progress lines call it.
        model: its ``forward(**batch, mode='loss')`` returns a dict of losses.
        train_set: map-style; a method ``set_epoch(int)`` is called where it exists.
        collate: list of items to the model's keyword arguments.
        optim_wrapper: mmengine's config.
        work_dir: checkpoints and logs; one epoch's checkpoint is kept.
        seed: with the epoch, the only source of randomness.
        evaluate: called after each epoch, its values are printed.
        workers: processes that load data.

    Returns:
        the trained model, in evaluation mode.

    Raises:
        InputError: the checkpoint to resume from asks for code.
    """
    loader = DataLoader(train_set, batch_size=batch_size, sampler=DefaultSampler(train_set, shuffle=True, seed=seed),
                        collate_fn=collate, num_workers=workers, drop_last=True)
    hooks: list[Hook] = [SeedEachEpoch(seed), TellProgress(name)]
    if evaluate is not None:
        hooks.append(CallEachEpoch(name, evaluate))
    set_random_seed(seed * 1000)
    runner = Runner(
        model=model, work_dir=str(work_dir), train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs), optim_wrapper=optim_wrapper, param_scheduler=param_scheduler,
        default_hooks=dict(logger=dict(type='LoggerHook', interval=50),
                           checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)),
        custom_hooks=hooks, resume=True, randomness=dict(seed=seed), log_level=logging.ERROR,
        experiment_name=name.replace(' ', '-'), default_scope='mmdet',
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')], name=name.replace(' ', '-')))
    try:
        runner.train()
    except UnpicklingError:
        raise InputError(f'{work_dir}: its checkpoint is not one of this training, and nothing of it was run; delete '
                         'the folder or choose another --work') from None
    return model.eval()


def count_parameters(module: torch.nn.Module) -> int:
    """Numbers that training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
