"""CM-A-E's own: what its network refuses, and the features that grounders share."""
from dataclasses import replace

import pytest
import torch

from adapters.modular.object_features import ObjectFeatures
from grounders.cmae import CMAE
from tests.small_grounders import BOXES, OPTIONS, an_image


def test_widths_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r'joint_dim \(9\) and word_dim \(8\) must be equal'):
        replace(OPTIONS['cmae'], joint_dim=9)


def test_object_features_find_rows_of_boxes_seen_before():
    image = an_image()
    objects = ObjectFeatures(image)
    first = objects.rows(torch.tensor(BOXES[:2] + BOXES[:1]))
    again = objects.rows(torch.tensor(BOXES[1:3]))
    assert first[0] == first[2] and first[1] == again[0]
    assert torch.equal(objects.boxes[again], torch.tensor(BOXES[1:3]))
    assert len(objects.boxes) == len(objects.pool5) == len(objects.fc7) == 3


def test_a_wordless_sentence_is_one_unknown_word():
    network = CMAE(OPTIONS['cmae']).eval()
    image = torch.randn(1, 8)
    with torch.no_grad():
        unknown = network.read(torch.tensor([[1]]), image)
        for wordless in (torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 0, dtype=torch.long)):
            read = network.read(wordless, image)
            torch.testing.assert_close(read.weights, unknown.weights)
            torch.testing.assert_close(read.phrases, unknown.phrases)
