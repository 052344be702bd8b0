"""The harness's metrics in mmengine's loop, beside mmdet's own, on mmdet's two RefCOCO datasets."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData

import harness.mmdet_plugin  # noqa: F401 (registers)
from harness.detection.detector import Detector, detector_config, read_image
from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.evaluation.predictions import Truth, prediction_rows
from harness.files.weights import load_weights, shipped_path
from harness.metrics.recall import MeanProposals, ReferentRecall
from harness.mmdet_plugin.reg_metric import read_mdetr_boxes
from harness.proposals.confidence import Confidence
from harness.proposals.ref_nms import RefNMSB

SIZE = (40, 60)


@pytest.fixture(autouse=True)
def in_mmdet(monkeypatch: pytest.MonkeyPatch):
    init_default_scope('mmdet')
    # A Runner writes its config down prettily, which takes longer than all that is tested here.
    monkeypatch.setattr(Config, 'pretty_text', property(lambda config: str(config.to_dict())))


def box_mask(box) -> np.ndarray:
    """The pixels of an xyxy box of whole numbers."""
    x1, y1, x2, y2 = map(int, box)
    mask = np.zeros(SIZE, np.uint8)
    mask[y1:y2, x1:x2] = 1
    return mask


def proposals(boxes, scores, **told) -> InstanceData:
    boxes = np.reshape(boxes, (-1, 4))
    own = InstanceData(metainfo=told, bboxes=torch.tensor(boxes, dtype=torch.float32), scores=torch.tensor(scores),
                       labels=torch.zeros(len(scores), dtype=torch.int64))
    own.masks = torch.from_numpy(np.array([box_mask(b) for b in boxes]).reshape(-1, *SIZE)).bool()
    return own


def answered(img_id: int, text, expressions, gold) -> DetDataSample:
    """What a grounding model gives for an image, with its truth as boxes and as masks of the same pixels."""
    masks = BitmapMasks(np.array([box_mask(b) for b in gold]).reshape(-1, *SIZE), *SIZE)
    sample = DetDataSample(metainfo=dict(img_id=img_id, text=text, gt_masks=masks))
    sample.gt_instances = InstanceData(bboxes=torch.tensor(np.reshape(gold, (-1, 4)), dtype=torch.float32))
    sample.expressions = expressions
    best = [own[:1] for own in expressions]
    sample.pred_instances = expressions[0] if isinstance(text, str) else InstanceData.cat(best) if best else None
    return sample


def figures(samples, *metrics) -> dict:
    evaluator = Evaluator(list(metrics) or dict(type='REGMetric'))
    for sample in samples:
        evaluator.process([sample])
    return {name: float(value) for name, value in evaluator.evaluate(len(samples)).items()}


# ------------------------------------------------------------------------------------------ by hand

def test_figures_worked_out_by_hand() -> None:
    gold = [[0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]]
    right = proposals([[0, 0, 10, 8], [20, 20, 30, 30]], [0.9, 0.5], words=['a'], left_out=0)       # IoU 0.8
    second = proposals([[40, 0, 50, 10], [20, 0, 30, 10]], [0.9, 0.8], words=[], left_out=0)        # the other hits
    nothing = proposals([], [], words=['a'] * 64, left_out=3)
    found = figures([answered(1, ['a', '', 'a ' * 67], [right, second, nothing], gold)])
    assert found['reg/referent_recall'] == pytest.approx(200 / 3)
    assert found['reg/mean_proposals'] == pytest.approx(4 / 3)
    assert found['reg/accuracy'] == found['reg/accuracy_strict'] == pytest.approx(100 / 3)
    assert found['reg/overall_iou'] == pytest.approx(100 * 80 / (100 + 200 + 100))
    assert found['reg/pr@0.8'] == pytest.approx(100 / 3) and found['reg/pr@0.9'] == 0
    assert [found[f'reg/{n}'] for n in ('expressions', 'without_proposals', 'without_words', 'cut')] == [3, 1, 1, 1]


def test_greedy_s_figures_stand_beside() -> None:
    gold = [[0, 0, 10, 10], [20, 0, 30, 10]]
    sample = answered(1, ['a', 'b'], [proposals([gold[0], gold[1]], [0.9, 0.1]), proposals([gold[1]], [0.8])], gold)
    first, none = [0, 0, 10, 4], [40, 0, 50, 10]  # IoU 0.4, and 0
    sample.greedy = [proposals([first, gold[0]], [0.7, 0.3]), proposals([none], [0.1])]
    found = figures([sample])
    assert (found['reg/referent_recall'], found['reg/accuracy'], found['reg/overall_iou']) == (100, 100, 100)
    assert (found['reg/greedy_referent_recall'], found['reg/greedy_accuracy']) == (50, 0)
    assert found['reg/mean_proposals'] == found['reg/greedy_mean_proposals'] == 1.5
    assert found['reg/expressions'] == 2 and not any('greedy' in name and 'iou' in name for name in found)
    assert 'reg/greedy_referent_recall' not in figures([sample], dict(type='REGMetric', tasks=('rec',)))


def test_without_masks_there_is_no_res_and_one_task_is_one_task() -> None:
    own = proposals([[0, 0, 10, 10]], [0.9])
    del own.masks
    found = figures([answered(1, 'a', [own], [[0, 0, 10, 10]])])
    assert found['reg/accuracy'] == 100 and not any('iou' in name for name in found)
    assert 'reg/referent_recall' not in figures([answered(1, 'a', [own], [[0, 0, 10, 10]])],
                                                dict(type='REGMetric', tasks=('rec',)))


def test_a_grounding_model_of_mmdet_has_only_pred_instances() -> None:
    sample = answered(1, 'left cup', [proposals([[0, 0, 5, 5], [0, 0, 10, 10]], [0.2, 0.9])], [[0, 0, 10, 10]])
    del sample.expressions
    assert figures([sample])['reg/accuracy'] == 100


# ------------------------------------------------------------------------------------------ beside mmdet's metrics

def mdetr_file(path: Path, gold: dict[int, list[float]], names=('refcoco', 'refcoco+', 'refcocog')) -> str:
    """Annotations as MDETR's ``finetune_refcoco_val.json``: an image stands for one sentence."""
    images = [dict(id=n, file_name=f'{n}.jpg', height=SIZE[0], width=SIZE[1], caption='a', dataset_name=names[n % 3])
              for n in gold]
    rows = [dict(id=n, image_id=n, category_id=1, bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1),
                 iscrowd=0) for n, (x1, y1, x2, y2) in gold.items()]
    path.write_text(json.dumps(dict(images=images, annotations=rows, categories=[dict(id=1, name='object')])))
    return str(path)


