"""``train``: parts in order, what is finished is not done again, images are seen once whatever is trained on them."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.commands import shipped_weights
from harness.commands import train as command
from harness.commands.shipped_weights import Training
from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.files.weights import SHIPPED, load_weights, save_weights, shipped_path
from harness.training.grounder import Material
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
        training._part('ref-nms-b-mini-refcoco+', train, lambda: {'lr': 0.1})
    assert calls == ['python run_benchmark.py train ref-nms-b --dataset mini-refcoco+ --seed 5']
    (tmp_path / 'out/ref-nms-b-mini-refcoco+.safetensors').write_bytes(b'something else')
    training._part('ref-nms-b-mini-refcoco+', train, lambda: {'lr': 0.1})
    assert len(calls) == 2


def test_a_part_that_another_recipe_finished_is_not_taken_over(tmp_path: Path) -> None:
    training = Training(tmp_path / 'out', tmp_path / 'work', seed=5)
    training._part('cmae-mini-refcoco', writer, lambda: {'lr': 0.1, 'epochs': 3})
    with pytest.raises(InputError, match=r'cmae-mini-refcoco-seed5: .*lr was 0.1, is 0.5; ') as refused:
        training._part('cmae-mini-refcoco', writer, lambda: {'lr': 0.5, 'epochs': 3})
    assert 'epochs' not in str(refused.value) and '\n' not in str(refused.value)
    done = tmp_path / 'work/cmae-mini-refcoco-seed5/finished.json'
    kept = json.loads(done.read_text())
    done.write_text(json.dumps({'sha256': kept['sha256']}))  # as an older version wrote it
    with pytest.raises(InputError, match='does not say what shaped'):
        training._part('cmae-mini-refcoco', writer, lambda: {'lr': 0.1, 'epochs': 3})


def test_what_shapes_a_grounder_is_data_detector_vectors_code_and_what_it_learns_on(
        small_benchmark: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shipped_weights, 'load_embedded', lambda name, part: load_embedded(name))
    training = Training(tmp_path, tmp_path, seed=5, beside=SHIPPED)
    record = training._grounder_record('nmtree', 'mini-refcoco')
    assert record['seed'] == 5 and record['vectors'] == training.vectors.name
    assert record['sha256 of detector'] == load_weights(SHIPPED / 'detector.safetensors').sha256
    assert record['sha256 of mattnet'] == load_weights(shipped_path('mattnet', 'mini-refcoco')).sha256
    writer(tmp_path / 'mattnet-mini-refcoco.safetensors', tmp_path, 'another one')
    other = training._grounder_record('nmtree', 'mini-refcoco')
    assert [name for name in record if record[name] != other[name]] == ['sha256 of mattnet']


@pytest.mark.parametrize('more, folder', [([], 'results/weights'), (['--overwrite'], SHIPPED), (['--out', 'w'], 'w')])
def test_shipped_weights_are_replaced_when_that_is_asked_for_alone(
        more: list[str], folder: str | Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    into: list[Path] = []
    monkeypatch.setattr(Training, '_part', lambda self, *_: into.append(self.out))
    monkeypatch.setattr(shipped_weights, 'part_folder', lambda part: tmp_path)
    assert command_line(['train', 'all', '--dataset', 'mini-refcoco', *more]) == 0
    assert set(into) == {Path(folder)}
    said = ' '.join(capsys.readouterr().err.split())
    assert f'weights are in {folder}' in said and ('--overwrite puts new ones' in said) is (folder != SHIPPED)


@pytest.mark.parametrize('arguments, said', [
    (['--out', str(SHIPPED)], 'holds the shipped weights'), (['--out', 'w', '--overwrite'], 'leave one of the two out'),
    (['--seed', '-1'], '--seed -1: must be from 0'), (['--seed', '1' * 400], '--seed 1'),
    (['--out', __file__], 'is a file; choose a folder'), (['--datset', 'x'], 'did you mean --dataset')])
def test_bad_options_are_one_line_before_anything_is_done(arguments: list[str], said: str, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Training, '_part', lambda *_: pytest.fail('it began'))
    assert command_line(['train', 'all', *arguments]) == 2
    line = capsys.readouterr().err
    assert said in line and line.count('\n') == 1 and len(line) < 300
    assert not list(tmp_path.iterdir())


def test_a_dataset_has_no_effect_on_the_detector(capsys: pytest.CaptureFixture) -> None:
    assert command_line(['train', 'detector', '--dataset', 'mini-refcoco']) == 2
    assert 'all datasets share one detector' in capsys.readouterr().err


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert command_line(['train', 'detectr']) == 2
    assert 'did you mean detector?' in capsys.readouterr().err


def test_all_means_the_detector_first_then_dataset_by_dataset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done: list[str] = []
    monkeypatch.setattr(Training, '_part', lambda self, name, *_: done.append(name))
    monkeypatch.setattr(shipped_weights, 'part_folder', lambda part: tmp_path)
    assert command_line(['train', 'all', '--dataset', 'mini-refcoco,mini-refcocog']) == 0
    assert done[0] == 'detector'
    half = len(done) // 2 + 1
    for dataset, parts in (('mini-refcoco', done[1:half]), ('mini-refcocog', done[half:])):
        assert parts[0] == f'ref-nms-b-{dataset}'
        assert set(parts[1:]) == {f'{part}-{dataset}' for part in (
            'ref-nms-r', 'ref-nms-blind', 'cmae', 'mattnet', 'nmtree')}
        assert parts.index(f'mattnet-{dataset}') < parts.index(f'nmtree-{dataset}'), 'which learns on what it sees'


def test_a_grounder_can_ask_for_the_weights_of_another_of_its_dataset(monkeypatch: pytest.MonkeyPatch,
                                                                      tmp_path: Path) -> None:
    training = Training(tmp_path / 'out', tmp_path / 'work', seed=5)
    monkeypatch.setattr(training, '_dataset', lambda name, part: None)
    monkeypatch.setattr(training, '_annotated', lambda name, split: None)
    asked: list[Material] = []

    def train(grounder: str, material: Material, path: Path, work: Path, *, command: str, **_: Any) -> Path:
        asked.append(material)
        return writer(path, work, command)
    monkeypatch.setattr(shipped_weights, 'train_grounder', train)
    monkeypatch.setattr(training, '_grounder_record', lambda grounder, name: {})
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


@pytest.mark.parametrize('arguments, said', [
    (['--overwrite'], '--overwrite: the shipped weights are part of an installed package; leave it out, and give '
                      'results/weights to a run by --weights NAME=FILE'),
    (['--out', str(SHIPPED)], 'holds the shipped weights; choose another folder')])
def test_an_installed_package_is_not_written_into(arguments: list[str], said: str, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, 'CHECKOUT', False)
    monkeypatch.setattr(Training, '_part', lambda *_: pytest.fail('it began'))
    assert command_line(['train', 'all', *arguments]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_an_installed_package_is_not_said_to_be_replaceable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                            capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, 'CHECKOUT', False)
    monkeypatch.setattr(Training, '_part', lambda *_: None)
    monkeypatch.setattr(shipped_weights, 'part_folder', lambda part: tmp_path)
    assert command_line(['train', 'all', '--dataset', 'mini-refcoco']) == 0
    said = ' '.join(capsys.readouterr().err.split())
    assert 'are as they were' in said and '--overwrite' not in said


def test_all_is_what_is_shipped_and_a_part_beside_it_is_one_of_them_or_refused(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    done: list[str] = []
    monkeypatch.setattr(Training, '_part', lambda self, name, *_: done.append(name))
    monkeypatch.setattr(shipped_weights, 'part_folder', lambda part: tmp_path)
    assert command_line(['train', 'all', 'ref-nms-r', '--dataset', 'mini-refcoco']) == 0
    assert done == ['detector', *(f'{part}-mini-refcoco' for part in (
        'ref-nms-b', 'ref-nms-r', 'ref-nms-blind', 'cmae', 'mattnet', 'nmtree'))], 'each once'
    assert command_line(['train', 'all', 'detectr']) == 2
    assert 'did you mean detector?' in capsys.readouterr().err
