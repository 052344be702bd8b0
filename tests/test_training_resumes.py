"""``train`` on data of one's own: killed at any step it ends at the same weights, and several processes share it."""
from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import shutil
import socket
import sys
from pathlib import Path

import pytest
import torch

from harness.data.known import load_known
from harness.detection.pictures import read_recorded
from harness.files.weights import load_weights, save_weights
from harness.training.features import AnnotatedFeatures
from harness.training.resuming import ResumableLoop
from run_benchmark import command_line
from tests.small_rehearsal import TRAIN, SmallRehearsal, small_rehearsal

fork = multiprocessing.get_context('fork')


class Killed(BaseException):
    """As ``SIGKILL`` would: nothing gets to tidy up."""


@pytest.fixture(scope='module')
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> SmallRehearsal:
    return small_rehearsal(tmp_path_factory.mktemp('rehearsal'))


@pytest.fixture(scope='module')
def whole(rehearsal: SmallRehearsal) -> dict[str, dict[str, torch.Tensor]]:
    """What trainings that nobody kills come to."""
    parts = ('mattnet', 'ref-nms-b', 'cmae')
    for part in parts:
        assert command_line(rehearsal.training(part, rehearsal.folder)) == 0
    return {part: tensors_of(rehearsal.folder, part) for part in parts}


def tensors_of(folder: Path, part: str) -> dict[str, torch.Tensor]:
    return dict(load_weights(folder / f'weights/{part}-refcoco.safetensors').tensors)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], value) for name, value in other.items())


def kill_before(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die before a step, counted over all epochs and stages."""
    run, steps = ResumableLoop.run_iter, itertools.count()

    def run_iter(self: ResumableLoop, index: int, batch: object) -> None:
        if next(steps) == step:
            raise Killed
        run(self, index, batch)  # type: ignore[arg-type]
    monkeypatch.setattr(ResumableLoop, 'run_iter', run_iter)


def killed(command: list[str], step: int) -> None:
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
        kill_before(step, patched)
        command_line(command)


@pytest.mark.parametrize('part, step', [('mattnet', 1), ('mattnet', 3), ('ref-nms-b', 4), ('ref-nms-b', 7),
                                        ('cmae', 3), ('cmae', 5)])
def test_killed_before_any_step_it_ends_at_the_same_weights(part: str, step: int, rehearsal: SmallRehearsal,
                                                            whole: dict[str, dict[str, torch.Tensor]],
                                                            tmp_path: Path) -> None:
    """Of MAttNet's four steps three make an epoch; Ref-NMS has nine, and is validated after the fifth; CM-A-E has three
    in each of two stages."""
    command = rehearsal.training(part, tmp_path, '--checkpoint-every', '1')
    killed(command, step)
    assert not (tmp_path / 'weights').exists() and list((tmp_path / 'work').rglob('iter_*.pth'))
    assert command_line(command) == 0
    assert same(tensors_of(tmp_path, part), whole[part])


@pytest.mark.parametrize('part', ['mattnet', 'ref-nms-b'])
def test_what_another_recipe_data_or_detector_began_is_refused_before_an_image_is_looked_at(
        part: str, rehearsal: SmallRehearsal, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    killed(rehearsal.training(part, tmp_path, '--checkpoint-every', '1'), 2)
    stores = sorted(tmp_path.glob('work/*'))
    for more, said in ((('--recipe', 'embedded'), ' was '), (('--set', 'lr=0.25'), 'lr was 0.000'),
                       (('--data-root', str(other_data(rehearsal, tmp_path / 'data'))), 'sha256 of train was'),
                       (('--weights', f'detector={other_detector(rehearsal, tmp_path)}'), 'sha256 of detector was')):
        capsys.readouterr()
        assert command_line(rehearsal.training(part, tmp_path, *more)) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith('error: ') and said in line and '--work' in line
    assert sorted(tmp_path.glob('work/*')) == stores and not (tmp_path / 'weights').exists()


def other_data(rehearsal: SmallRehearsal, root: Path) -> Path:
    """The same images with one ref less."""
    shutil.copytree(rehearsal.root / 'refcoco', root / 'refcoco')
    (root / 'images').symlink_to(rehearsal.root / 'images')
    refs = root / 'refcoco/refs(unc).p'
    refs.write_bytes(pickle.dumps(pickle.loads(refs.read_bytes())[1:], protocol=2))
    return root


def other_detector(rehearsal: SmallRehearsal, folder: Path) -> Path:
    read, changed = load_weights(rehearsal.detector), 'roi_head.bbox_head.fc_cls.weight'
    path = folder / 'other.safetensors'
    save_weights(path, {**read.tensors, changed: read.tensors[changed] * 1.5}, dict(read.meta))
    return path


def begun(environment: dict[str, str], command: list[str]) -> None:
    """A training in an environment, by a process whose exit code is the training's."""
    os.environ.update(environment)
    sys.exit(command_line(command))


def test_two_processes_train_a_grounder_together(rehearsal: SmallRehearsal, tmp_path: Path) -> None:
    """As ``torchrun --nproc-per-node 2`` starts them: copies of this process, where all is imported."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = rehearsal.training('mattnet', tmp_path)
    processes = [fork.Process(target=begun, args=({
        'RANK': str(rank), 'LOCAL_RANK': str(rank), 'WORLD_SIZE': '2', 'LOCAL_WORLD_SIZE': '2',
        'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}, command), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    trained = load_weights(tmp_path / 'weights/mattnet-refcoco.safetensors')
    assert trained.meta['kind'] == 'mattnet' and all(bool(t.isfinite().all()) for t in trained.tensors.values())
    filled, = tmp_path.glob('work/annotated-*-train-*/filled.u1')
    assert filled.read_bytes() == bytes([1] * TRAIN)
    stored = torch.from_file(str(filled.with_name('image_pool5.f16')), dtype=torch.float16, size=TRAIN * 16 * 49)
    assert torch.equal(stored.reshape(TRAIN, 16, 7, 7), whole_images(rehearsal))
    assert command_line(command) == 0, 'finished before, whoever did it'


def whole_images(rehearsal: SmallRehearsal) -> torch.Tensor:
    dataset, detector, found = load_known('refcoco', rehearsal.root), rehearsal.load_detector(), AnnotatedFeatures()
    for info, _ in dataset.by_image(dataset.split('train')):
        found.add(detector.features(read_recorded(info).pixels, info, []))
    features: torch.Tensor = found.collected()['image_pool5']
    return features
