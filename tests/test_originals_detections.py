"""Flat lists of detections and their masks, in both originals' layouts."""
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from adapters.originals.detections import Detections, kind_of, read_detections, write_detections
from adapters.originals.masks import read_masks
from harness.errors import InputError
from harness.types import Expression, ImageInfo

#: lichengunc/MAttNet tools/run_detect.py:101-107, a box x1 = 10, y1 = 20, x2 = 39, y2 = 59 with w = x2 - x1 + 1.
MATTNET = [
    {'det_id': 0, 'h5_id': 0, 'box': [1.5, 2.5, 4.0, 5.0], 'image_id': 7, 'category_id': 1, 'category_name': 'person',
     'score': 0.7},
    {'det_id': 1, 'h5_id': 1, 'box': [10.0, 20.0, 30.0, 40.0], 'image_id': 7, 'category_id': 18, 'category_name': 'dog',
     'score': 0.9},
    {'det_id': 2, 'h5_id': 2, 'box': [0.0, 0.0, 100.0, 50.0], 'image_id': 8, 'category_id': 1,
     'category_name': 'person', 'score': 0.7},
]
#: ChopinSharp/ref-nms tools/save_matt_dets.py:58-72, the same box x1 = 10, y1 = 20, x2 = 39, y2 = 59 with w = x2 - x1.
REF_NMS = [
    {'det_id': 0, 'h5_id': 0, 'ref_id': 3, 'sent_id': 31, 'image_id': 7, 'box': [10.0, 20.0, 29.0, 39.0],
     'category_id': 18, 'category_name': 'dog', 'split': 'testB'},
    {'det_id': 1, 'h5_id': 1, 'ref_id': 3, 'sent_id': 31, 'image_id': 7, 'box': [1.5, 2.5, 3.0, 4.0],
     'category_id': 1, 'category_name': 'person', 'split': 'testB'},
    {'det_id': 2, 'h5_id': 2, 'ref_id': 3, 'sent_id': 32, 'image_id': 7, 'box': [1.5, 2.5, 3.0, 4.0],
     'category_id': 1, 'category_name': 'person', 'split': 'testB'},
]


def expression(image_id=7, sent_id=31):
    return Expression('refcoco', 'testB', image_id, sent_id, 'dog', ('dog',), (10, 20, 30, 40))


@pytest.fixture
def saved(tmp_path):
    def save(rows):
        path = tmp_path / 'res101_coco_minus_refer_notime_dets.json'
        path.write_text(json.dumps(rows))
        return path
    return save


def refusal(path):
    with pytest.raises(InputError) as error:
        read_detections(path)
    message = str(error.value)
    assert len(message.splitlines()) == 1 and str(path) in message
    return message


class TestMattNets:
    def test_are_by_image_best_first(self, saved):
        detections = read_detections(saved(MATTNET))
        assert (detections.kind, len(detections), detections.scored) == ('mattnet', 3, True)
        found = detections.for_expression(expression(sent_id=99))
        assert found.names == ['dog', 'person']
        assert found.scores.tolist() == found.det_scores.tolist() == [0.9, 0.7]
        assert (found.det_ids.tolist(), found.h5_ids.tolist()) == ([1, 0], [1, 0])
        assert detections.for_expression(expression(image_id=9)) is None

    def test_corners_are_the_digits_and_the_detectors_own_a_pixel_less(self, saved):
        detections = read_detections(saved(MATTNET))
        assert detections.for_expression(expression()).bboxes[0].tolist() == [10, 20, 40, 60]
        assert detections.detector_xyxy[1].tolist() == [10, 20, 39, 59]

    def test_boxes_outside_their_image_are_counted(self, saved):
        detections = read_detections(saved(MATTNET))
        images = {7: ImageInfo(7, 60, 40), 8: ImageInfo(8, 49, 200), 9: ImageInfo(9, 1, 1)}
        assert detections.count_outside(images) == 0  # the last pixel of the image is 48
        assert detections.count_outside({8: ImageInfo(8, 48, 200)}) == 1
        assert detections.count_outside({8: ImageInfo(8, 0, 0)}) == 0  # of unknown size


class TestRefNMSs:
    def test_are_by_sentence_in_file_order_without_scores(self, saved):
        detections = read_detections(saved(REF_NMS))
        assert (detections.kind, detections.scored) == ('ref-nms', False)
        found = detections.for_expression(expression(image_id=0, sent_id=31))
        assert found.names == ['dog', 'person'] and found.scores.tolist() == [1, 1]
        assert len(detections.for_expression(expression(sent_id=32))) == 1
        assert detections.for_expression(expression(sent_id=33)) is None

    def test_corners_are_the_detectors_own(self, saved):
        detections = read_detections(saved(REF_NMS))
        assert detections.for_expression(expression()).bboxes[0].tolist() == [10, 20, 39, 59]
        assert detections.detector_xyxy[0].tolist() == [10, 20, 39, 59]


