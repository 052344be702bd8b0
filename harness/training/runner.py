"""One way to train anything here: mmengine's Runner, checkpoints, and randomness that a resume reproduces.

Every epoch starts by seeding from ``(seed, epoch)`` alone, and a checkpoint within an epoch keeps the state of all
randomness (:mod:`harness.training.resuming`). A training killed at any moment and started again by the same command
resumes from its last checkpoint and ends with weights identical to those of one that was never killed.
"""
from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import barrier, broadcast_object_list, get_dist_info, init_dist, is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner, set_random_seed
from mmengine.runner.checkpoint import load_from_local
from rich.console import Console
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from harness.errors import InputError
from harness.files import fingerprint
from harness.files.fingerprint import Record, code_of
from harness.files.writing import replacing
from harness.training.event_file import EventFileBackend
from harness.training.resuming import LaterBatches, RandomState, ResumableLoop

#: A checkpoint holds only tensors and plain data; without this, mmengine would try again and unpickle anything.
os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'

#: mmengine's default names a GPU, which a training on CPUs lacks.
WRAPPER = dict(type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None)

#: A value on val, and whether less or more of it is better.
BestBy = tuple[str, Literal['less', 'greater']]
LEAST_LOSS: BestBy = ('loss', 'less')

#: What training computes in; weights and their updates are float32 in any case.
Precision = Literal['fp32', 'bf16', 'fp16']

#: What to do about the checkpoints of another training.
ADVICE = 'repeat the options that it was made with, delete the folder or choose another one (--work; for a study --out)'

#: Of several processes that train together, the first one speaks.
console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=os.environ.get('RANK', '0') != '0')


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


class SeedEachStep(Hook):
    """Where several processes train, seed each from ``(seed, step, rank)``: a checkpoint holds the state of one only.
    """

    priority = 'VERY_HIGH'

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        rank, world = get_dist_info()
        if world > 1:
            torch.manual_seed((self.seed * 10 ** 9 + runner.iter) * world + rank)


class TellProgress(Hook):
    """A line with the loss and the time left, every ``seconds``; a loss that is not finite ends the training."""

    def __init__(self, name: str, seconds: float = 15.0) -> None:
        self.name = name
        self.seconds = seconds

    def before_train(self, runner: Runner) -> None:
        self._start = self._last = time.monotonic()
        self._first_iter = runner.iter
        self._losses: list[float] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        loss = float(outputs['loss'].detach()) if outputs else float('nan')
        if not math.isfinite(loss):
            raise InputError(f'{self.name}: the loss of step {runner.iter + 1} is not a finite number '
                             f'({loss}); lower the learning rates, and check the features that it learns from')
        self._losses.append(loss)
        now = time.monotonic()
        if now - self._last < self.seconds and runner.iter + 1 < runner.max_iters:
            return
        done = runner.iter + 1 - self._first_iter
        left = (runner.max_iters - runner.iter - 1) * (now - self._start) / done
        loss = sum(self._losses) / len(self._losses)
        console.print(f'{self.name}: epoch {runner.epoch + 1}/{runner.max_epochs}, '
                      f'step {runner.iter + 1}/{runner.max_iters}, loss {loss:.4f}, about {left / 60:.1f} min left')
        self._last, self._losses = now, []


