"""Ref-NMS from an mmdet config alone: mmdet's own detectors with random weights, shapes, laws and bad input."""
from __future__ import annotations

import copy
from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict
from mmengine.structures import InstanceData

import harness.mmdet_plugin  # noqa: F401 (registers)
from harness.boxes import pairwise_iou
from harness.data.plain import tokenize
from harness.detection.detector import Detector, detector_config, read_image
from harness.errors import InputError
from harness.files.weights import load_weights, save_weights, shipped_path
from harness.proposals.ref_nms import RefNMSB
from harness.types import Expression, ImageInfo

MODELS_OF_MMDET = Path(mmdet.__file__).parent / '.mim/configs/_base_/models'
CLASSES = 3
SMALL = dict(type='RefNMS', planes=8, blocks=1, hidden=8, mlp=16)
FPN = ('faster-rcnn_r50_fpn', 'mask-rcnn_r50_fpn', 'cascade-rcnn_r50_fpn', 'cascade-mask-rcnn_r50_fpn')
C4 = ('faster-rcnn_r50-caffe-c4', 'mask-rcnn_r50-caffe-c4')


@pytest.fixture(autouse=True)
def in_mmdet():
    init_default_scope('mmdet')
    torch.manual_seed(0)


def model_of(name: str, ref_nms: dict | None = SMALL, **options) -> ConfigDict:
    """mmdet's own config with Ref-NMS in it, narrow where widths are free, few regions."""
    model = Config.fromfile(MODELS_OF_MMDET / f'{name}.py').model
    if name in FPN:
        model.backbone.update(depth=18, base_channels=8)
        model.neck.update(in_channels=[8, 16, 32, 64], out_channels=16)
        model.rpn_head.update(in_channels=16, feat_channels=16)
    for part in ('bbox_head', 'mask_head'):
        for head in _each(model.roi_head.get(part)):
            head.num_classes = CLASSES
            if name in FPN:
                head.in_channels = 16
                head.update({'fc_out_channels': 24} if part == 'bbox_head' else {'conv_out_channels': 8})
    if name in FPN:
        for extractor in (model.roi_head.bbox_roi_extractor, model.roi_head.get('mask_roi_extractor')):
            if extractor:
                extractor.out_channels = 16
    model.backbone.pop('init_cfg', None)
    model.test_cfg.rpn.max_per_img = 12
    model.update(type='GroundingDetector', **options)
    if ref_nms is not None:
        model.ref_nms = dict(ref_nms)
    return model


def _each(part) -> list:
    return part if isinstance(part, list) else [] if part is None else [part]


def built(name: str, ref_nms: dict | None = SMALL, **options):
    return MODELS.build(model_of(name, ref_nms, **options)).eval()


def sample(text=('left cup', 'the red dog'), **more) -> DetDataSample:
    """An image of 40 × 32 pixels, seen at twice its size."""
    said = {} if text is None else {'text': text if isinstance(text, str) else list(text)}
    return DetDataSample(metainfo=dict(img_shape=(64, 80), ori_shape=(32, 40), scale_factor=(2.0, 2.0), img_id=7,
                                       img_path='seven.jpg', **said, **more))


def pixels(count: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, 64, 96, generator=torch.Generator().manual_seed(3))


# ------------------------------------------------------------------------------------------ mmdet's own detectors

@pytest.mark.parametrize(('name', 'features'), [
    *((name, 'crops') for name in (*FPN, *C4)), ('mask-rcnn_r50_fpn', 'head'), ('cascade-mask-rcnn_r50_fpn', 'head'),
    ('mask-rcnn_r50-caffe-c4', 'head')])
