"""A rehearsal has every file of the real layout, in its form, and is called a rehearsal wherever it is read."""
from __future__ import annotations

import json
import pickle
import pickletools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask

import harness.embedded.rehearsal as rehearsal
from harness.commands.check_data import main as check_data
from harness.commands.detector_conversion import read_config
from harness.data.coco_categories import COCO_IDS
from harness.data.known import load_known
from harness.data.rehearsal_mark import NOTE
from harness.detection.model_config import described
from harness.detection.training_images import parse_trained_on
from harness.embedded.build import IMAGES, PARTS, make_pictures
from harness.embedded.outlines import polygons
from harness.embedded.rehearsal import write_rehearsal
from harness.errors import InputError
from harness.evaluation.datasets import load_dataset
from run_benchmark import command_line

TRAIN, SPLIT = 3, 1
REFS = {'refcoco': ('unc', 'google'), 'refcoco+': ('unc',), 'refcocog': ('umd', 'google')}
EVALUATED = {('refcoco', 'unc'): {'val', 'testA', 'testB'}, ('refcoco', 'google'): {'val', 'test'},
             ('refcoco+', 'unc'): {'val', 'testA', 'testB'}, ('refcocog', 'umd'): {'val', 'test'}}
Record = dict[str, Any]


def write(folder: Path) -> Path:
    write_rehearsal(folder, train_images=TRAIN, split_images=SPLIT, processes=1)
    return folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp('rehearsal') / 'DIR')


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def refs(folder: Path, name: str, maker: str) -> list[Record]:
    found: list[Record] = pickle.loads((folder / name / f'refs({maker}).p').read_bytes())
    return found


def instances(path: Path) -> Record:
    found: Record = json.loads(path.read_text())
    return found


def all_instances(folder: Path) -> Iterator[Record]:
    return map(instances, folder.glob('**/instances*.json'))


def test_every_file_of_the_layout_is_there(folder: Path) -> None:
    files = contents(folder).keys()
    pictures = {name for name in files if name.startswith('images/')}
    assert files - pictures == {
        *(f'{name}/refs({maker}).p' for name, makers in REFS.items() for maker in makers),
        *(f'{name}/instances.json' for name in REFS), 'annotations/instances_train2014.json',
        'annotations/instances_val2014.json', 'annotations/train_images.txt', 'mask-rcnn_r18_fpn.py'}
    named = {image['file_name'] for one in all_instances(folder) for image in one['images']}
    assert pictures == {f'images/train2014/{name}' for name in named}


@pytest.mark.parametrize('name, maker', [(name, maker) for name, makers in REFS.items() for maker in makers])
def test_refs_are_pickles_of_protocol_2_with_refers_fields(folder: Path, name: str, maker: str) -> None:
    data = (folder / name / f'refs({maker}).p').read_bytes()
    opcode, protocol, _ = next(pickletools.genops(data))
    assert (opcode.name, protocol) == ('PROTO', 2)
    for ref in refs(folder, name, maker):
        assert set(ref) == {'sent_ids', 'file_name', 'ann_id', 'ref_id', 'image_id', 'split', 'sentences',
                            'category_id'}
        assert all(set(sentence) == {'tokens', 'raw', 'sent_id', 'sent'} for sentence in ref['sentences'])
        assert ref['sent_ids'] == [sentence['sent_id'] for sentence in ref['sentences']]
        suffix = ref['ann_id'] if name == 'refcocog' else ref['ref_id']
        assert ref['file_name'] == f'COCO_train2014_{ref["image_id"]:012d}_{suffix}.jpg'


def test_ids_of_refs_and_sentences_count_from_0(folder: Path) -> None:
    for name, makers in REFS.items():
        found = refs(folder, name, makers[0])
        assert [ref['ref_id'] for ref in found] == list(range(len(found)))
        sentences = [sent_id for ref in found for sent_id in ref['sent_ids']]
        assert sentences == list(range(len(sentences)))


def test_splits_are_those_of_unc_umd_and_google(folder: Path) -> None:
    for (name, maker), splits in EVALUATED.items():
        found = refs(folder, name, maker)
        assert {ref['split'] for ref in found} == {'train'} | splits
        images = {split: {ref['image_id'] for ref in found if ref['split'] == split} for split in {'train'} | splits}
        assert sum(map(len, images.values())) == len(set().union(*images.values())), 'an image is in one split'


def test_googles_refcocog_is_divided_by_referents(folder: Path) -> None:
    found = refs(folder, 'refcocog', 'google')
    assert {ref['split'] for ref in found} == {'train', 'val'}
    train, val = ({ref['image_id'] for ref in found if ref['split'] == split} for split in ('train', 'val'))
    assert train & val, 'an image can be in both splits'


