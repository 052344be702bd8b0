"""All masks that a run needs are looked at before it writes: damaged ones are named, missing ones counted."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.structures import InstanceData

from adapters.originals.masks import read_masks
from harness.data.masks import area, to_rle
from harness.data.needed_masks import check_stored_masks, referent_masks
from harness.data.refer import load_refer
from harness.errors import InputError
from harness.evaluation.one_image import Evaluated, _truths
from harness.evaluation.plan import Group, Plan, Plugins
from harness.evaluation.prepare import prepare
from harness.evaluation.request import Request
from harness.types import Dataset
from run_benchmark import command_line

SQUARE, TWO_POINTS = [[10, 10, 30, 10, 30, 30, 10, 30]], [[10, 10, 30, 30]]
Load = Callable[..., Dataset]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """RefCOCO's layout with one image of 100 by 100 and a referent for each segmentation, from ann_id 1 on."""
    def write(*segmentations: Any, split: str = 'val') -> Path:
        folder = tmp_path / 'refcoco'
        folder.mkdir(exist_ok=True)
        box = [10, 10, 20, 20]
        (folder / 'refs(unc).json').write_text(json.dumps([
            {'ref_id': i, 'ann_id': i, 'image_id': 7, 'split': split if i == len(segmentations) else 'val',
             'sentences': [{'sent_id': i, 'sent': 'cup', 'tokens': ['cup']}]} for i, _ in enumerate(segmentations, 1)]))
        (folder / 'instances.json').write_text(json.dumps({
            'images': [{'id': 7, 'height': 100, 'width': 100, 'file_name': '7.jpg'}],
            'annotations': [{'id': i, 'image_id': 7, 'category_id': 1, 'bbox': box, 'segmentation': one}
                            for i, one in enumerate(segmentations, 1)],
            'categories': [{'id': 1, 'name': 'cup'}]}))
        return tmp_path
    return write


def masks_of(root: Path, split: str = 'val') -> tuple[dict, list[str]]:
    dataset = load_refer(root, 'refcoco', 'unc')
    masks, notes = referent_masks({'refcoco': dataset}, {('refcoco', split): dataset.split(split)})
    return masks['refcoco'], notes


def test_a_damaged_mask_is_named_by_file_image_and_annotation(write: Callable[..., Path]) -> None:
    root = write(SQUARE, TWO_POINTS)
    with pytest.raises(InputError) as error:
        masks_of(root)
    assert str(error.value) == (f'{root}/refcoco/instances.json: image 7: annotation 2: a polygon of two points has no '
                                'area; a mask needs three points or more')


def test_nothing_is_written_before_it_is_found(write: Callable[..., Path], tmp_path: Path,
                                               capsys: pytest.CaptureFixture) -> None:
    root = write(SQUARE, TWO_POINTS)
    assert command_line(['--data-root', str(root), '--dataset', 'refcoco', '--grounder', 'chance', '--proposals',
                         'greedy', '--out', str(tmp_path / 'out')]) == 2
    assert 'image 7: annotation 2: ' in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_masks_that_nobody_asks_for_are_not_looked_at(write: Callable[..., Path]) -> None:
    root = write(SQUARE, TWO_POINTS, split='train')
    masks, notes = masks_of(root)
    assert list(masks) == [1] and not notes
    recall = prepare(Request(data_root=root, datasets=['refcoco'], splits=['train'], tasks=['recall'],
                             reads_images=False))
    assert recall.plan.referents == {}


def test_what_has_no_area_is_left_out_and_counted(write: Callable[..., Path]) -> None:
    root = write(SQUARE, [], [[12.5, 12.5]], [[200, 200, 300, 200, 300, 300]], None)
    masks, (note,) = masks_of(root)
    assert {ann_id: area(rle) for ann_id, rle in masks.items()} == {1: 400}
    assert note == ('refcoco: 4 referents have no mask, or one without any area; RES leaves their expressions out: '
                    f'annotation 2, 3, 4, 5 of {root}/refcoco/instances.json')
    assert masks_of(write([]))[1] == ['refcoco: no referent has a mask with an area; RES is not available']


def test_two_annotations_with_equal_boxes_have_their_own_masks(write: Callable[..., Path], tmp_path: Path) -> None:
    half = [[10, 10, 30, 10, 30, 20, 10, 20]]
    dataset = load_refer(write(SQUARE, half), 'refcoco', 'unc')
    expressions = {('refcoco', 'val'): dataset.expressions}
    masks, _ = referent_masks({'refcoco': dataset}, expressions)
    plan = Plan({'refcoco': dataset}, expressions, {'refcoco': Plugins({}, {})}, None, referents=masks)
    group = Group('refcoco', 'val', dataset.images[7], dataset.expressions)
    first, second = _truths(plan, group, None, Evaluated())
    assert (area(first.mask), area(second.mask)) == (400, 200)
    assert [truth.objects[0][0].ann_id for truth in (first, second)] == [1, 2], 'the referent comes first'


class TestStoredMasks:
    """``--masks``: one for every box that could be chosen."""

    def check(self, write: Callable[..., Path], tmp_path: Path, rows: list[dict]) -> None:
        (tmp_path / 'masks.json').write_text(json.dumps(rows))
        dataset = load_refer(write(SQUARE, SQUARE), 'refcoco', 'unc')
        boxes = InstanceData(bboxes=torch.zeros(2, 4), det_ids=torch.tensor([5, 6]))
        check_stored_masks(read_masks(tmp_path / 'masks.json').rle, lambda e: boxes, {'refcoco': dataset},
                           {('refcoco', 'val'): dataset.expressions})

    def test_are_looked_up(self, write: Callable[..., Path], tmp_path: Path) -> None:
        good = {'size': [100, 100], 'counts': [9000, 1000]}
        self.check(write, tmp_path, [{'det_id': 5, 'rle': good}, {'det_id': 6, 'rle': good}])
        for rows, line in (([{'det_id': 5, 'rle': good}], 'has no mask of det_id 6'),
                           ([{'det_id': 5, 'rle': good}, {'det_id': 6, 'rle': {**good, 'counts': [9]}}],
                            'det_id 6: its run lengths do not add up')):
            with pytest.raises(InputError, match=line):
                self.check(write, tmp_path, rows)

    def test_are_decoded_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / 'masks.json').write_text(json.dumps([{'det_id': 5, 'rle': {'size': [2, 3], 'counts': [2, 4]}}]))
        masks = read_masks(tmp_path / 'masks.json')
        assert masks.rle(5, 2, 3) == to_rle({'size': [2, 3], 'counts': [2, 4]}, 2, 3)
        assert masks.rle(5, 2, 3) is masks.rle(5, 2, 3)
        with pytest.raises(InputError, match='height and width, 3 and 2'):
            masks.rle(5, 3, 2)