def test_each_sentence_has_its_proposals(name: str, features: str) -> None:
    detector = built(name, dict(type='RefNMS', hidden=8, mlp=16) if features == 'head' else SMALL,
                     box_features=features)
    seen, = detector.predict(pixels(), [sample()])
    assert len(seen.expressions) == 2
    for proposals, words in zip(seen.expressions, (['left', 'cup'], ['the', 'red', 'dog']), strict=True):
        keys = {'scores', 'det_scores', 'relatedness', 'labels', 'bboxes'} | ({'masks'} if 'mask' in name else set())
        assert set(proposals.keys()) == keys
        assert 0 < len(proposals) <= 100
        assert proposals.words == words and len(proposals.word_attention) == len(words)
        torch.testing.assert_close(proposals.scores, proposals.relatedness * proposals.det_scores)
        assert proposals.scores.tolist() == sorted(proposals.scores.tolist(), reverse=True)
        assert bool((proposals.relatedness > 0).all() and (proposals.relatedness < 1).all())
        assert set(proposals.labels.tolist()) <= set(range(CLASSES))
        assert bool((proposals.bboxes >= 0).all() and (proposals.bboxes <= torch.tensor([40., 32, 40, 32])).all())
        same = proposals.labels[:, None] == proposals.labels
        overlaps = pairwise_iou(proposals.bboxes, proposals.bboxes).nan_to_num(0).fill_diagonal_(0)
        assert bool((overlaps[same] <= 0.3 + 1e-5).all())
        if 'mask' in name:
            assert proposals.masks.shape == (len(proposals), 32, 40) and proposals.masks.dtype == torch.bool
    assert len(seen.pred_instances) == 2  # a list of sentences: the best box of each
    assert seen.pred_instances.scores.tolist() == [float(p.scores[0]) for p in seen.expressions]


def test_what_nms_leaves_out_overlaps_something_better_of_its_class() -> None:
    detector = built('faster-rcnn_r50_fpn')
    maps, (candidates,) = detector.look(pixels(), [sample()])
    features = detector.encode(maps, 0, candidates.bboxes)
    kept, = detector.rank(features, candidates, ['left cup'])
    with torch.no_grad():
        fused = detector.ref_nms.relatedness(features, [detector.words('left cup')[0]])[0] * candidates.det_scores
    assert len(candidates) > len(kept)
    best = set(kept.index.tolist())
    for loser in set(range(len(candidates))) - best:
        same = kept.labels == candidates.labels[loser]
        over = pairwise_iou(candidates.bboxes[loser:loser + 1], kept.bboxes)[0] > 0.3
        assert bool((same & over & (kept.scores >= fused[loser])).any())


def test_greedy_stands_beside_as_many_of_the_same_candidates() -> None:
    detector = built('mask-rcnn_r50_fpn')
    detector.ref_nms.threshold = 0.12
    _, (candidates,) = detector.look(pixels(), [sample()])
    seen, = detector.predict(pixels(), [sample(['left cup', 'the red dog', ''])])
    for greedy, own in zip(seen.greedy, seen.expressions, strict=True):
        assert set(greedy.keys()) == set(own.keys()) - {'masks'}
        assert 0 < len(greedy) <= len(own)
        assert greedy.det_scores[0] == candidates.det_scores.max()
        assert greedy.det_scores.tolist() == sorted(greedy.det_scores.tolist(), reverse=True)
        assert set(greedy.det_scores.tolist()) <= set(candidates.det_scores.tolist())
        torch.testing.assert_close(greedy.scores, greedy.relatedness * greedy.det_scores)
        assert bool((greedy.bboxes >= 0).all() and (greedy.bboxes <= torch.tensor([40., 32, 40, 32])).all())
    for greedy, own in zip(seen.greedy, seen.expressions, strict=True):  # a box of both is related to a sentence alike
        for number, box in enumerate(greedy.bboxes):
            same = ((own.bboxes - box).abs().max(dim=1).values < 1e-3) & (own.labels == greedy.labels[number])
            torch.testing.assert_close(own.scores[same], greedy.scores[number].expand(int(same.sum())))


def test_boxes_that_all_classes_share() -> None:
    """Class-agnostic regression: one box a region, whatever the class."""
    model = model_of('mask-rcnn_r50_fpn')
    model.roi_head.bbox_head.reg_class_agnostic = True
    model.roi_head.mask_head.class_agnostic = True
    detector = MODELS.build(model).eval()
    _, (candidates,) = detector.look(pixels(), [sample()])
    assert len(candidates.bboxes.unique(dim=0)) <= 12 < len(candidates)
    seen, = detector.predict(pixels(), [sample('left cup')])
    assert seen.pred_instances is seen.expressions[0] and len(seen.pred_instances.masks) > 0


