"""Data in the real layout and any detector of mmdet: all is trained and measured by commands, in miniature.

A training that only works with the shipped detector fails here.
"""
from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from harness.files.fingerprint import sha256_of
from harness.files.weights import load_weights
from run_benchmark import command_line
from tests.small_rehearsal import SPLIT, TINY, TRAIN, SmallRehearsal, small_rehearsal


@pytest.fixture(scope='module')
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> SmallRehearsal:
    return small_rehearsal(tmp_path_factory.mktemp('rehearsal'))


@pytest.fixture(scope='module')
def trained(rehearsal: SmallRehearsal) -> dict[str, Path]:
    """Every part, trained by the recipe ``released`` cut down; the weight files by name."""
    for part in TINY:
        assert command_line(rehearsal.training(part, rehearsal.folder)) == 0
    return {part: rehearsal.folder / f'weights/{part}-refcoco.safetensors' for part in TINY}


def test_every_part_learns_on_a_pyramid_from_features_stored_once(rehearsal: SmallRehearsal,
                                                                  trained: dict[str, Path]) -> None:
    made = {part: load_weights(path).meta for part, path in trained.items()}
    assert {meta['kind'] for meta in made.values()} == {'ref-nms', 'mattnet', 'cmae', 'nmtree'}
    assert [made[part]['loss'] for part in TINY if part.startswith('ref-nms')] == [
        'binary cross-entropy', 'ranking', 'binary cross-entropy']
    assert all(meta['command'].startswith('python run_benchmark.py train ') for meta in made.values())
    work = rehearsal.folder / 'work'
    assert len(list(work.glob('annotated-rehearsal-refcoco-*'))) == 2, 'train and val, shared by all grounders'
    for store in work.glob('regions-rehearsal-refcoco-*'):
        assert len(list(store.iterdir())) == TRAIN + SPLIT
    assert len(list(work.glob('regions-rehearsal-refcoco-*'))) == 2, 'with jittered boxes and without'


def test_what_was_trained_is_measured(rehearsal: SmallRehearsal, trained: dict[str, Path], tmp_path: Path,
                                      capsys: pytest.CaptureFixture) -> None:
    weights = {**trained, 'detector': rehearsal.detector}
    assert command_line([
        '--data-root', str(rehearsal.root), '--dataset', 'refcoco', '--split', 'testB', '--grounder', 'all',
        '--proposals', 'greedy,ref-nms-b,ref-nms-r', '--workers', '1', '--device', 'cpu', '--out', str(tmp_path / 'r'),
        *(f'--weights={name}={path}' for name, path in weights.items() if name != 'ref-nms-blind')]) == 0
    tables = capsys.readouterr().out
    assert 'rehearsal-refcoco' in tables and 'mini-refcoco' not in tables
    for name in ('mattnet', 'cmae', 'nmtree', 'greedy', 'ref-nms-b', 'ref-nms-r'):
        assert name in tables


def test_what_is_finished_stays_as_it_is(rehearsal: SmallRehearsal, trained: dict[str, Path],
                                         capsys: pytest.CaptureFixture) -> None:
    def contents() -> dict[Path, tuple[str, int]]:
        return {path: (sha256_of(path), path.stat().st_mtime_ns)
                for name in ('weights', 'work') for path in (rehearsal.folder / name).rglob('*') if path.is_file()}
    before = contents()
    for part in ('ref-nms-b', 'mattnet'):
        assert command_line(rehearsal.training(part, rehearsal.folder)) == 0
        assert f'{part}: finished before, {trained[part]}' in capsys.readouterr().err
    for part, changed, said in (('ref-nms-b', 'lr=0.25', 'lr was 0.0005, is 0.25'),
                                ('mattnet', 'lr=0.25', 'options.lr was 0.0004, is 0.25')):
        assert command_line(rehearsal.training(part, rehearsal.folder, '--set', changed)) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith('error: ') and said in line and '--work' in line
    assert contents() == before


def test_the_recipe_of_the_shipped_weights_works_too(rehearsal: SmallRehearsal, tmp_path: Path) -> None:
    assert command_line(rehearsal.training('nmtree', tmp_path, '--recipe', 'embedded',
                                           f'--weights=mattnet={mattnet(rehearsal)}')) == 0
    options = load_weights(tmp_path / 'weights/nmtree-refcoco.safetensors').meta['options']
    assert (options['decay'], options['lr'], options['memory_dim']) == ('smooth', 5e-3, 8)


def mattnet(rehearsal: SmallRehearsal) -> Path:
    """What NMTree learns with, trained unless it was."""
    assert command_line(rehearsal.training('mattnet', rehearsal.folder)) == 0
    return rehearsal.folder / 'weights/mattnet-refcoco.safetensors'


@pytest.mark.parametrize('part', ['ref-nms-r', 'nmtree'])
def test_a_dry_run_says_what_it_would_take_and_writes_nothing(part: str, rehearsal: SmallRehearsal, tmp_path: Path,
                                                              capsys: pytest.CaptureFixture) -> None:
    assert command_line(rehearsal.training(part, tmp_path, '--dry-run')) == 0
    said = capsys.readouterr().out
    assert f'expressions of {TRAIN} images to train on' in said and f'all {TRAIN + SPLIT} are there' in said
    assert 'h on one process' in said and not list(tmp_path.iterdir())


def test_the_steps_from_data_to_tables_can_be_listed(rehearsal: SmallRehearsal, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture) -> None:
    """The estimates of the trainings, each by a process of its own, are left out."""
    from harness.commands import steps

    def estimated(command: list[str], printed: IO[bytes]) -> int:
        assert command[0] == 'run_benchmark.py' and command[-1] == '--dry-run'
        printed.write(b'about 0.0 h\n')
        return 0
    monkeypatch.setattr(steps, '_call', estimated)
    assert command_line(['paper', '--data-root', str(rehearsal.root), '--detector', str(rehearsal.detector),
                         '--dataset', 'refcoco', '--out', str(tmp_path / 'paper'), '--dry-run']) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.partition('] ')[2] for line in lines if line.startswith('[')]
    assert names[0] == 'check-data' and names[-4:] == ['run refcoco', 'recall refcoco', 'tables', 'page']
    trainings = [name.split()[1] for name in names if name.startswith('train ')]
    assert set(trainings) == {'ref-nms-b', 'ref-nms-r', 'mattnet', 'cmae', 'nmtree'}
    assert trainings.index('mattnet') < trainings.index('nmtree') and lines.count('    about 0.0 h') == len(trainings)
    assert not list(tmp_path.iterdir())
