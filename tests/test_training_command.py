"""``train``: parts in order, what is finished is not done again, images are seen once whatever is trained on them."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.errors import InputError
from harness.training import command
from harness.training.command import Training
from harness.training.grounder import Material
from harness.weights import SHIPPED, load_weights, save_weights
from run_benchmark import command_line


def writer(path: Path, work: Path, origin: str) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    save_weights(path, {'a': torch.zeros(1)}, {'command': origin})
    return path


def test_a_finished_part_is_not_done_again_unless_its_file_changed(tmp_path: Path) -> None:
    training = Training(tmp_path / 'out', tmp_path / 'work', seed=5)
    calls: list[str] = []

    def train(path: Path, work: Path, origin: str) -> Path:
        calls.append(origin)
        return writer(path, work, origin)
    for _ in range(2):
        training._part('ref-nms-b-mini-refcoco+', train)
    assert calls == ['python run_benchmark.py train ref-nms-b --dataset mini-refcoco+ --seed 5']
    (tmp_path / 'out/ref-nms-b-mini-refcoco+.safetensors').write_bytes(b'something else')
    training._part('ref-nms-b-mini-refcoco+', train)
    assert len(calls) == 2


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert command_line(['train', 'detectr']) == 2
    assert 'did you mean detector?' in capsys.readouterr().err


def test_all_means_the_detector_first_then_dataset_by_dataset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done: list[str] = []
    monkeypatch.setattr(Training, '_part', lambda self, name, train: done.append(name))
    monkeypatch.setattr(command, 'part_folder', lambda part: tmp_path)
    assert command_line(['train', 'all', '--dataset', 'mini-refcoco,mini-refcocog']) == 0
    assert done[0] == 'detector'
    half = len(done) // 2 + 1
    for dataset, parts in (('mini-refcoco', done[1:half]), ('mini-refcocog', done[half:])):
        assert parts[0] == f'ref-nms-b-{dataset}'
        assert set(parts[1:]) == {f'{grounder}-{dataset}' for grounder in ('cmae', 'mattnet', 'nmtree')}
        assert parts.index(f'mattnet-{dataset}') < parts.index(f'nmtree-{dataset}'), 'which learns on what it sees'


def test_a_grounder_can_ask_for_the_weights_of_another_of_its_dataset(monkeypatch: pytest.MonkeyPatch,
                                                                      tmp_path: Path) -> None:
    training = Training(tmp_path / 'out', tmp_path / 'work', seed=5)
    monkeypatch.setattr(training, '_dataset', lambda name, part: None)
    monkeypatch.setattr(training, '_annotated', lambda name, split: None)
    asked: list[Material] = []

    def train(grounder: str, material: Material, path: Path, work: Path, *, command: str, seed: int) -> Path:
        asked.append(material)
        return writer(path, work, command)
    monkeypatch.setattr(command, 'train_grounder', train)
    training.grounder_file('nmtree', 'mini-refcoco')
    with pytest.raises(InputError, match=r'mattnet-mini-refcoco\.safetensors'):
        asked[0].trained('mattnet')
    writer(tmp_path / 'out/mattnet-mini-refcoco.safetensors', tmp_path / 'work', 'the one asked for')
    assert asked[0].trained('mattnet').meta['command'] == 'the one asked for'


def test_datasets_that_share_images_share_what_is_seen_of_them(small_benchmark: Path, tmp_path: Path) -> None:
    training = Training(SHIPPED, tmp_path, seed=1)
    first = training._regions('mini-refcoco', 'val')
    seen = dict(first)
    second = training._regions('mini-refcoco+', 'val')
    assert all(second[image_id] is seen[image_id] for image_id in seen), 'nothing was detected twice'
    annotated = training._annotated('mini-refcoco', 'val')
    dataset = training._dataset('mini-refcoco', 'eval')
    wanted = {a.ann_id for e in dataset.split('val') for a in (dataset.annotations or {})[e.image_id]}
    assert wanted <= set(annotated['ann_ids'])
    assert len(annotated['pool5']) == len(annotated['fc7']) == len(annotated['ann_ids'])
    assert len(annotated['image_pool5']) == len(annotated['image_ids'])


def test_without_a_detector_nothing_else_can_be_trained(tmp_path: Path, small_benchmark: Path) -> None:
    with pytest.raises(InputError, match=r'detector\.safetensors'):
        Training(tmp_path, tmp_path, seed=1)._regions('mini-refcoco', 'val')


def test_the_shipped_detector_names_the_command_that_trains_it() -> None:
    assert load_weights(SHIPPED / 'detector.safetensors').meta['command'] == 'python run_benchmark.py train detector'
