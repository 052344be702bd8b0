"""The originals' detector against its own code, run on seeded weights (``mask_rcnn.npz``)."""
import importlib.util
import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from harness.boxes import pairwise_iou
from harness.data.coco_categories import COCO_CLASSES
from harness.detection.detector import Detector
from harness.detection.original_names import rename
from harness.detection.resizing import ScaleBy
from harness.files.weights import Weights
from harness.types import ImageInfo
from tests.reference import vector_file

FACTORS = {'bbox_pred_net.weight': 0.1, 'rpn_bbox_pred_net.weight': 0.03, 'cls_score_net.weight': 0.5}


@pytest.fixture(scope='module')
def reference():
    with np.load(vector_file('mask_rcnn.npz')) as arrays:
        return dict(arrays)


@pytest.fixture(scope='module')
def detector(reference):
    """Our config with the renamed weights, at the reference's scale in the place of the 600 / 1000 rule."""
    spec = importlib.util.spec_from_file_location('recipe', vector_file('recipe.py'))
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    shapes = json.loads(vector_file('mask_rcnn_state_shapes.json').read_text())
    state = {name: torch.as_tensor(value * np.float32(FACTORS[name]) if name in FACTORS else value)
             for name, value in recipe.fill(shapes, int(reference['seed'])).items()}
    meta = {'kind': 'detector', 'config': 'res101_c4', 'classes': list(COCO_CLASSES)}
    detector = Detector(Weights(vector_file('recipe.py'), rename(state), meta, ''))
    means, _ = detector.prepare.transforms
    np.testing.assert_allclose(means.mean, reference['in/pixel_means_bgr'], rtol=1e-6)
    detector.prepare.transforms = [means, ScaleBy(reference['in/scale'])]
    return detector


@pytest.fixture(scope='module')
def seen(reference, detector):
    return detector.see(reference['in/image_bgr'])


@pytest.fixture(scope='module')
def image(reference, detector, seen):
    return detector.from_map(seen.feature_map, seen.scale, ImageInfo(1, *reference['in/image_bgr'].shape[:2]))


@pytest.fixture(scope='module')
def rois(reference):
    return torch.from_numpy(reference['in/rois_xyxy'])


@pytest.fixture(scope='module')
def fc7(image, rois):
    return image.head(image.pool(rois))


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3 * np.abs(theirs).max())


def test_the_c4_map(reference, seen):
    sample = reference['out/head_sample']
    assert_close(seen.feature_map[0, :len(sample)], sample)
    assert_close(seen.feature_map[0].mean((1, 2)), reference['out/head_mean'])


def test_crops(reference, image, rois):
    sample = reference['out/pool5_sample']
    assert_close(image.pool(rois)[:, :sample.shape[1]], sample)


def test_layer_4(reference, fc7):
    assert_close(fc7.mean((2, 3)), reference['out/fc7_pooled'])


def test_class_logits_and_deltas_without_the_background_s(reference, detector, fc7):
    with torch.no_grad():
        logits, deltas = detector.network.roi_head.bbox_head(fc7)
    assert_close(logits.softmax(1).roll(1, 1), reference['out/class_prob'])
    assert_close(deltas, reference['out/box_delta'][:, 4:])


def test_class_boxes_and_confidences(reference, detector, seen, rois):
    boxes, scores = detector.classify(seen, rois * seen.scale)
    assert_close(scores, reference['out/class_prob'][:, 1:])
    assert_close(boxes.flatten(1), reference['out/boxes_xyxy'][:, 4:])


def test_mask_probabilities_without_the_background_s(reference, detector, fc7):
    sample = reference['out/mask_prob_sample'][:, 1:]
    with torch.no_grad():
        masks = detector.network.roi_head.mask_head(fc7).sigmoid()
    assert_close(masks[:, :sample.shape[1]], sample)


def test_proposals(reference, detector, seen):
    theirs = torch.from_numpy(reference['out/proposals_scaled_xyxy'])
    ours = detector.regions(seen)
    assert len(ours) == len(theirs)
    overlaps = pairwise_iou(theirs, ours, offset=1)
    assert (overlaps.amax(1) > 0.9).double().mean() >= 0.95 and (overlaps.amax(0) > 0.9).double().mean() >= 0.95


def test_masks_are_painted_inside_their_boxes(reference, detector, image, rois):
    height, width = reference['in/image_bgr'].shape[:2]
    for rle, (x1, y1, x2, y2) in zip(detector.masks(image, rois, torch.arange(len(rois))), rois.tolist(), strict=True):
        ys, xs = np.nonzero(coco_mask.decode(rle))
        assert rle['size'] == [height, width]
        assert int(x1) <= xs.min() and xs.max() <= x2 and int(y1) <= ys.min() and ys.max() <= y2
