"""Resuming within an epoch: the remaining batches, and the random state of the checkpoint.

mmengine's own loop would start the epoch again.
"""
from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import BatchSampler, DataLoader


class LaterBatches(BatchSampler):
    """The batches of an epoch without the first ``skip``, whose items are never loaded; the length is still the
    epoch's.
    """

    skip = 0

    def __iter__(self) -> Iterator[list[int]]:
        return islice(super().__iter__(), self.skip, None)


class ResumableLoop(EpochBasedTrainLoop):
    """Epochs, of which the first resumes where the checkpoint was written, and the last may end before its last batch.

    Args:
        runner, dataloader, max_epochs: as mmengine's loop takes them.
        steps: batches in all; ``None``: all of the epochs'.
    """

    randomness: dict[str, Any] | None = None

    def __init__(self, runner: Runner, dataloader: DataLoader, max_epochs: int, steps: int | None = None) -> None:
        super().__init__(runner, dataloader, max_epochs)
        if steps is not None:
            self._max_iters = steps

    def run_epoch(self) -> None:
        """Train on the remaining batches of the epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self._iter - self._epoch * len(self.dataloader)
        self.dataloader.batch_sampler.skip = done
        batches = iter(self.dataloader)  # draws the seed of its workers, as the killed one did
        if done and self.randomness is not None:
            set_random_state(self.randomness)
        for index, batch in enumerate(islice(batches, self.max_iters - self._iter), done):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


class RandomState(Hook):
    """Saves the state of all random generators in checkpoints, and gives it to :class:`ResumableLoop`."""

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['randomness'] = random_state()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        runner.train_loop.randomness = checkpoint.get('randomness')


def random_state() -> dict[str, Any]:
    """The states of the generators of Python, NumPy and torch, as tensors and plain data."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {'python': random.getstate(), 'numpy': (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
            'torch': torch.get_rng_state(), 'cuda': torch.cuda.get_rng_state_all()}


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the states that :func:`random_state` returned."""
    version, internal, following = state['python']
    random.setstate((version, tuple(internal), following))
    name, keys, *rest = state['numpy']
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    torch.cuda.set_rng_state_all([one.cpu() for one in state['cuda']])
