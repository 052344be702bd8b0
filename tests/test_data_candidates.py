"""Outside candidates: by image, or by expression from an excerpt."""
import gzip
import json

import numpy as np
import pytest

from harness.data.candidates import load_candidates
from harness.data.plain import load_expressions
from harness.errors import InputError
from harness.types import Expression, ImageInfo


def expression(image_id, sent_id=1):
    return Expression('d', 'val', image_id, sent_id, 'cup', ('cup',), (0.0, 0.0, 10.0, 10.0))


@pytest.fixture
def load(tmp_path):
    def load(content):
        path = tmp_path / 'c.json'
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return load_candidates(path)
    return load


class TestByImage:
    def test_boxes_become_xyxy_in_double_precision(self, load):
        proposals = load({'7': [[0.1, 2, 30.2, 4]]}).for_expression(expression(7))
        assert proposals.bboxes.tolist() == [[0.1, 2.0, 0.1 + 30.2, 6.0]]

    def test_best_first_list_order_among_equals(self, load):
        candidates = load({'7': [[1, 0, 1, 1, 0.5], [2, 0, 1, 1, 0.9], [3, 0, 1, 1, 0.5], [4, 0, 1, 1, 0.9]]})
        proposals = candidates.for_expression(expression(7))
        assert proposals.bboxes[:, 0].tolist() == [2, 4, 1, 3]
        assert proposals.scores.tolist() == [0.9, 0.9, 0.5, 0.5]
        assert candidates.scored

    def test_without_scores_in_list_order_and_all_one(self, load):
        candidates = load({'7': [[3, 0, 1, 1], [1, 0, 1, 1]]})
        proposals = candidates.for_expression(expression(7))
        assert proposals.bboxes[:, 0].tolist() == [3, 1] and proposals.scores.tolist() == [1, 1]
        assert not candidates.scored

    def test_a_missing_image_is_none_and_an_empty_list_is_none_found(self, load):
        candidates = load({'7': []})
        assert candidates.for_expression(expression(8)) is None
        assert len(candidates.for_expression(expression(7))) == 0

    def test_packed(self, tmp_path):
        (tmp_path / 'c.json.gz').write_bytes(gzip.compress(b'{"7": [[1, 2, 3, 4]]}'))
        assert len(load_candidates(tmp_path / 'c.json.gz').for_expression(expression(7))) == 1

    def test_boxes_outside_the_image_are_counted_and_not_clipped(self, load):
        candidates = load({'7': [[-9, 4, 20, 5], [0, 0, 32, 24], [30, 0, 2.5, 1], [0, 20, 1, 5]], '8': [[-1, 0, 1, 1]]})
        assert candidates.count_outside({7: ImageInfo(7, 24, 32)}) == 3
        assert candidates.count_outside({7: ImageInfo(7, 0, 0)}) == 0
        assert candidates.for_expression(expression(7)).bboxes[0].tolist() == [-9, 4, 11, 9]


SPOILED = {
    'three numbers': {'7': [[1, 2, 3]]}, 'six numbers': {'7': [[1, 2, 3, 4, 5, 6]]}, 'a box alone': {'7': [1, 2, 3, 4]},
    'scores for some boxes': {'7': [[1, 2, 3, 4], [1, 2, 3, 4, 0.5]]},
    'scores for some images': {'7': [[1, 2, 3, 4]], '8': [[1, 2, 3, 4, 0.5]]},
    'text': {'7': [[1, 2, 3, '4']]}, 'null': {'7': [[1, 2, 3, None]]}, 'true': {'7': [[1, 2, 3, True]]},
    'negative width': {'7': [[1, 2, -3, 4]]}, 'negative height': {'7': [[1, 2, 3, -4]]},
    'NaN': '{"7": [[1, 2, 3, NaN]]}', 'infinity': '{"7": [[1, 2, 3, 1e999]]}', 'huge': {'7': [[1, 2, 3, 10**400]]},
    'infinite score': '{"7": [[1, 2, 3, 4, -1e999]]}', 'a score that overflows': {'7': [[1, 2, 3, 4, 1e308]]},
    'far outside': {'7': [[1e9, 2, 3, 4]]},
    'records': {'7': [{'x': 1}]}, 'no list': {'7': None}, 'a file name': {'a.jpg': []},
    'an image twice': '{"7": [], "7": []}',
    'an image twice by another name': {'7': [], '07': []},
    'a number': '5', 'nothing': '', 'cut short': '{"7": [[1, 2',
    'a list of boxes': [[1, 2, 3, 4]],
}


class TestWhatIsRefused:
    @pytest.mark.parametrize('case', SPOILED)
    def test_one_line_with_the_file(self, load, case):
        with pytest.raises(InputError, match=r'c\.json: ') as error:
            load(SPOILED[case])
        assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 400


class TestByExpression:
    def test_expressions_and_candidates_from_one_file(self, tmp_path):
        path = tmp_path / 'excerpt.json'
        image = 'COCO_train2014_000000000007_0.jpg'
        path.write_text(json.dumps([
            {'sent': 'a', 'gt_box': [0, 0, 5, 5], 'pred_boxes': [[0, 0, 4.5, 5]], 'pred_boxes_img_id': [image]},
            {'sent': 'b', 'gt_box': [0, 0, 5, 5], 'pred_boxes': [], 'pred_boxes_img_id': []},
            {'sent': 'c', 'gt_box': [0, 0, 5, 5], 'pred_boxes': [[1, 1, 2, 2], [3, 3, 1, 1]],
             'pred_boxes_img_id': [image, image]},
        ]))
        candidates = load_candidates(path)
        found = [candidates.for_expression(e).bboxes.numpy() for e in load_expressions(path)['excerpt'].expressions]
        expected_boxes = [[[0, 0, 4.5, 5]], np.empty((0, 4)), [[1, 1, 3, 3], [3, 3, 4, 4]]]
        for boxes, expected in zip(found, expected_boxes, strict=True):
            np.testing.assert_array_equal(boxes, expected)
        assert candidates.for_expression(expression(7)) is None
