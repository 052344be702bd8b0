"""Which evaluation images a detector has seen in training: known, partly known, unknown."""
from __future__ import annotations

from pathlib import Path

import pytest

from harness.detection.training_images import ORIGINALS, parse_trained_on, seen_images, seen_notes
from harness.errors import InputError
from harness.types import Expression


def of(dataset: str, *image_ids: int) -> list[Expression]:
    return [Expression(dataset, 'val', image_id, n, '', (), (0, 0, 1, 1)) for n, image_id in enumerate(image_ids)]


REFCOCO = {('refcoco', 'val'): of('refcoco', 1, 1, 2), ('refcoco', 'testA'): of('refcoco', 2, 3)}


def test_of_train2017_all_images_were_seen() -> None:
    note, = seen_notes('train2017', REFCOCO)
    assert note.startswith('refcoco: the detector was trained on 3 of the 3 images')


def test_of_a_list_those_in_it() -> None:
    note, = seen_notes([2, 99], REFCOCO)
    assert '1 of the 3 images' in note
    assert seen_notes([99], REFCOCO) == []


def test_the_originals_detector_has_seen_none() -> None:
    assert seen_notes(ORIGINALS, REFCOCO) == seen_notes('val2017', REFCOCO) == []


def test_unknown_says_unknown_and_an_embedded_dataset_nothing() -> None:
    note, = seen_notes(None, {**REFCOCO, ('mini-refcoco', 'val'): of('mini-refcoco', 7)})
    assert note.startswith('refcoco: it is unknown which of the 3 images')


def test_the_option_takes_a_split_or_a_file_of_ids(tmp_path: Path) -> None:
    assert parse_trained_on('train2014') == 'train2014'
    (tmp_path / 'ids.txt').write_text('7\n3\n\n7\n')
    assert parse_trained_on(str(tmp_path / 'ids.txt')) == [3, 7]
    for wrong in ('train2015', str(tmp_path)):
        with pytest.raises(InputError, match='--trained-on'):
            parse_trained_on(wrong)


def test_by_split_the_images_are_counted_once_each() -> None:
    assert seen_images([1, 99], REFCOCO) == {
        'refcoco': {'val': {'seen': 1, 'images': 2}, 'testA': {'seen': 0, 'images': 2}}}
    assert seen_images('train2017', REFCOCO)['refcoco']['val'] == {'seen': 2, 'images': 2}
    assert seen_images(ORIGINALS, REFCOCO)['refcoco']['testA'] == {'seen': 0, 'images': 2}
    assert seen_images(None, REFCOCO)['refcoco']['val'] == {'seen': None, 'images': 2}


def test_a_split_without_expressions_and_an_embedded_dataset_are_left_out() -> None:
    assert seen_images(None, {('refcoco', 'val'): [], ('mini-refcoco', 'val'): of('mini-refcoco', 7)}) == {}


def test_of_a_rehearsal_it_is_said_as_of_what_it_rehearses() -> None:
    rehearsed = {('rehearsal-refcoco', 'val'): of('rehearsal-refcoco', 1, 2)}
    assert seen_images('train2014', rehearsed)['rehearsal-refcoco']['val'] == {'seen': 2, 'images': 2}
    note, = seen_notes([1], rehearsed)
    assert note.startswith('rehearsal-refcoco: the detector was trained on 1 of the 2 images')


def test_the_name_of_a_coco_split_says_nothing_of_other_images_and_a_list_does() -> None:
    mine = {('mine', 'val'): of('mine', 1, 2)}
    assert seen_images('train2017', mine)['mine']['val']['seen'] is None
    assert seen_images([2], mine)['mine']['val']['seen'] == 1
