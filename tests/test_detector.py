"""The detector's parts: crops with samples on the box's edges, everything before NMS, masks at image size."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from harness.detection.crop import CropRoIExtractor, crop_and_resize
from harness.detection.detector import Detector, detector_config, read_image
from harness.detection.source import FromMaps, StoredMap, check_images
from harness.errors import InputError
from harness.files.image_header import Unusable
from harness.files.weights import load_weights, shipped_path
from harness.training.features import described_images
from harness.types import Dataset, Expression, ImageInfo


def ramp(height: int, width: int) -> torch.Tensor:
    """A map whose value is 100 y + x at cell (y, x): bilinear sampling gives it back anywhere in between."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return (100. * y + x)[None, None]


def test_samples_lie_on_the_edges_and_evenly_between() -> None:
    crop = crop_and_resize(ramp(10, 12), torch.tensor([[16., 32., 112., 80.]]))[0, 0]
    x = torch.linspace(1, 7, 7)
    y = torch.linspace(2, 5, 7)
    assert torch.allclose(crop, 100 * y[:, None] + x[None], atol=1e-3)


def test_outside_the_map_is_zero() -> None:
    crop = crop_and_resize(ramp(4, 4), torch.tensor([[-160., -160., -80., -80.]]))
    assert crop.abs().max() == 0


def test_no_boxes_no_crops() -> None:
    assert crop_and_resize(torch.zeros(1, 5, 4, 4), torch.zeros(0, 4)).shape == (0, 5, 7, 7)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(2, 9), st.integers(2, 9), st.integers(0, 10**6))
def test_boxes_do_not_influence_each_other(n: int, height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    feature_map = torch.rand(1, 3, height, width, generator=generator)
    corners = torch.rand(n, 2, 2, generator=generator).sort(dim=1).values * 16 * max(height, width)
    boxes = corners.reshape(n, 4)
    together = crop_and_resize(feature_map, boxes)
    alone = torch.cat([crop_and_resize(feature_map, box[None]) for box in boxes])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_extractor_takes_each_box_from_its_own_image() -> None:
    maps = torch.rand(2, 3, 5, 6)
    rois = torch.tensor([[1, 0., 0., 50., 40.], [0, 16., 16., 64., 64.], [1, 5., 5., 20., 60.]])
    crops = CropRoIExtractor(3)((maps,), rois)
    for crop, roi in zip(crops, rois, strict=True):
        own = maps[int(roi[0])][None]
        assert torch.allclose(crop, crop_and_resize(own, roi[None, 1:])[0], atol=1e-6)


@pytest.fixture(scope='module')
def detector() -> Detector:
    return Detector(load_weights(shipped_path('detector')))


@pytest.fixture
def picture(small_benchmark: Path) -> tuple[np.ndarray, ImageInfo]:
    path = sorted((small_benchmark / 'images/train2014').iterdir())[0]
    image = read_image(path)
    return image, ImageInfo(1, *image.shape[:2], path)


def test_everything_before_nms(detector: Detector, picture: tuple[np.ndarray, ImageInfo]) -> None:
    image, info = picture
    seen = detector.features(image, info)
    regions, classes = seen.class_scores.shape
    assert seen.class_boxes.shape == (regions, classes, 4) and classes == len(detector.classes) == 18
    assert (seen.class_scores >= 0).all() and (seen.class_scores.sum(1) <= 1 + 1e-5).all(), 'the rest is background'
    low, high = seen.class_boxes[..., :2], seen.class_boxes[..., 2:]
    assert (low >= 0).all() and (high >= low).all(), 'boxes are inside the image'
    assert (high <= torch.tensor([info.width, info.height]) + 1).all()
    crops = seen.pool(seen.class_boxes[:5, 0])
    assert crops.shape == (5, seen.feature_map.shape[1], 7, 7)
    assert seen.head(crops).shape[0] == 5


def test_masks_are_pasted_at_image_size_inside_their_box(detector: Detector,
                                                         picture: tuple[np.ndarray, ImageInfo]) -> None:
    image, info = picture
    seen = detector.features(image, info)
    boxes = torch.tensor([[10., 20., 90., 100.], [0., 0., float(info.width), float(info.height)]])
    kept = boxes.clone()
    rles = detector.masks(seen, boxes, torch.tensor([0, 3]))
    assert torch.equal(boxes, kept), 'the caller\'s boxes stay as they are'
    for rle, (x1, y1, x2, y2) in zip(rles, boxes.tolist(), strict=True):
        mask = coco_mask.decode(rle)
        assert mask.shape == (info.height, info.width)
        ys, xs = np.nonzero(mask)
        assert xs.min() >= x1 - 1 and xs.max() <= x2 + 1 and ys.min() >= y1 - 1 and ys.max() <= y2 + 1
    assert detector.masks(seen, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)) == []


@pytest.mark.parametrize('where', [(1000, 1000, 1060, 1060), (-60, 20, -5, 90), (20, -60, 90, -5), (1000, 20, 1060, 90),
                                   (20, 1000, 90, 1060)])