def test_images_of_a_batch_do_not_see_each_other() -> None:
    detector, two = built('mask-rcnn_r50_fpn'), pixels(2)
    together = detector.predict(two, [sample('left cup'), sample(['red dog', 'cup', ''])])
    alone = [detector.predict(two[:1], [sample('left cup')])[0],
             detector.predict(two[1:], [sample(['red dog', 'cup', ''])])[0]]
    for one, other in zip(together, alone, strict=True):
        for a, b in zip(one.expressions, other.expressions, strict=True):
            torch.testing.assert_close(a.scores, b.scores, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(a.bboxes, b.bboxes, rtol=1e-4, atol=1e-3)


def test_network_pixels_if_asked_for() -> None:
    detector = built('faster-rcnn_r50_fpn')
    as_read, = detector.predict(pixels(), [sample('cup')])
    as_seen, = detector.predict(pixels(), [sample('cup')], rescale=False)
    torch.testing.assert_close(as_seen.pred_instances.bboxes, 2 * as_read.pred_instances.bboxes)


def test_the_embedded_benchmark_s_detector_gives_what_the_rule_gives(small_benchmark: Path) -> None:
    files = [shipped_path('detector'), shipped_path('ref-nms-b', 'mini-refcoco')]
    config = detector_config('embedded')
    plugged = MODELS.build({**config.model, 'type': 'GroundingDetector', 'weights': str(files[0]),
                            'ref_nms': dict(type='RefNMS', weights=str(files[1]))}).eval()
    plugged.init_weights()  # as a Runner does before training: what was read stays
    path = sorted((small_benchmark / 'images/train2014').iterdir())[0]
    image = read_image(path)
    detector = Detector(load_weights(files[0]))
    said = ['left person', 'red cup on the right']
    ready = detector.prepare(dict(img=image))
    data = dict(inputs=[torch.from_numpy(ready['img'].transpose(2, 0, 1).copy())], data_samples=[DetDataSample(
        metainfo=dict(img_shape=ready['img_shape'], ori_shape=image.shape[:2], scale_factor=ready['scale_factor'],
                      text=said))])
    seen, = plugged.test_step(data)
    features = detector.features(image, ImageInfo(1, *image.shape[:2]))
    expressions = [Expression('', '', 1, n, s, tokenize(s), (0, 0, 1, 1)) for n, s in enumerate(said)]
    for mine, rule in zip(seen.expressions, RefNMSB(load_weights(files[1]))(features, expressions), strict=True):
        assert mine.labels.tolist() == rule.labels.tolist()
        torch.testing.assert_close(mine.bboxes, rule.bboxes, rtol=1e-4, atol=1e-2)
        torch.testing.assert_close(mine.scores, rule.scores, rtol=1e-3, atol=1e-5)


# ------------------------------------------------------------------------------------------ learning

def annotated(text, boxes) -> DetDataSample:
    with_truth = sample(text)
    with_truth.gt_instances = InstanceData(bboxes=torch.tensor(boxes))
    return with_truth


@pytest.mark.parametrize('name', ['mask-rcnn_r50_fpn', 'cascade-rcnn_r50_fpn'])
def test_only_ref_nms_learns(name: str) -> None:
    detector = built(name).train()
    losses = detector.loss(pixels(), [annotated(['left cup', 'dog'], [[0., 0, 40, 40], [20, 10, 70, 60]])])
    assert set(losses) == {'loss_ref_nms'} and losses['loss_ref_nms'] > 0
    losses['loss_ref_nms'].backward()
    for path, parameter in detector.named_parameters():
        assert (parameter.grad is not None) == path.startswith('ref_nms.'), path
    assert all(bool(p.grad.isfinite().all()) for p in detector.ref_nms.parameters())
    assert detector.ref_nms.training and not any(m.training for m in detector.backbone.modules())


def test_steps_down_the_gradient_lower_the_loss() -> None:
    detector = built('faster-rcnn_r50_fpn', dict(SMALL, att_dropout=0., rank_dropout=0.))
    _, (candidates,) = detector.look(pixels(), [sample()])
    truth = candidates.bboxes[[3, 8]].tolist()
    optimizer = torch.optim.Adam(detector.ref_nms.parameters(), lr=0.01)
    losses = []
    for _ in range(8):
        torch.manual_seed(1)
        losses.append(detector.loss(pixels(), [annotated(['left cup', 'dog'], truth)])['loss_ref_nms'])
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_an_image_without_sentences_costs_nothing() -> None:
    loss = built('faster-rcnn_r50_fpn').train().loss(pixels(), [annotated([], torch.zeros(0, 4).tolist())])
    assert loss['loss_ref_nms'] == 0 and loss['loss_ref_nms'].requires_grad


# ------------------------------------------------------------------------------------------ what can be gone on with

def test_a_sentence_without_words_and_a_very_long_one_have_proposals() -> None:
    detector = built('faster-rcnn_r50_fpn', longest=64)
    seen, = detector.predict(pixels(), [sample(['', '  ', 'cup ' * 10_000])])
    assert all(len(proposals) for proposals in seen.expressions)
    assert [len(p.words) for p in seen.expressions] == [0, 0, 64]
    assert [p.left_out for p in seen.expressions] == [0, 0, 10_000 - 64]


def test_no_sentences_no_expressions() -> None:
    seen, = built('mask-rcnn_r50_fpn').predict(pixels(), [sample([])])
    assert seen.expressions == [] and len(seen.pred_instances) == 0


@pytest.mark.parametrize('name', ['faster-rcnn_r50_fpn', 'mask-rcnn_r50_fpn', 'cascade-mask-rcnn_r50_fpn'])
def test_an_image_without_regions_has_no_proposals(name: str) -> None:
    detector = built(name)
    nothing, one = sample(['cup', 'dog']), sample('cup')
    nothing.proposals, one.proposals = InstanceData(bboxes=torch.zeros(0, 4)), InstanceData(bboxes=torch.zeros(0, 4))
    seen, single = detector.predict(pixels(2), [nothing, one])
    assert [len(p) for p in seen.expressions] == [0, 0] and len(single.pred_instances) == 0
    assert seen.pred_instances.labels.tolist() == [-1, -1]  # a row a sentence all the same
    if 'mask' in name:
        assert seen.pred_instances.masks.shape == (2, 32, 40) and not seen.pred_instances.masks.any()


def test_beside_an_image_without_regions_another_has_some() -> None:
    nothing, some = sample('cup'), sample('cup')
    nothing.proposals = InstanceData(bboxes=torch.zeros(0, 4))
    some.proposals = InstanceData(bboxes=torch.tensor([[4., 4, 40, 40], [30, 10, 70, 60]]))
    seen = built('cascade-mask-rcnn_r50_fpn').predict(pixels(2), [nothing, some])
    assert len(seen[0].pred_instances) == 0 < len(seen[1].pred_instances)


def test_only_the_most_confident_candidates_are_looked_at() -> None:
    _, (everything,) = built('faster-rcnn_r50_fpn').look(pixels(), [sample()])
    torch.manual_seed(0)
    _, (few,) = built('faster-rcnn_r50_fpn', max_candidates=5).look(pixels(), [sample()])
    assert sorted(few.det_scores.tolist()) == everything.det_scores.sort().values[-5:].tolist()


# ------------------------------------------------------------------------------------------ bad input

def refused(message: str, act) -> None:
    with pytest.raises(InputError, match=message) as error:
        act()
    assert '\n' not in str(error.value) and '; ' in str(error.value)  # what is wrong; what to do


def changed(name: str = 'faster-rcnn_r50_fpn', **changes) -> ConfigDict:
    model = model_of(name)
    model.update(changes)
    return model


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(ref_nms=None), 'has no ref_nms; add'),
    (dict(ref_nms=dict(type='NMS')), "type='NMS' is not Ref-NMS"),
    (dict(ref_nms=dict(type='RefNMS', wings=2)), "ref_nms: .*'wings'"),
    (dict(ref_nms=dict(type='RefNMS', in_channels=1024)), 'takes 1024 channels, but the detector gives 16; set in_ch'),
    (dict(ref_nms=dict(type='RefNMS', planes=8), box_features='head'), 'takes 32 .* gives 24; set planes=6'),
    (dict(ref_nms=dict(type='RefNMS', word_dim=300)), 'word_dim=300, but the word vectors have 100'),
    (dict(ref_nms=dict(type='RefNMS', weights='not/there.safetensors')), 'there is no such weight file'),
    (dict(box_features='pixels'), "unknown; write 'crops' or 'head'"),
    (dict(roi_head=None), 'a one-stage detector'),
    (dict(bbox_hed=dict()), 'model.bbox_hed: unknown'),
    (dict(test_cfg=None), 'no test_cfg'),
])
def test_a_model_that_cannot_be(changes: dict, message: str) -> None:
    refused(message, lambda: MODELS.build(changed(**changes)))