def made_up(count: int, seed: int = 0) -> tuple[list[DetDataSample], dict[int, list[float]]]:
    """Sentences with up to eight proposals, some of them near the referent."""
    random = np.random.default_rng(seed)

    def boxes(n: int) -> np.ndarray:
        corner = random.integers(0, 20, (n, 2))
        return np.concatenate([corner, corner + random.integers(3, 20, (n, 2))], 1).astype(float)

    gold = {n: boxes(1)[0].tolist() for n in range(count)}
    samples = []
    for n, referent in gold.items():
        near = np.clip(np.array(referent) + random.integers(-2, 3, (3, 4)), 0, 40)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 3)
        own = np.concatenate([near, boxes(random.integers(1, 5))])
        scores = np.sort(random.random(len(own)))[::-1].tolist()
        samples.append(answered(n, 'a', [proposals(random.permutation(own), scores)], [referent]))
    return samples, gold


def test_accuracy_is_refexp_s_precision_at_1(tmp_path: Path) -> None:
    samples, gold = made_up(90)
    theirs = dict(type='RefExpMetric', ann_file=mdetr_file(tmp_path / 'val.json', gold))
    for third, name in enumerate(('refcoco', 'refcoco+', 'refcocog')):
        own = [sample for sample in samples if sample.img_id % 3 == third]
        found = figures(own, dict(type='REGMetric'), theirs)
        assert 0 < found['reg/accuracy'] < 100
        assert found['reg/accuracy'] == pytest.approx(100 * found[f'refexp/{name}_precision@1'])
        # Recall counts IoU over 0.5 among all proposals, precision@10 from 0.5 on among ten.
        on_the_edge = sum(best_iou_of(sample) == 0.5 for sample in own)
        assert found['reg/referent_recall'] == pytest.approx(
            100 * found[f'refexp/{name}_precision@10'] - 100 * on_the_edge / len(own))


