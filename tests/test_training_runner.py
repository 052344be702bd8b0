"""A training that was killed and started again ends at the weights of one that never was."""
from __future__ import annotations

from pathlib import Path

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset

from harness.training import runner
from harness.training.runner import fit


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


def train(work: Path, epochs: int, stop_after: int | None = None) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = Line()

    def evaluate() -> dict[str, float]:
        if stop_after is not None and (work / f'epoch_{stop_after}.pth').exists():
            raise KeyboardInterrupt
        return {'weight': float(model.layer.weight.detach().sum())}
    try:
        fit('line', model, Noisy(), collate=lambda items: {'x': torch.stack(items)}, batch_size=4, epochs=epochs,
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01)), work_dir=work, seed=3,
            evaluate=evaluate,
            param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=False, T_max=12, begin=0, end=12)])
    except KeyboardInterrupt:
        assert stop_after is not None
    return {k: v.clone() for k, v in model.state_dict().items()}


def test_resumed_is_the_same_as_never_killed(tmp_path: Path) -> None:
    whole = train(tmp_path / 'whole', epochs=4)
    train(tmp_path / 'killed', epochs=4, stop_after=2)
    resumed = train(tmp_path / 'killed', epochs=4)
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_another_seed_is_another_training(tmp_path: Path) -> None:
    assert not torch.equal(train(tmp_path / 'a', epochs=1)['layer.weight'], Line().layer.weight)


def test_parameters_that_training_changes_are_counted() -> None:
    model = Line()
    model.layer.bias.requires_grad = False
    assert runner.count_parameters(model) == 3