class Validate(Hook):
    """Report ``evaluate()``, step the plateau schedules, and keep the weights that are best on val.

    Args:
        name: what the lines call it.
        evaluate: returns values by name; ``'loss'`` decides what is a plateau.
        every: iterations between two calls, and after the last; ``None``: after each epoch.
        best: file for the best weights; ``None``: they are not kept.
        best_by: the value that decides which weights are best, and whether less of it is better or more. Of equally
            good ones the earlier are kept.
    """

    priority = 80  # after schedules that go by iteration, before checkpoints, which then hold what happens here

    def __init__(self, name: str, evaluate: Callable[[], dict[str, float]], every: int | None = None,
                 best: Path | None = None, best_by: BestBy = LEAST_LOSS) -> None:
        self.name, self.evaluate, self.every, self.best = name, evaluate, every, best
        self.decisive, self.direction = best_by
        self.best_value = math.inf if self.direction == 'less' else -math.inf

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        done = runner.iter + 1
        if self.every is not None and (done % self.every == 0 or done == runner.max_iters):
            self._validate(runner, f'step {done}', done)

    def after_train_epoch(self, runner: Runner) -> None:
        if self.every is None:
            self._validate(runner, f'epoch {runner.epoch + 1}', runner.iter)

    def _validate(self, runner: Runner, when: str, done: int) -> None:
        runner.model.eval()
        shared = [self.evaluate()]
        broadcast_object_list(shared)  # where several processes train, all go by the first one's values
        values = shared[0]
        runner.model.train()
        console.print(f'{self.name}: after {when}: ' + ', '.join(f'{k} {v:.4f}' for k, v in values.items()))
        for key, value in values.items():
            runner.message_hub.update_scalar(f'val/{key}', value)
        runner.visualizer.add_scalars({f'val/{key}': value for key, value in values.items()}, step=done)
        for schedule in runner.param_schedulers or []:
            if getattr(schedule, 'need_val_args', False):
                schedule.step(values)
        if self.best is not None and self._better(values[self.decisive]):
            self.best_value = values[self.decisive]
            if is_main_process():
                with replacing(self.best) as beside:
                    torch.save(bare(runner.model).state_dict(), beside)

    def _better(self, value: float) -> bool:
        return value < self.best_value if self.direction == 'less' else value > self.best_value

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['best_on_val'] = self.best_value

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.best_value = checkpoint.get('best_on_val', self.best_value)


def join_processes() -> bool:
    """Whether ``torchrun`` started this process; if so, join its process group."""
    if 'LOCAL_RANK' not in os.environ:
        return False
    if not torch.distributed.is_initialized():
        if torch.cuda.is_available():
            init_dist('pytorch', backend='nccl')
        else:
            torch.distributed.init_process_group('gloo')
    return True