def test_a_box_wholly_outside_has_an_empty_mask(where: tuple[int, ...], detector: Detector,
                                                picture: tuple[np.ndarray, ImageInfo]) -> None:
    image, info = picture
    seen = detector.features(image, info)
    inside = torch.tensor([[10., 20., 90., 100.]])
    empty, kept = detector.masks(seen, torch.cat([torch.tensor([where]).float(), inside]), torch.tensor([1, 0]))
    assert coco_mask.decode(empty).shape == (info.height, info.width) and coco_mask.area(empty) == 0
    assert [kept] == detector.masks(seen, inside, torch.tensor([0])), 'the others are what they are alone'


def test_the_same_image_gives_the_same_numbers(detector: Detector, picture: tuple[np.ndarray, ImageInfo]) -> None:
    image, info = picture
    first, second = detector.features(image, info), detector.features(image, info)
    assert torch.equal(first.class_scores, second.class_scores)


@pytest.mark.parametrize('content', [b'', b'no picture', b'\x89PNG\r\n\x1a\n' + bytes(20)])
def test_unreadable_images_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'x.png'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'x\.png'):
        read_image(path)


def test_grey_and_transparent_images_become_three_channels(tmp_path: Path) -> None:
    for shape in ((8, 9), (8, 9, 4)):
        cv2.imwrite(str(tmp_path / 'x.png'), np.full(shape, 100, np.uint8))
        assert read_image(tmp_path / 'x.png').shape == (8, 9, 3)


def test_an_unknown_config_is_refused() -> None:
    with pytest.raises(InputError, match='known are'):
        detector_config('../../../etc/passwd')


def test_a_stored_map_serves_for_all_but_class_boxes(detector: Detector, picture: tuple[np.ndarray, ImageInfo]) -> None:
    image, info = picture
    seen = detector.features(image, info)
    stored = detector.from_map(seen.feature_map.clone(), seen.scale, info, [])
    assert stored.class_boxes.shape == (0, 18, 4) and stored.class_scores.shape == (0, 18)
    assert stored.classes == seen.classes and stored.annotations == []
    boxes, labels = torch.tensor([[10., 20., 90., 100.], [0., 0., 50., 60.]]), torch.tensor([0, 3])
    assert torch.equal(stored.head(stored.pool(boxes)), seen.head(seen.pool(boxes)))
    assert detector.masks(stored, boxes, labels) == detector.masks(seen, boxes, labels)


@pytest.mark.parametrize('record', [(120, 160), (30, 40), (60, 81), (80, 60)])
def test_a_stored_map_of_another_size_than_the_record_is_refused(detector: Detector, record: tuple[int, int]) -> None:
    """A network input of 150 by 200 pixels at a scale of 2.5 is an image of 60 by 80."""
    source = FromMaps(detector, lambda _: StoredMap(torch.zeros(1, 96, 10, 13), 2.5, (150, 200), '7.h5'))
    assert source.read(ImageInfo(7, 60, 80)).scale == 2.5 and source.read(ImageInfo(7, 0, 0)).scale == 2.5
    with pytest.raises(Unusable, match=r'features of image 7: are of 80 × 60 pixels, its record says'):
        source.read(ImageInfo(7, *record))


def test_images_of_which_not_one_can_be_used_are_refused() -> None:
    def broken(image_id: int) -> StoredMap:
        if image_id == 3:
            return StoredMap(torch.zeros(1, 4, 1, 1), 1., (5, 6), '3.h5')
        raise InputError(f'{image_id}.h5: is damaged')
    source = FromMaps(SimpleNamespace(check_map=lambda *_: None), broken)  # type: ignore[arg-type]  # nothing is detected
    infos = [ImageInfo(i, 5, 6) for i in (1, 2, 3, 4)]
    check_images(source, infos)
    check_images(source, [])
    with pytest.raises(InputError, match=r'^none of the 2 images can be used; 1\.h5: is damaged$'):
        check_images(source, infos[:2])


def test_training_holds_images_against_their_record_too(tmp_path: Path, detector: Detector) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((8, 9, 3), np.uint8))
    box = (0., 0., 1., 1.)
    dataset = Dataset('d', {1: ImageInfo(1, 4, 5, tmp_path / 'a.png')}, [Expression('d', 'train', 1, 1, '', (), box)])
    with pytest.raises(InputError, match=r'a\.png: has 9 × 8 pixels, its record says 5 × 4'):
        next(described_images(dataset, 'train', detector))


@pytest.mark.parametrize(('change', 'message'), [
    ({'kind': 'cmae'}, "holds 'cmae', not a detector"),
    ({'config': 'theirs'}, 'known are'),
    ({'config': None}, "'config' must be text, not null"),
    ({'classes': ['cup']}, 'the 18 classes'),
    ({'classes': None}, "'classes' must be a list, not null"),
    ({'classes': ['cup'] * 18}, "'classes' must not name anything twice"),
    ({'classes': [f'cup {i}' for i in range(17)] + ['a\x1b[2J']}, r"'classes\.17' must be a name that can be printed"),
])
def test_a_file_that_names_another_detector_is_refused(change: dict, message: str) -> None:
    weights = load_weights(shipped_path('detector'))
    weights.meta.update(change)
    with pytest.raises(InputError, match=message):
        Detector(weights)