def test_one_stage_detectors_of_mmdet() -> None:
    for name in 'retinanet_r50_fpn', 'ssd300':
        model = Config.fromfile(MODELS_OF_MMDET / f'{name}.py').model
        model.update(type='GroundingDetector', ref_nms=SMALL)
        refused('a one-stage detector', lambda model=model: MODELS.build(model))


def test_heads_of_different_classes() -> None:
    model = model_of('mask-rcnn_r50_fpn')
    model.roi_head.mask_head.num_classes = 80
    refused('different num_classes', lambda: MODELS.build(model))


def test_a_checkpoint_of_other_classes_of_other_words_or_of_its_own(tmp_path: Path) -> None:
    detector = built('mask-rcnn_r50_fpn')
    stored = copy.deepcopy(detector.state_dict())
    load_state_dict(detector, stored, strict=True)
    other = dict(stored, **{'roi_head.bbox_head.fc_cls.weight': torch.zeros(81, 24)})
    refused(r'fc_cls.weight is \(81, 24\), not \(4, 24\) \(the classes', lambda: load_state_dict(detector, other))
    vectors = tmp_path / 'few.txt'
    vectors.write_text(''.join(f'{word} {" ".join(["0.5"] * 100)}\n' for word in ('cup', 'dog')))
    another = built('mask-rcnn_r50_fpn', vectors=str(vectors))
    refused('another vocabulary than the 3 words here', lambda: load_state_dict(another, stored))
    alone = {name: value for name, value in stored.items() if not name.startswith(('ref_nms.', 'words.'))}
    load_state_dict(another, alone)  # mmdet's own checkpoint: the detector, under the same names