def best_iou_of(sample: DetDataSample) -> float:
    truth = box_mask(sample.gt_instances.bboxes[0]).astype(bool)
    masks = sample.pred_instances.masks.numpy()
    return float(((masks & truth).sum((1, 2)) / (masks | truth).sum((1, 2))).max())


def test_overall_iou_is_refseg_s_ciou() -> None:
    singles, _ = made_up(60)
    several = [answered(n, ['a'] * 3, [s.expressions[0] for s in singles[n:n + 3]],
                        [s.gt_instances.bboxes[0].tolist() for s in singles[n:n + 3]]) for n in range(0, 60, 3)]
    found = figures(several, dict(type='REGMetric'), dict(type='RefSegMetric', metric=['cIoU', 'mIoU']))
    assert 0 < found['reg/overall_iou'] < 100
    assert found['reg/overall_iou'] == pytest.approx(found['cIoU'], rel=1e-6)


def test_the_truth_s_digits_come_from_ann_file(tmp_path: Path) -> None:
    """A tie by the file's numbers that single precision breaks."""
    wide = 0.1 * 3  # 0.30000000000000004: in single precision 0.3
    gold = {0: [0.0, 0.0, 10.0, 20.0 + wide]}
    sample = answered(0, 'a', [proposals([[0, 0, 10, 10]], [0.9])], [gold[0]])
    sample.expressions[0].bboxes = torch.tensor([[0.0, 0.0, 10.0, (20.0 + wide) / 2]])
    metric = dict(type='REGMetric', ann_file=mdetr_file(tmp_path / 'val.json', gold))
    iou = float(np.float32((20 + wide) / 2)) / (20 + wide)
    assert figures([sample], metric)['reg/accuracy'] == 100 * (iou >= 0.5)


def test_where_mmdet_s_conventions_are_others(tmp_path: Path) -> None:
    half = answered(0, 'a', [proposals([[0, 0, 10, 5]], [0.9])], [[0, 0, 10, 10]])
    thin = answered(0, 'a', [proposals([[3, 0, 4, 10]], [0.9])], [[3, 0, 4, 10]])
    unordered = answered(0, 'a', [proposals([[0, 0, 2, 2], [0, 0, 10, 10]], [0.1, 0.9])], [[0, 0, 10, 10]])
    nothing = answered(0, 'a', [proposals([], [])], [[0, 0, 10, 10]])
    for sample, gold, ours, theirs in (
            (half, [0, 0, 10, 10], ('referent_recall', 0), ('precision@10', 1)),      # over 0.5, from 0.5 on
            (thin, [3, 0, 4, 10], ('accuracy', 0), ('precision@1', 1)),               # one pixel wide
            (unordered, [0, 0, 10, 10], ('accuracy', 100), ('precision@1', 0))):      # best score, first row
        metric = dict(type='RefExpMetric', ann_file=mdetr_file(tmp_path / 'val.json', {0: gold}))
        found = figures([sample], dict(type='REGMetric'), metric)
        assert found[f'reg/{ours[0]}'] == ours[1] and found[f'refexp/refcoco_{theirs[0]}'] == theirs[1]
    metric = dict(type='RefExpMetric', ann_file=mdetr_file(tmp_path / 'val.json', {0: [0, 0, 10, 10]}))
    assert figures([nothing])['reg/accuracy'] == 0
    with pytest.raises(ValueError):
        figures([nothing], metric)


