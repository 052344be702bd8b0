"""Any two-stage detector of mmdet: what it gives is what mmdet's own inference gives, and what its file may say."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import DefaultScope

import harness.mmdet_plugin  # noqa: F401 (registers)
from adapters.modular.object_features import ObjectFeatures
from harness.data.plain import tokenize
from harness.detection.model_config import check_description
from harness.detection.two_stage import TwoStageDetector
from harness.errors import InputError
from harness.files.weights import Weights, load_weights, save_weights, shipped_path
from harness.proposals.ref_nms import RefNMSB
from harness.proposals.ref_nms_network import RefNMS
from harness.types import Expression, ImageInfo
from tests.mmdet_families import CONFIGS, Family, differences, family

IMAGE = np.random.default_rng(3).integers(0, 255, (90, 120, 3), dtype=np.uint8)
#: The others have one map of 1,024 channels, whatever is narrowed.
PYRAMIDS = [name for name in CONFIGS if 'c4' not in name]


@pytest.fixture(scope='module')
def mask_rcnn() -> Family:
    return family('mask-r50-fpn', narrow=True)


@pytest.mark.parametrize('name', PYRAMIDS)
def test_candidates_with_greedy_are_what_mmdet_detects(name: str) -> None:
    most = differences(name, family(name, narrow=True), IMAGE)
    assert most['labels'] == 0 and most['scores'] < 1e-6 and most['bboxes'] < 1e-4
    assert most.get('masks', 0) < 1e-4


def test_other_numbers_of_classes_too() -> None:
    most = differences('three classes', family('cascade-mask-r50-fpn', narrow=True, classes=3), IMAGE)
    assert most['labels'] == 0 and most['bboxes'] < 1e-4


def test_features_without_space_are_the_same_in_every_cell(mask_rcnn: Family) -> None:
    detector = TwoStageDetector(mask_rcnn.weights)
    image = detector.features(IMAGE, ImageInfo(1, 90, 120))
    boxes = image.class_boxes[:3, 0]
    crops = image.pool(boxes)
    assert crops.shape == (3, 16, 7, 7) and image.head(crops).shape == (3, 32, 1, 1)
    objects = ObjectFeatures(image)
    rows = objects.rows(boxes)
    assert objects.fc7[rows].shape == (3, 32, 7, 7)
    assert torch.equal(objects.fc7[rows][:, :, 0, 0], objects.fc7[rows][:, :, 3, 5])


@pytest.mark.parametrize('maps', [False, True])
def test_it_continues_from_what_is_kept(mask_rcnn: Family, maps: bool) -> None:
    detector = TwoStageDetector(mask_rcnn.weights)
    image = detector.features(IMAGE, ImageInfo(1, 90, 120))
    kept = detector.to_store(image, maps)
    again = detector.from_store(kept, IMAGE, image.info)
    assert len(kept) == (7 if maps else 2)
    boxes = image.class_boxes[:3, 0]
    assert torch.equal(again.class_boxes, image.class_boxes) and torch.equal(again.pool(boxes), image.pool(boxes))
    labels = torch.zeros(3, dtype=torch.int64)
    assert detector.masks(again, boxes, labels) == detector.masks(image, boxes, labels)


def test_a_box_outside_the_image_has_an_empty_mask(mask_rcnn: Family) -> None:
    detector = TwoStageDetector(mask_rcnn.weights)
    image = detector.features(IMAGE, ImageInfo(1, 90, 120))
    empty, = detector.masks(image, torch.tensor([[500., 500, 600, 600]]), torch.tensor([0]))
    assert empty['size'] == [90, 120] and detector.masks(image, torch.zeros(0, 4), torch.zeros(0).long()) == []


def changed(description: dict[str, Any], *keys: Any, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(description)
    part = changed
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    return changed


@pytest.mark.parametrize(('keys', 'value', 'message'), [
    (('model', 'backbone', 'type'), 'os.system', 'mmdet has no part called os.system'),
    (('model', 'backbone', 'type'), 'posixpath', 'mmdet has no part called posixpath'),
    (('model', 'backbone', 'type'), 'ResNeet', 'did you mean ResNet'),
    (('model', 'backbone', 'type'), ['ResNet'], 'not the name of a part'),
    (('model', 'test_cfg', 'rcnn', 'nms', 'type'), '__import__("os")', 'mmdet has no part called'),
    (('model', 'backbone', 'init_cfg'), {'type': 'Pretrained', 'checkpoint': 'x.pth'}, 'its network has init_cfg'),
    (('model', 'backbone', '_scope_'), 'somebodys_package', 'its network has _scope_'),
    (('model', 'backbone', 'style'), '/etc/passwd', 'a path or an address'),
    (('model', 'backbone', 'base_channels'), 10 ** 9, 'larger than any'),
    (('model', 'type'), 'RetinaNet', 'RetinaNet is not a two-stage detector'),
    (('model', 'roi_head'), None, 'is not a two-stage detector'),
    (('pipeline',), [{'type': 'LoadImageFromFile'}], 'its test pipeline has LoadImageFromFile'),
    (('pipeline',), 'Resize', 'describes no mmdet network')])
def test_a_description_of_anything_else_is_refused_before_anything_is_built(
        mask_rcnn: Family, keys: tuple[str, ...], value: object, message: str) -> None:
    meta = changed(mask_rcnn.weights.meta, *keys, value=value)
    with pytest.raises(InputError, match=message) as refused:
        check_description(meta, 'detector.safetensors')
    assert str(refused.value).startswith('detector.safetensors: ') and '\n' not in str(refused.value)


def test_weights_of_another_config_are_refused(mask_rcnn: Family) -> None:
    tensors = dict(mask_rcnn.weights.tensors)
    del tensors['backbone.conv1.weight']
    with pytest.raises(InputError, match=r'x: weights of another network: backbone\.conv1\.weight is missing'):
        TwoStageDetector(Weights(Path('x'), tensors, mask_rcnn.weights.meta, 'x'))


def test_names_of_other_classes_are_refused(mask_rcnn: Family) -> None:
    meta = {**mask_rcnn.weights.meta, 'classes': ['cat']}
    with pytest.raises(InputError, match='names 1 classes, its network has 80'):
        TwoStageDetector(Weights(Path('x'), mask_rcnn.weights.tensors, meta, 'x'))


def test_the_harness_and_the_plug_in_for_mmdet_propose_the_same(mask_rcnn: Family, tmp_path: Path) -> None:
    """One config, checkpoint and Ref-NMS, by ``run_benchmark.py`` and by what mmdet's own ``tools/test.py`` calls."""
    sizes = dict(in_channels=16, planes=8, blocks=1, word_dim=4, hidden=8, mlp=16, threshold=0.017, delta=0.01)
    torch.manual_seed(5)
    words = ['<unk>', 'left', 'cup', 'red', 'dog']
    save_weights(tmp_path / 'ref-nms.safetensors', {
        'words': torch.randn(len(words), 4), **{f'model.{k}': v for k, v in RefNMS(**sizes).state_dict().items()}},
        {'kind': 'ref-nms', 'model': sizes, 'vocabulary': words, 'threshold': sizes['threshold']})

    model = copy.deepcopy(mask_rcnn.config.model)
    model.update(type='GroundingDetector', ref_nms=dict(type='RefNMS', weights=str(tmp_path / 'ref-nms.safetensors')))
    with DefaultScope.overwrite_default_scope('mmdet'):
        plugged: Any = MODELS.build(model).eval()
    missing, unexpected = plugged.load_state_dict(mask_rcnn.weights.tensors, strict=False)
    assert not unexpected and [name for name in missing if not name.startswith(('ref_nms.', 'words.'))] == []

    detector = TwoStageDetector(mask_rcnn.weights)
    said = ['left cup', 'the red dog']
    ready = detector.prepare({'img': IMAGE, 'img_id': 0})
    ready['data_samples'].set_metainfo({'text': said})
    seen, = plugged.test_step({'inputs': [ready['inputs']], 'data_samples': [ready['data_samples']]})
    rule = RefNMSB(load_weights(tmp_path / 'ref-nms.safetensors'))
    expressions = [Expression('', '', 1, n, s, tokenize(s), (0, 0, 1, 1)) for n, s in enumerate(said)]
    for theirs, found in zip(seen.expressions, rule(detector.features(IMAGE, ImageInfo(1, 90, 120)), expressions),
                             strict=True):
        assert 1 < len(theirs) < 100 and theirs.labels.tolist() == found.labels.tolist()
        torch.testing.assert_close(theirs.bboxes, found.bboxes, rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(theirs.scores, found.scores, rtol=1e-4, atol=1e-6)


def test_a_ref_nms_of_other_crops_is_refused_in_one_line(mask_rcnn: Family) -> None:
    rule = RefNMSB(load_weights(shipped_path('ref-nms-b', 'mini-refcoco')))
    image = TwoStageDetector(mask_rcnn.weights).features(IMAGE, ImageInfo(1, 90, 120))
    with pytest.raises(InputError, match='takes crops of 96 channels, the detector gives 16'):
        rule(image, [Expression('', '', 1, 1, 'cup', ('cup',), (0, 0, 1, 1))])