def test_weights_of_another_vocabulary_or_detector(tmp_path: Path) -> None:
    shipped = load_weights(shipped_path('ref-nms-b', 'mini-refcoco'))
    block = dict(type='RefNMS', weights=str(shipped.path))
    refused('takes 96 channels, but the detector gives 16', lambda: built('faster-rcnn_r50_fpn', block))
    refused('hidden=64 is not what', lambda: built('faster-rcnn_r50_fpn', dict(block, hidden=64)))
    fewer = tmp_path / 'fewer.safetensors'
    save_weights(fewer, shipped.tensors, {**shipped.meta, 'vocabulary': shipped.meta['vocabulary'][:-1]})
    refused('words but vectors of shape', lambda: built('faster-rcnn_r50_fpn', dict(block, weights=str(fewer))))


@pytest.mark.parametrize('text', [None, 7, [7], ['cup', None]])
def test_text_that_is_missing_or_none(text) -> None:
    asked = sample(None)
    if text is not None:
        asked.set_metainfo(dict(text=text))
    refused('image seven.jpg: .*text', lambda: built('faster-rcnn_r50_fpn').predict(pixels(), [asked]))


def test_features_that_are_not_numbers() -> None:
    detector, two = built('faster-rcnn_r50_fpn'), pixels(2)
    two[1, 0, 5, 5] = float('nan')
    spoilt = sample()
    spoilt.set_metainfo(dict(img_path='spoilt.jpg'))
    refused('image spoilt.jpg: .*features that are not numbers', lambda: detector.predict(two, [sample(), spoilt]))
    detector.roi_head.bbox_head.fc_cls.bias.data.fill_(float('nan'))
    refused('image seven.jpg: .*confidences that are not', lambda: detector.predict(pixels(), [sample()]))


def test_truth_that_does_not_fit_the_sentences() -> None:
    detector = built('faster-rcnn_r50_fpn').train()
    refused('2 sentences but 1 objects', lambda: detector.loss(pixels(), [annotated(['a', 'b'], [[0., 0, 9, 9]])]))
    refused('no gt_instances to learn from', lambda: detector.loss(pixels(), [sample()]))
