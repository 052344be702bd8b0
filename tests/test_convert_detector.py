"""``convert --as detector``: checkpoints of mmdet and of mmengine's Runner, with the config that they belong to."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import MultiStepLR, OptimWrapper

from harness.files.weights import load_weights
from run_benchmark import command_line
from tests.mmdet_families import Family, family

CLASSES = [f'class {i}' for i in range(80)]


@pytest.fixture(scope='module')
def mask_rcnn() -> Family:
    return family('mask-r50-fpn', narrow=True)


@pytest.fixture
def config(mask_rcnn: Family, tmp_path: Path) -> Path:
    path = tmp_path / 'my_config.py'
    mask_rcnn.config.dump(path)
    return path


def checkpoint(path: Path, tensors: dict[str, torch.Tensor], **more: Any) -> Path:
    torch.save({'state_dict': tensors, **more}, path)
    return path


def of_a_runner(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """What mmengine's Runner saves beside the weights: an optimiser, schedulers, and a message hub with histories."""
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    hub = MessageHub.get_instance(path.name)
    for i in range(3):
        hub.update_scalar('train/loss', torch.tensor(0.5 * i))
        hub.update_scalar('val/map', np.float32(0.2))
    hub.update_info('best', np.float64(0.3))
    scheduler = MultiStepLR(OptimWrapper(optimizer), milestones=[1, 2])
    return checkpoint(path, tensors, message_hub=hub.state_dict(), optimizer=optimizer.state_dict(),
                      param_schedulers=[scheduler.state_dict()],
                      meta={'epoch': 1, 'cfg': 'x = 1',
                            'dataset_meta': {'classes': tuple(CLASSES), 'palette': [(1, 2, 3)]}})


def convert(*words: object) -> int:
    return command_line(['convert', *map(str, words), '--as', 'detector'])


def test_a_file_of_a_runner_becomes_a_detector_that_runs(mask_rcnn: Family, config: Path, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'detector.safetensors'
    path = of_a_runner(tmp_path / 'epoch_1.pth', mask_rcnn.weights.tensors)
    assert convert(path, out, '--config', config) == 0, capsys.readouterr().err
    weights = load_weights(out)
    assert weights.meta['classes'] == CLASSES and weights.meta['model']['type'] == 'MaskRCNN'
    assert all(torch.equal(weights.tensors[k], v) for k, v in mask_rcnn.weights.tensors.items())
    run = ['--dataset', 'mini-refcoco', '--split', 'val', '--limit', '2', '--weights', f'detector={out}']
    assert command_line([*run, '--proposals', 'greedy', '--task', 'recall', '--out', str(tmp_path / 'run')]) == 0
    assert command_line([*run, '--task', 'recall', '--proposals', 'ref-nms-b', '--out', str(tmp_path / 'other')]) == 2
    assert 'takes crops of 96 channels, the detector gives 16' in capsys.readouterr().err


def test_the_file_does_not_need_its_config_again(mask_rcnn: Family, config: Path, tmp_path: Path) -> None:
    out = tmp_path / 'detector.safetensors'
    assert convert(checkpoint(tmp_path / 'x.pth', mask_rcnn.weights.tensors), out, '--config', config) == 0
    config.write_text('raise RuntimeError')
    assert load_weights(out).meta['classes'][0] == 'person', "80 classes without names are COCO's"


@pytest.mark.parametrize(('make', 'words', 'message'), [
    (None, ('--config', 'mmdet::mask_rcnn/mask-rcnn_r50_fpm_1x_coco.py'), 'did you mean'),
    (None, ('--config', 'mmdet::../../../../secrets.py'), 'the installed mmdet has no such config'),
    (None, ('--config', 'nowhere.py'), 'there is no such file'),
    (None, (), 'add --config NAME'),
    (None, ('--config', 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'), 'RetinaNet is not a two-stage detector'),
    (None, ('--config', 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'), 'weights of another network'),
    ('raise ValueError("no")', ('--config', 'own.py'), 'cannot be run (ValueError: no)'),
    ('model = 3', ('--config', 'own.py'), 'has no model'),
    ("model = dict(type='MaskRCNN', backbone=dict(type='Nonesuch'), roi_head=dict(), rpn_head=dict())",
     ('--config', 'own.py'), 'mmdet has no part called Nonesuch')])
def test_what_does_not_fit_is_refused_in_one_line(mask_rcnn: Family, tmp_path: Path, make: str | None,
                                                  words: tuple[str, ...], message: str,
                                                  monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    if make is not None:
        Path('own.py').write_text(make)
    path = checkpoint(tmp_path / 'x.pth', {'backbone.conv1.weight': torch.zeros(3, 3, 7, 7)})
    assert convert(path, 'out.safetensors', *words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error and not Path('out.safetensors').exists()


def test_classes_that_nobody_names_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three = family('mask-r50-fpn', narrow=True, classes=3)
    three.config.dump(tmp_path / 'three.py')
    words = (checkpoint(tmp_path / 'x.pth', three.weights.tensors), tmp_path / 'out.safetensors', '--config',
             tmp_path / 'three.py')
    assert convert(*words) == 2
    assert 'has 3 classes, but the checkpoint does not say what they are called' in capsys.readouterr().err
    (tmp_path / 'names.txt').write_text('cup\nplate\nfork\n')
    assert convert(*words, '--classes', tmp_path / 'names.txt') == 0
    assert load_weights(tmp_path / 'out.safetensors').meta['classes'] == ['cup', 'plate', 'fork']
    (tmp_path / 'names.txt').write_text('cup\n\nfork\n')
    assert convert(*words, '--classes', tmp_path / 'names.txt') == 2
    assert 'line 2' in capsys.readouterr().err


def test_options_of_other_kinds_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint(tmp_path / 'x.pth', {'a': torch.zeros(1)})
    for words in (('--config', 'x.py'), ('--classes', 'x.txt')):
        assert command_line(['convert', str(path), 'out.safetensors', '--as', 'nmtree', *words]) == 2
        assert 'belongs to --as detector' in capsys.readouterr().err