# ------------------------------------------------------------------------------------------ bad input

@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda s: s.pop('expressions') and s.set_metainfo(dict(text=['a'])), 'neither expressions nor pred_instances'),
    (lambda s: s.expressions.append(s.expressions[0]), 'has 2 sentences but 1 annotated objects'),
    (lambda s: s.expressions[0].scores.fill_(float('nan')), 'scores are not numbers'),
    (lambda s: s.set_metainfo(dict(gt_masks=BitmapMasks(np.zeros((1, 8, 8), np.uint8), 8, 8))), 'mask is .* after Res'),
    (lambda s: (delattr(s, 'gt_instances'), s.set_metainfo(dict(gt_masks=None))), 'add LoadAnnotations after Resize'),
])
def test_bad_samples_are_refused_in_one_line(spoil, message: str) -> None:
    sample = answered(5, 'a', [proposals([[0, 0, 10, 10]], [0.9])], [[0, 0, 10, 10]])
    spoil(sample)
    with pytest.raises(InputError, match=message) as error:
        figures([sample])
    assert '\n' not in str(error.value) and '; ' in str(error.value)


@pytest.mark.parametrize('content', ['', '[]', '{"images": []}', '{"images": [{"id": 1}], "annotations": [{}]}',
                                     '{"images": [], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}',
                                     '{"images": [{"id": 1}], "annotations": [{"image_id": 1, "bbox": [0, 0, -1, 1]}]}',
                                     '{"images": [7], "annotations": []}',
                                     '{"images": [{"id": 1, "width": "9", "height": 9}], "annotations": []}'])
def test_bad_ann_files_are_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / 'val.json').write_text(content)
    with pytest.raises(InputError, match='val.json: (not annotations as MDETR has them|is not valid JSON)') as error:
        figures([], dict(type='REGMetric', ann_file=str(tmp_path / 'val.json')))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(('form', 'said'), [
    (lambda x, y, w, h: [x, y, x + w, y + h], 'corners x1, y1, x2, y2 in pixels'),
    (lambda x, y, w, h: [x / 60, y / 40, w / 60, h / 40], 'fractions of the image')])
def test_an_ann_file_whose_boxes_are_of_another_form(tmp_path: Path, form, said: str) -> None:
    images = [dict(id=n, height=SIZE[0], width=SIZE[1]) for n in range(12)]
    rows = [dict(image_id=n, bbox=form(30 + n, 15, 18, 20)) for n in range(12)]
    (tmp_path / 'val.json').write_text(json.dumps(dict(images=images, annotations=rows)))
    with pytest.raises(InputError, match='ann_file .*boxes must be x, y, width, height in pixels') as error:
        read_mdetr_boxes(tmp_path / 'val.json')
    assert said in str(error.value)
    for image in images:  # nobody knows how large they are
        del image['height']
    (tmp_path / 'val.json').write_text(json.dumps(dict(images=images, annotations=rows)))
    assert read_mdetr_boxes(tmp_path / 'val.json')[0].tolist() == [form(30, 15, 18, 20)]


def test_an_ann_file_of_another_dataset_and_an_unknown_task(tmp_path: Path) -> None:
    sample = answered(5, 'a', [proposals([[0, 0, 10, 10]], [0.9])], [[0, 0, 10, 10]])
    with pytest.raises(InputError, match='ann_file has no image 5; give'):
        figures([sample], dict(type='REGMetric', ann_file=mdetr_file(tmp_path / 'val.json', {6: [0, 0, 1, 1]})))
    with pytest.raises(InputError, match="'rex' is unknown; write"):
        figures([], dict(type='REGMetric', tasks=('rex',)))


# ------------------------------------------------------------------------------------------ mmdet's loop