def test_instances_have_cocos_categories_and_boxes_around_their_polygons(folder: Path) -> None:
    for one in all_instances(folder):
        assert {category['name']: category['id'] for category in one['categories']} == COCO_IDS
        assert len(one['categories']) == 80
        for row in one['annotations']:
            assert set(row) == {'id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'segmentation'}
            points = np.concatenate([np.reshape(part, (-1, 2)) for part in row['segmentation']])
            assert [*points.min(0), *np.ptp(points, axis=0)] == row['bbox']


def test_images_are_jpegs_of_the_recorded_size(folder: Path) -> None:
    for one in all_instances(folder):
        for image in one['images']:
            with Image.open(folder / IMAGES / image['file_name']) as picture:
                assert picture.format == 'JPEG' and picture.size == (image['width'], image['height'])


def test_a_detector_learns_from_no_image_that_is_evaluated(folder: Path) -> None:
    learned = {image['id'] for image in instances(folder / 'annotations/instances_train2014.json')['images']}
    evaluated = {ref['image_id'] for name, maker in EVALUATED for ref in refs(folder, name, maker)
                 if ref['split'] != 'train'}
    assert len(learned) == TRAIN and not learned & evaluated
    assert {image['id'] for image in instances(folder / 'annotations/instances_val2014.json')['images']} == evaluated
    assert parse_trained_on(str(folder / 'annotations/train_images.txt')) == sorted(learned)


def test_polygons_cover_the_masks_that_are_drawn(folder: Path, tmp_path: Path) -> None:
    (tmp_path / IMAGES).mkdir(parents=True)
    split = replace(PARTS['train'][0], picture='jpg')
    drawn = {row['id']: row['segmentation'] for picture in make_pictures(
        [(tmp_path / IMAGES, split, number) for number in range(TRAIN)], 1) for row in picture['annotations']}
    written = instances(folder / 'annotations/instances_train2014.json')
    sizes = {image['id']: (image['height'], image['width']) for image in written['images']}
    assert drawn.keys() == {row['id'] for row in written['annotations']}
    for row in written['annotations']:
        covered = coco_mask.merge(coco_mask.frPyObjects(row['segmentation'], *sizes[row['image_id']]))
        assert coco_mask.iou([covered], [drawn[row['id']]], [0])[0, 0] > 0.8


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(np.any))
def test_polygons_have_the_bounds_of_any_mask(mask: np.ndarray) -> None:
    rows, columns = np.nonzero(mask)
    points = np.concatenate([np.reshape(part, (-1, 2)) for part in polygons(mask)])
    assert points.min(0).tolist() == [columns.min(), rows.min()]
    assert points.max(0).tolist() == [columns.max() + 1, rows.max() + 1]


def test_a_mask_without_a_pixel_has_no_polygon() -> None:
    assert polygons(np.zeros((3, 4), bool)) == []


@pytest.mark.parametrize('name', REFS)
def test_it_is_called_a_rehearsal_wherever_it_is_read(folder: Path, name: str) -> None:
    dataset = load_known(name, folder)
    assert dataset.name == f'rehearsal-{name}' and dataset.notes == [f'rehearsal-{name}: {NOTE}']
    assert {expression.dataset for expression in dataset.expressions} == {dataset.name}
    assert all(info.path is not None and info.path.is_file() for info in dataset.images.values())


def test_check_data_lists_it_as_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_data(['--data-root', str(folder)]) == 0
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.startswith('rehearsal-refcoco ')]
    assert {row[1] for row in rows} >= {'train', 'val', 'testA', 'testB', 'counts', 'images'}
    assert NOTE in printed and 'differ: ' not in printed


def test_it_runs_and_its_tables_say_that_it_is_one(folder: Path, tmp_path: Path) -> None:
    assert command_line(['--data-root', str(folder), '--dataset', 'refcoco', '--split', 'val', '--grounder', 'none',
                         '--proposals', 'greedy', '--out', str(tmp_path / 'out')]) == 0
    tables = (tmp_path / 'out/tables.md').read_text()
    assert 'rehearsal-refcoco' in tables and NOTE in tables
    assert 'not known whether the detector was trained on images of rehearsal-refcoco val' in tables


def test_a_folder_with_files_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'DIR').mkdir()
    (tmp_path / 'DIR/mine').write_text('mine')
    with pytest.raises(InputError, match='DIR: is there already; choose a new folder'):
        write(tmp_path / 'DIR')
    assert contents(tmp_path) == {'DIR/mine': b'mine'}


def test_nothing_is_left_of_one_that_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt
    monkeypatch.setattr(rehearsal, '_write_detection', interrupt)
    (tmp_path / 'DIR').mkdir()
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / 'DIR')
    assert list(tmp_path.rglob('*')) == [tmp_path / 'DIR'], 'the empty folder as it was'


def test_it_is_the_same_bytes_when_drawn_again(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'again').mkdir()
    assert contents(write(tmp_path / 'again')) == contents(folder)


def test_its_config_is_one_that_a_detector_is_converted_with(folder: Path) -> None:
    config = str(folder / 'mask-rcnn_r18_fpn.py')
    description = described(read_config(config), f'--config {config}')
    assert set(description) == {'model', 'pipeline'}
    assert description['model']['backbone']['depth'] == 18


def test_a_dataset_of_a_rehearsal_is_found_by_its_own_name_too(folder: Path) -> None:
    """As a run and its exports name it."""
    by_folder, by_name = (load_dataset(name, folder) for name in ('refcoco', 'rehearsal-refcoco'))
    assert by_folder.name == by_name.name == 'rehearsal-refcoco'
    assert by_folder.data_hash == by_name.data_hash