@contextmanager
def silence() -> Iterator[None]:
    """Silence the progress lines inside the ``with`` block."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


def bare(model: Any) -> Any:
    """A model without the wrapper of training on several processes."""
    return getattr(model, 'module', model)


def check_checkpoints(work_dir: Path, record: Record) -> None:
    """Refuse checkpoints of another training, and those without a record of what shaped them.

    Args:
        work_dir: may be missing or empty.
        record: of this training, or a part of it.

    Raises:
        InputError: in one line that says what differs.
    """
    if any(work_dir.glob('*.pth')) or (work_dir / 'last_checkpoint').exists():
        fingerprint.check(work_dir, record, ADVICE)


def _checkpoint(work_dir: Path) -> str | None:
    """The last checkpoint of a folder, which may have been moved since it was written.

    Raises:
        InputError: it is missing or damaged, or would have to run code.
    """
    last = work_dir / 'last_checkpoint'
    if not last.is_file():
        return None
    path = work_dir / Path(last.read_text()).name
    try:
        load_from_local(str(path), 'cpu')
    except (OSError, EOFError, KeyError, RuntimeError, ValueError, UnpicklingError):
        raise InputError(f'{path}: is not a checkpoint of this training, or is damaged; nothing in it was '
                         f'executed; {ADVICE}') from None
    return str(path)


def check_precision(precision: Precision) -> None:
    """
    Raises:
        InputError: it needs a GPU, and there is none.
    """
    if precision != 'fp32' and not torch.cuda.is_available():
        raise InputError(f'--precision {precision}: training computes in it on a GPU alone, and there is none here; '
                         'leave it out')


def mixed(optim_wrapper: dict, precision: Precision) -> dict:
    """mmengine's config of an optimiser, for the precision: losses are scaled in float16 alone, whose range is short.
    """
    if precision == 'fp32':
        return optim_wrapper
    dtype, scaled = {'bf16': ('bfloat16', False), 'fp16': ('float16', True)}[precision]
    return {**optim_wrapper, 'type': 'AmpOptimWrapper', 'dtype': dtype, 'loss_scale': dict(enabled=scaled)}


def fit(name: str, model: BaseModel, train_set: TorchDataset, *, collate: Callable, batch_size: int, epochs: int,
        optim_wrapper: dict, work_dir: Path, seed: int, param_scheduler: list[dict] | None = None,
        evaluate: Callable[[], dict[str, float]] | None = None, workers: int = 0, checkpoint_every: int | None = None,
        validate_every: int | None = None, keep_best: bool = False, shaped_by: Record | None = None,
        hooks: Sequence[Hook] = (), steps: int | None = None, best_by: BestBy = LEAST_LOSS,
        precision: Precision = 'fp32') -> BaseModel:
    """Train ``model`` for ``epochs`` or ``steps``, resuming from a checkpoint of this training in ``work_dir``.

    What shapes the training is kept beside its checkpoints; those of another one are refused.

    Under ``torchrun`` each process trains on its share of every epoch's items.

    Args:
        name: what the progress lines call it.
        model: its ``forward(**batch, mode='loss')`` returns a dict of losses.
        train_set: map-style; a method ``set_epoch(int)`` is called where it exists.
        collate: list of items to the model's keyword arguments.
        optim_wrapper: mmengine's config.
        work_dir: checkpoints and logs (JSON lines, and event files for TensorBoard); the last two checkpoints are kept,
            so that one is complete at any moment.
        seed: with the epoch, the only source of randomness.
        evaluate: called on val; its values are printed, and its ``'loss'`` steps the plateau schedules.
        workers: processes that load data.
        checkpoint_every: iterations between checkpoints; ``None``: one after each epoch. With ``workers``, items must
            depend only on the epoch and their index.
        validate_every: iterations between calls of ``evaluate``; ``None``: after each epoch.
        keep_best: end with the weights that are best on val instead of the last ones.
        shaped_by: what else shapes the training: data, initial weights, code.
        hooks: mmengine's, beside those that every training has.
        steps: how many batches, instead of ``epochs``; the last epoch may then end early.
        best_by: what :class:`Validate` keeps the best weights by.
        precision: what to compute in; on a CPU float32 alone.

    Returns:
        the trained model, in evaluation mode.

    Raises:
        InputError: the checkpoint to resume from is of another training, is damaged or would have to run code; a
            loss is not finite; or the precision needs a GPU.
    """
    check_precision(precision)
    together = join_processes()
    batches = LaterBatches(DefaultSampler(train_set, shuffle=True, seed=seed), batch_size, drop_last=True)
    if steps is not None:
        epochs = -(-steps // len(batches))
    record: Record = {
        **(shaped_by or {}), 'seed': seed, 'epochs': epochs, 'batch_size': batch_size,
        'steps': epochs * len(batches) if steps is None else steps,
        'optim_wrapper': optim_wrapper, 'param_scheduler': param_scheduler, 'validate_every': validate_every,
        'keep_best': keep_best, 'best_by': best_by if keep_best else None, 'precision': precision,
        'processes': get_dist_info()[1], 'torch': torch.__version__,
        'code of runner': code_of('harness.training.runner', 'harness.training.resuming')}
    check_checkpoints(work_dir, record)
    checkpoint = _checkpoint(work_dir)
    barrier()  # all have looked before one writes
    if is_main_process():
        fingerprint.keep(work_dir, record)
    loader = DataLoader(train_set, batch_sampler=batches, collate_fn=collate, num_workers=workers)
    every: list[Hook] = [SeedEachEpoch(seed), SeedEachStep(seed), TellProgress(name), RandomState(), *hooks]
    best = work_dir / 'best.pth' if keep_best else None
    if evaluate is not None:
        every.append(Validate(name, evaluate, validate_every, best, best_by))
    set_random_seed(seed * 1000)
    interval = dict(interval=1) if checkpoint_every is None else dict(interval=checkpoint_every, by_epoch=False)
    runner = Runner(
        model=model, work_dir=str(work_dir), train_dataloader=loader,
        train_cfg=dict(type=ResumableLoop, max_epochs=epochs, steps=steps),
        optim_wrapper=mixed(optim_wrapper, precision), param_scheduler=param_scheduler,
        default_hooks=dict(logger=dict(type='LoggerHook', interval=50),
                           checkpoint=dict(type='CheckpointHook', max_keep_ckpts=2, **interval)),
        custom_hooks=every, resume=checkpoint is not None, load_from=checkpoint, randomness=dict(seed=seed),
        log_level=logging.ERROR, experiment_name=name.replace(' ', '-'), default_scope='mmdet',
        launcher='pytorch' if together else 'none',
        cfg=dict(model_wrapper_cfg=WRAPPER) if together else None,
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type=EventFileBackend)],
                        name=str(work_dir.resolve())))  # by its name it would be that of an earlier training
    runner.train()
    if best is not None:
        barrier()
        model.load_state_dict(torch.load(best, map_location='cpu', weights_only=True))
    return model.eval()


def count_parameters(module: torch.nn.Module) -> int:
    """How many numbers training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