def runner(folder: Path, dataset: dict, evaluator, name: str) -> Runner:
    """The embedded benchmark's detector and Ref-NMS, as shipped, in mmengine's loop."""
    model = dict(detector_config('embedded').model, type='GroundingDetector', weights=str(shipped_path('detector')),
                 ref_nms=dict(type='RefNMS', weights=str(shipped_path('ref-nms-b', 'mini-refcoco'))))
    loader = dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dataset)
    return Runner.from_cfg(Config(dict(
        default_scope='mmdet', model=model, test_dataloader=loader, test_evaluator=evaluator, work_dir=str(folder),
        test_cfg=dict(type='TestLoop'), experiment_name=name, log_level='WARNING')))


def pipeline(annotations: dict, *meta_keys: str) -> list[dict]:
    return [dict(type='LoadImageFromFile'), dict(type='ScaleBy', scale=1.5),
            dict(type='LoadAnnotations', **annotations),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
                                                  'text', *meta_keys))]


def test_mmdet_s_refcoco_dataset_feeds_it(small_benchmark: Path, tmp_path: Path) -> None:
    dataset = dict(type='RefCocoDataset', data_root=str(small_benchmark), data_prefix=dict(img_path='images/train2014'),
                   ann_file='mini-refcoco/instances.json', split_file='mini-refcoco/refs(unc).p', split='testB',
                   text_mode='original',
                   pipeline=pipeline(dict(with_mask=True, with_bbox=False, with_label=False), 'gt_masks'))
    found = runner(tmp_path, dataset, [dict(type='REGMetric'), dict(type='RefSegMetric', metric=['cIoU'])],
                   'refcoco').test()
    assert found['reg/expressions'] > 3 and found['reg/referent_recall'] > 50
    assert found['reg/overall_iou'] == pytest.approx(float(found['cIoU']), rel=1e-6)


def test_mmdet_s_mdetr_dataset_gives_the_rule_s_figures(small_benchmark: Path, tmp_path: Path) -> None:
    known = load_embedded('mini-refcoco')
    expressions = known.split('val')[:8]
    rule = RefNMSB(load_weights(shipped_path('ref-nms-b', 'mini-refcoco')))
    detector = Detector(load_weights(shipped_path('detector')))
    ours = {'': [ReferentRecall(), MeanProposals()], 'greedy_': [ReferentRecall(), MeanProposals()]}
    for info, own in known.by_image(expressions):
        image = detector.features(read_image(info.path), info)
        boxes = {'': rule(image, own)}
        boxes['greedy_'] = [best[:len(as_many)] for best, as_many in zip(Confidence().ranked(image, own), boxes[''],
                                                                         strict=True)]
        truths = [Truth.of(e, None, None, None, None) for e in own]
        for whose, metrics in ours.items():
            for metric in metrics:
                metric.process(prediction_rows(truths, boxes[whose], detector.classes, 'rule', '-', [None] * len(own)))

    images = [dict(id=e.sent_id, file_name=known.images[e.image_id].path.name, height=known.images[e.image_id].height,
                   width=known.images[e.image_id].width, caption=' '.join(e.tokens), dataset_name='refcoco')
              for e in expressions]
    rows = [dict(id=e.sent_id, image_id=e.sent_id, category_id=0, bbox=list(e.gt_xywh), area=1, iscrowd=0)
            for e in expressions]
    file = tmp_path / 'val.json'
    file.write_text(json.dumps(dict(images=images, annotations=rows, categories=[dict(id=0, name='object')])))
    dataset = dict(type='MDETRStyleRefCocoDataset', ann_file=str(file), test_mode=True,
                   data_prefix=dict(img=str(small_benchmark / 'images/train2014')),
                   pipeline=pipeline(dict(with_bbox=True)))
    found = runner(tmp_path, dataset, [dict(type='REGMetric', ann_file=str(file)),
                                       dict(type='RefExpMetric', ann_file=str(file))], 'mdetr').test()
    assert found['reg/expressions'] == len(rows)
    for whose, metrics in ours.items():
        for metric in metrics:
            (name, (value, _)), = metric.compute().items()
            assert found[f'reg/{whose}{name}'] == pytest.approx(value)
    assert found['reg/accuracy'] == pytest.approx(100 * found['refexp/refcoco_precision@1'])
