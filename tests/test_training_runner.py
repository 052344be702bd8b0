"""A training that was killed and started again ends at the weights of one that never was."""
from __future__ import annotations

import itertools
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

from harness.errors import InputError
from harness.training import runner as runner_module
from harness.training.event_file import crc32c
from harness.training.runner import Precision, count_parameters, fit, mixed

COSINE = dict(param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=False, T_max=12, begin=0, end=12)])


class Noisy(Dataset):
    """Items that depend on the epoch and on torch's global randomness, as augmentation does."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Tensor:
        return torch.full((3,), index + 10. * self.epoch) + torch.rand(3)


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, mode: str = 'loss') -> dict[str, Tensor]:
        return {'loss': (self.layer(self.dropout(x)) - x.mean()).pow(2).mean()}


class Killed(BaseException):
    """As ``SIGKILL`` would: nothing gets to tidy up."""


def train(work: Path, epochs: int, kill_in: int | None = None, lr: float = 0.01, **options: Any) -> dict[str, Tensor]:
    """Train; ``kill_in`` is the batch, counted over all epochs of this start, in which the process dies."""
    torch.manual_seed(0)
    model = Line()
    batches = itertools.count()

    def collate(items: list[Tensor]) -> dict[str, Tensor]:
        if next(batches) == kill_in:
            raise Killed
        return {'x': torch.stack(items)}
    try:
        fit('line', model, Noisy(), collate=collate, batch_size=4, epochs=epochs,
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=lr)), work_dir=work,
            **{'evaluate': lambda: {'loss': float(model.layer.weight.detach().sum())}, 'seed': 3, **COSINE, **options})
    except Killed:
        assert kill_in is not None
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


def test_resumed_is_the_same_as_never_killed(tmp_path: Path) -> None:
    whole = train(tmp_path / 'whole', epochs=4)
    train(tmp_path / 'killed', epochs=4, kill_in=7)
    assert same(whole, train(tmp_path / 'killed', epochs=4))


@pytest.mark.parametrize('kill_in', [1, 2, 3, 4, 8])
def test_it_goes_on_from_any_iteration(tmp_path: Path, kill_in: int) -> None:
    """Three batches an epoch; a checkpoint after every second one, so that most stand within an epoch."""
    whole = train(tmp_path / 'whole', epochs=3)
    train(tmp_path / 'killed', epochs=3, checkpoint_every=2, kill_in=kill_in)
    assert not (tmp_path / 'killed/epoch_1.pth').exists()
    train(tmp_path / 'killed', epochs=3, checkpoint_every=2, kill_in=2)
    assert same(whole, train(tmp_path / 'killed', epochs=3, checkpoint_every=2))


def test_it_goes_on_to_the_same_plateaus_and_the_same_best(tmp_path: Path) -> None:
    options: dict[str, Any] = dict(
        param_scheduler=[dict(type='ReduceOnPlateauLR', monitor='loss', rule='less', factor=0.1, patience=0)],
        checkpoint_every=2, validate_every=2, keep_best=True)
    whole = train(tmp_path / 'whole', epochs=3, **options)
    train(tmp_path / 'killed', epochs=3, kill_in=5, **options)
    assert same(whole, train(tmp_path / 'killed', epochs=3, **options))
    assert not same(whole, train(tmp_path / 'other', epochs=3))


def test_a_checkpoint_is_whole_while_another_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(tmp_path / 'whole', epochs=4)
    saved = itertools.count()

    def die_in_the_third(*args: Any, **kwargs: Any) -> None:
        if next(saved) == 2:
            raise Killed
        save(*args, **kwargs)
    save = Runner.save_checkpoint
    monkeypatch.setattr(Runner, 'save_checkpoint', die_in_the_third)
    with pytest.raises(Killed):
        train_to_the_end(tmp_path / 'killed')
    monkeypatch.undo()
    assert same(whole, train(tmp_path / 'killed', epochs=4))


def train_to_the_end(work: Path) -> None:
    try:
        train(work, epochs=4)
    except AssertionError as error:
        raise Killed from error


def test_the_best_on_val_is_kept(tmp_path: Path) -> None:
    """The loss is told to be least after the second epoch."""
    told = iter([0.5, 0.2, 0.3])
    torch.manual_seed(0)
    model, seen = Line(), []

    def evaluate() -> dict[str, float]:
        seen.append(model.layer.weight.detach().clone())
        return {'loss': next(told)}
    fit('line', model, Noisy(), collate=lambda items: {'x': torch.stack(items)}, batch_size=4, epochs=3, keep_best=True,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01)), work_dir=tmp_path, seed=3,
        evaluate=evaluate)
    assert torch.equal(model.layer.weight, seen[1]) and not torch.equal(seen[1], seen[2])


def test_the_best_can_be_what_is_greatest(tmp_path: Path) -> None:
    """The accuracy is told to be greatest after the second epoch, and as great after the third; the loss falls."""
    told = iter([(1., .3), (2., .2), (2., .1)])
    torch.manual_seed(0)
    model, seen = Line(), []

    def evaluate() -> dict[str, float]:
        seen.append(model.layer.weight.detach().clone())
        accuracy, loss = next(told)
        return {'loss': loss, 'accuracy': accuracy}
    fit('line', model, Noisy(), collate=lambda items: {'x': torch.stack(items)}, batch_size=4, epochs=3, keep_best=True,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01)), work_dir=tmp_path, seed=3,
        evaluate=evaluate, best_by=('accuracy', 'greater'))
    assert torch.equal(model.layer.weight, seen[1]) and not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize('kill_in', [3, 6])
def test_a_training_of_some_steps_ends_within_an_epoch_and_resumes(tmp_path: Path, kill_in: int) -> None:
    """Three batches an epoch; the steps decide, whatever the epochs say."""
    rates = dict(param_scheduler=[dict(type='ExponentialLR', gamma=0.9, by_epoch=False)])
    validated: list[int] = []

    def evaluate() -> dict[str, float]:
        validated.append(len(validated))
        return {'loss': 0.}
    whole = train(tmp_path / 'whole', epochs=1, steps=7, validate_every=3, evaluate=evaluate, **rates)
    assert len(validated) == 3, 'after 3, 6 and 7 steps'
    train(tmp_path / 'killed', epochs=1, steps=7, checkpoint_every=2, kill_in=kill_in, validate_every=3, **rates)
    assert same(whole, train(tmp_path / 'killed', epochs=1, steps=7, checkpoint_every=2, validate_every=3, **rates))
    assert not same(whole, train(tmp_path / 'longer', epochs=1, steps=8, validate_every=3, **rates))


def test_steps_of_whole_epochs_are_those_epochs(tmp_path: Path) -> None:
    assert same(train(tmp_path / 'epochs', epochs=2), train(tmp_path / 'steps', epochs=9, steps=6))


@pytest.mark.skipif(torch.cuda.is_available(), reason='it is refused where there is no GPU')
def test_half_precision_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='--precision bf16: training computes in it on a GPU alone, and there is none'):
        train(tmp_path, epochs=1, precision='bf16')
    assert not list(tmp_path.iterdir())


def test_losses_are_scaled_in_float16_alone() -> None:
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1.), clip_grad=dict(max_norm=1.))
    assert mixed(wrapper, 'fp32') is wrapper
    cases: tuple[tuple[Precision, str, bool], ...] = (('bf16', 'bfloat16', False), ('fp16', 'float16', True))
    for precision, dtype, scaled in cases:
        assert mixed(wrapper, precision) == {**wrapper, 'type': 'AmpOptimWrapper', 'dtype': dtype,
                                             'loss_scale': {'enabled': scaled}}


def test_the_rate_falls_where_the_loss_does_not(tmp_path: Path) -> None:
    told = iter([0.5, 0.4, 0.4, 0.4, 0.3, 0.3])
    rates: list[float] = []

    class Note(Hook):
        def before_train_epoch(self, runner: Runner) -> None:
            rates.append(runner.optim_wrapper.get_lr()['lr'][0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner_module, 'RandomState', Note)
        fit('line', Line(), Noisy(), collate=lambda items: {'x': torch.stack(items)}, batch_size=4, epochs=6,
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01)), work_dir=tmp_path, seed=3,
            evaluate=lambda: {'loss': next(told)}, param_scheduler=[dict(
                type='ReduceOnPlateauLR', monitor='loss', rule='less', factor=0.5, patience=1)])
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.005, 0.005]), 'two without improvement are one too many'


def test_scalars_are_written_as_tensorboard_reads_them(tmp_path: Path) -> None:
    train(tmp_path, epochs=2)
    file, = tmp_path.glob('*/vis_data/tf_logs/events.out.tfevents.*')
    content, position, found = file.read_bytes(), 0, []
    while position < len(content):
        length, = struct.unpack_from('<Q', content, position)
        record = content[position + 12:position + 12 + length]
        check, = struct.unpack_from('<I', content, position + 12 + length)
        crc = crc32c(record)
        assert check == ((crc >> 15 | crc << 17) + 0xa282ead8) % 2 ** 32
        found.append(record)
        position += 16 + length
    assert b'brain.Event:2' in found[0]
    losses = [record for record in found if b'val/loss' in record]
    assert len(losses) == 2 and all(record[9:10] == b'\x10' for record in losses)
    assert [record[10] for record in losses] == [3, 6], 'the step, of three an epoch'


def test_the_checksum_is_castagnoli_s() -> None:
    assert crc32c(b'123456789') == 0xe3069283
    assert crc32c(bytes(32)) == 0x8a9136aa


def test_another_seed_is_another_training(tmp_path: Path) -> None:
    one, again, other = (train(tmp_path / name, epochs=1, seed=seed) for name, seed in (('a', 3), ('b', 3), ('c', 4)))
    assert same(one, again)
    assert not torch.equal(one['layer.weight'], other['layer.weight'])


@pytest.mark.parametrize('other, said', [
    (dict(lr=0.5), 'optim_wrapper.optimizer.lr was 0.01, is 0.5'), (dict(seed=4), 'seed was 3, is 4'),
    (dict(epochs=5), 'epochs was 4, is 5'), (dict(keep_best=True), 'keep_best was False, is True'),
    (dict(shaped_by={'data': 'new'}), 'data was old, is new'), (dict(param_scheduler=[]), 'param_scheduler was')])
@pytest.mark.parametrize('kill_in', [7, None], ids=['killed', 'finished'])
def test_another_recipe_does_not_go_on_from_here(tmp_path: Path, kill_in: int | None, other: dict, said: str) -> None:
    recipe: dict[str, Any] = dict(epochs=4, shaped_by={'data': 'old'})
    train(tmp_path, **recipe, kill_in=kill_in)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    with pytest.raises(InputError, match=re.escape(said)) as refused:
        train(tmp_path, **{**recipe, **other})
    assert str(refused.value).startswith(f'{tmp_path}: ') and '--work' in str(refused.value)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == before, 'nothing was written'
    train(tmp_path, **recipe)


def test_checkpoints_that_do_not_say_what_shaped_them_are_refused(tmp_path: Path) -> None:
    train(tmp_path, epochs=4, kill_in=7)
    (tmp_path / 'fingerprint.json').unlink()
    with pytest.raises(InputError, match='nothing in it says what shaped it, an older version'):
        train(tmp_path, epochs=4)


def test_a_training_that_has_saved_nothing_yet_leaves_its_folder_to_another(tmp_path: Path) -> None:
    train(tmp_path / 'a', epochs=1, kill_in=1)
    assert same(train(tmp_path / 'a', epochs=1, lr=0.5), train(tmp_path / 'b', epochs=1, lr=0.5))


def test_a_folder_that_was_copied_goes_on_from_its_own_checkpoint(tmp_path: Path) -> None:
    whole = train(tmp_path / 'whole', epochs=4)
    train(tmp_path / 'killed', epochs=4, kill_in=7)
    shutil.copytree(tmp_path / 'killed', tmp_path / 'copy')
    shutil.rmtree(tmp_path / 'killed')
    assert same(whole, train(tmp_path / 'copy', epochs=4))


@pytest.mark.parametrize('damage', [lambda content: content[:1000], lambda content: b'', lambda content: b'x' * 99])
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    train(tmp_path, epochs=4, kill_in=7)
    path = tmp_path / 'epoch_2.pth'
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r'epoch_2\.pth.*damaged') as refused:
        train(tmp_path, epochs=4)
    assert '\n' not in str(refused.value)
    path.unlink()
    with pytest.raises(InputError, match=r'epoch_2\.pth'):
        train(tmp_path, epochs=4)


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'line: the loss of step \d is not a finite number \((nan|inf)\); lower the'):
        train(tmp_path, epochs=4, lr=1e30)
    assert not list(tmp_path.glob('*.pth'))


def test_parameters_that_training_changes_are_counted() -> None:
    model = Line()
    model.layer.bias.requires_grad = False
    assert count_parameters(model) == 3