@pytest.mark.parametrize('rows', [MATTNET, REF_NMS], ids=['mattnet', 'ref-nms'])
def test_writing_gives_the_same_file(rows, saved, tmp_path):
    detections = read_detections(saved(rows))
    write_detections(tmp_path / 'output' / 'again.json', detections)
    assert json.loads((tmp_path / 'output' / 'again.json').read_text()) == rows


ids = st.integers(-2**62, 2**62)
coordinates = st.floats(0, 1e6, allow_subnormal=False)
records = st.lists(st.tuples(ids, ids, ids, ids, ids, st.tuples(*[coordinates] * 4), st.floats(0, 1), st.text(
    st.characters(exclude_categories=['Cs', 'Z', 'C']), min_size=1)), min_size=1, max_size=5, unique_by=lambda r: r[0])


@settings(max_examples=25, deadline=None)
@given(records, st.booleans())
def test_what_is_written_is_read(tmp_path_factory, rows, by_sentence):
    path = tmp_path_factory.mktemp('dets') / 'dets.json'
    det, image, category, sentence, ref, boxes, scores, names = zip(*rows, strict=True)
    det_ids = np.array(det)
    written = Detections(
        'ref-nms' if by_sentence else 'mattnet', det_ids, det_ids, np.array(image), np.array(category), names,
        np.array(boxes), scores=None if by_sentence else np.array(scores),
        sent_ids=np.array(sentence) if by_sentence else None, ref_ids=np.array(ref) if by_sentence else None,
        splits=names if by_sentence else None)
    write_detections(path, written)
    read = read_detections(path)
    for name, column in vars(written).items():
        again = getattr(read, name)
        assert np.array_equal(again, column) if isinstance(column, np.ndarray) else again == column


class TestRefusals:
    def test_of_a_mixture(self):
        assert kind_of(MATTNET, 'x') == 'mattnet' and kind_of(REF_NMS, 'x') == 'ref-nms'
        with pytest.raises(InputError, match="some detections have a 'sent_id'"):
            kind_of(MATTNET + REF_NMS, 'x')

    @pytest.mark.parametrize('change, complaint', [
        ({'det_id': 0}, 'det_id 0 comes twice'),
        ({'det_id': '1'}, "detection 1: 'det_id' must be an integer, not text"),
        ({'image_id': 1 << 70}, "detection 1: 'image_id' is beyond 64 bits"),
        ({'image_id': True}, "detection 1: 'image_id' must be an integer"),
        ({'box': [1, 2, -3, 4]}, "detection 1: 'box' has a negative width or height"),
        ({'box': [1, 2, 3]}, "detection 1: 'box' must be four numbers"),
        ({'box': [1, 2, 1e300, 4]}, "detection 1: 'box' holds a number that is not finite or beyond"),
        ({'box': 'abcd'}, "detection 1: 'box' must be four numbers"),
        ({'score': 'high'}, "'score' must be a finite number"),
        ({'score': None}, "'score' must be a finite number"),
        ({'category_name': ' '}, "detection 1: 'category_name' is empty"),
        ({'category_name': '\ud800'}, "detection 1: 'category_name' is not valid Unicode"),
    ])
    def test_of_a_field(self, saved, change, complaint):
        assert complaint in refusal(saved([MATTNET[0], {**MATTNET[1], **change}]))

    def test_of_what_is_no_list_of_records(self, saved):
        assert 'must be a list of detections' in refusal(saved({'dets': MATTNET}))
        assert 'holds no detections' in refusal(saved([]))
        assert 'detection 1: must be a record' in refusal(saved([MATTNET[0], 7]))


class TestMasks:
    """lichengunc/MAttNet tools/run_detect_to_mask.py:86-94: each detection again, with ``rle``."""

    def test_by_detection(self, saved):
        pixels = np.zeros((4, 6), np.uint8, order='F')
        pixels[1:3, 2:5] = 1
        rle = coco_mask.encode(pixels)
        rows = [{**MATTNET[0], 'rle': {'size': [4, 6], 'counts': rle['counts'].decode()}}]
        masks = read_masks(saved(rows))
        assert len(masks) == 1
        np.testing.assert_array_equal(coco_mask.decode(masks.rle(0, 4, 6)), pixels)
        with pytest.raises(InputError, match='no mask of det_id 5'):
            masks.rle(5, 4, 6)
        with pytest.raises(InputError, match="det_id 0: its 'size' must be the image's"):
            masks.rle(0, 6, 4)

    def test_without_one(self, saved):
        with pytest.raises(InputError, match="detection 0: has no 'rle'"):
            read_masks(saved(MATTNET))
        with pytest.raises(InputError, match='det_id 0 comes twice'):
            read_masks(saved([{**MATTNET[0], 'rle': {}}] * 2))
