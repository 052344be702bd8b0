"""The rule ``given``: what another program found, unchanged."""
import numpy as np
import pytest
import torch

from harness.data.candidates import Candidates
from harness.detection.source import without_image
from harness.errors import InputError
from harness.proposals.given import Given
from harness.registry import PROPOSAL_RULES
from harness.types import Expression, ImageInfo


def expression(image_id, sent_id=0):
    return Expression('refcoco', 'val', image_id, sent_id, 'left', ('left',), (0, 0, 10, 10))


CANDIDATES = Candidates({5: np.array([[0.1, 2, 3, 4, 0.9], [-5, 0, 700, 4, 0.5]]), 6: np.empty((0, 5))}, scored=True)

ANYTHING = without_image(ImageInfo(5, 100, 100))


def test_it_is_found_by_name():
    assert PROPOSAL_RULES.get('given') is Given


def test_boxes_come_as_they_are_in_double_precision_and_unclipped():
    proposals, again = Given(CANDIDATES)(ANYTHING, [expression(5), expression(5, 1)])
    assert proposals.bboxes.tolist() == again.bboxes.tolist() == [[0.1, 2, 0.1 + 3, 6], [-5, 0, 695, 4]]
    assert proposals.scores.tolist() == proposals.det_scores.tolist() == [0.9, 0.5]
    assert proposals.labels.tolist() == [-1, -1]


def test_an_empty_list_is_a_result():
    proposals, = Given(CANDIDATES)(ANYTHING, [expression(6)])
    assert proposals.bboxes.shape == (0, 4) and proposals.bboxes.dtype == torch.float64


def test_an_image_that_the_file_lacks_is_refused():
    with pytest.raises(InputError, match='none for image 7'):
        Given(CANDIDATES)(ANYTHING, [expression(7)])
