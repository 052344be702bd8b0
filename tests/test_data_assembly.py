"""From the rows of files to datasets: boxes, names, ids, images, and what lies beside."""
from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.boxes import xywh_to_xyxy
from harness.data.assembly.boxes import settled, xywh_of
from harness.data.assembly.datasets import load_data
from harness.data.assembly.names import bare_name, dataset_in, image_id_of, split_in
from harness.data.refer import load_refer
from harness.errors import InputError
from harness.types import FormRow
from tests.small_rehearsal import small_rehearsal

REAL = Path(os.environ.get('REAL_DATA', Path(__file__).parents[1] / '../shared/real'))
CENTS = st.integers(0, 60_000)
SIDES = st.integers(1, 60_000)


def row(box: Any, size: tuple[int, int] | None = (480, 640)) -> FormRow:
    return FormRow('a file: row 1', 'man', box, 'a.jpg', size)


@given(x=CENTS, y=CENTS, w=SIDES, h=SIDES)
def test_the_digits_of_a_box_come_back_whichever_way_it_is_written(x: int, y: int, w: int, h: int) -> None:
    written = x / 100, y / 100, w / 100, h / 100
    assert xywh_of(row(written), 'xywh') == written
    corners = xywh_to_xyxy([written])[0].tolist()
    assert xywh_of(row(corners), 'xyxy') == written


@pytest.mark.parametrize('box', [[5, 5, 5, 9], [5, 5, 9, 4]])
def test_corners_without_an_area_are_refused(box: list[float]) -> None:
    with pytest.raises(InputError, match=r"row 1: 'box' is no box x1, y1, x2, y2.*say --boxes xywh"):
        xywh_of(row(box), 'xyxy')


def test_the_whole_file_settles_how_its_boxes_are_written() -> None:
    draw = random.Random(0)
    boxes = [(x := draw.uniform(0, 500), y := draw.uniform(0, 400), draw.uniform(5, 640 - x), draw.uniform(5, 480 - y))
             for _ in range(300)]
    assert settled([row(box) for box in boxes], 'f') == 'xywh'
    assert settled([row((x, y, x + w, y + h)) for x, y, w, h in boxes], 'f') == 'xyxy'
    with pytest.raises(InputError, match='^f: does not say how its boxes are written.*say --boxes xywh or --boxes '):
        settled([row((1, 1, 9, 9))] * 50, 'f')
    with pytest.raises(InputError, match='do not settle it'):
        settled([row((600, 400, 5, 500))] * 50, 'f')
    with pytest.raises(InputError, match="'box' must be four numbers"):
        settled([row('1 2 3 4')], 'f')


@given(image_id=st.integers(0, 999_999_999_999), number=st.integers(0, 10 ** 7), folder=st.sampled_from(['', 'a/b/']))
def test_an_image_is_known_by_its_name_with_and_without_a_number(image_id: int, number: int, folder: str) -> None:
    name = f'COCO_train2014_{image_id:012d}'
    assert bare_name(f'{folder}{name}_{number}.jpg') == bare_name(f'{folder}{name}.jpg') == f'{name}.jpg'
    for known in (f'{name}_{number}.jpg', f'{name}.jpg', f'{image_id:012d}.jpg', f'{image_id}', image_id):
        assert image_id_of(known) == image_id


@given(st.text(max_size=40))
def test_any_text_may_be_a_name(text: str) -> None:
    assert dataset_in(text) in (None, 'refcoco', 'refcoco+', 'refcocog')
    assert split_in(text) in (None, 'train', 'val', 'testA', 'testB', 'test')
    assert '/' not in bare_name(text) and (image_id_of(text) is None or image_id_of(text) >= 0)  # type: ignore


IMAGE_IDS = (309, 605)


def minigpt(path: Path, boxes: tuple[list[float], ...] = ([1.5, 2, 20, 30], [25, 1, 12, 9], [0, 3, 11, 12]),
            name: str = 'COCO_train2014_{:012d}_3') -> Path:
    rows = [{'img_id': name.format(image_id), 'sents': sent, 'bbox': box, 'height': 40, 'width': 60}
            for image_id, sent, box in zip((309, 309, 605), ('left man', 'dog', 'a cup'), boxes, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def instances(path: Path, **changed: Any) -> Path:
    boxes = ((7, 309, [1.7, 2.2, 20.4, 30.1]), (8, 309, [25, 1, 12, 9]), (9, 605, [0, 3, 11, 12]),
             (6, 605, [1, 1, 9, 9]))
    content = {'images': [{'id': i, 'file_name': f'COCO_train2014_{i:012d}.jpg', 'height': 40, 'width': 60}
                          for i in (*IMAGE_IDS, 700)],
               'annotations': [{'id': ann_id, 'image_id': image_id, 'bbox': box, 'category_id': 18,
                                'segmentation': [[1, 2, 9, 2, 9, 8]]} for ann_id, image_id, box in boxes],
               'categories': [{'id': 18, 'name': 'dog'}]} | changed
    path.write_text(json.dumps(content))
    return path


def test_sentences_are_numbered_and_images_known_by_name(tmp_path: Path) -> None:
    [dataset] = load_data([minigpt(tmp_path / 'refcoco_val.json')]).values()
    assert (dataset.name, dataset.splits) == ('refcoco', ('val',))
    assert [(e.sent_id, e.image_id, e.ann_id) for e in dataset.expressions] == [(1, 309, None), (2, 309, None),
                                                                                (3, 605, None)]
    assert dataset.annotations is None and dataset.referents is None and not dataset.numbered_images


def test_images_without_a_name_of_cocos_are_numbered_and_it_is_said(tmp_path: Path) -> None:
    [dataset] = load_data([minigpt(tmp_path / 'mine.json', name='image{}')]).values()
    assert (dataset.name, dataset.splits) == ('mine', ('all',))
    assert [e.image_id for e in dataset.expressions] == [1, 1, 2] and dataset.numbered_images
    assert dataset.notes == ['mine: its images have no COCO id in their names; they are numbered in order']


def test_instances_beside_give_what_the_form_lacks_by_cut_boxes_too(tmp_path: Path) -> None:
    path = minigpt(tmp_path / 'refcoco_val.json', boxes=([1, 2, 20, 30], [25, 1, 12, 9], [0, 3, 11, 12]))
    beside = instances(tmp_path / 'instances.json')
    for data in ([path], [path, beside], [tmp_path]):
        [dataset] = load_data(data).values()
        assert [(e.ann_id, e.category, e.gt_xywh) for e in dataset.expressions] == [
            (7, 'dog', (1.7, 2.2, 20.4, 30.1)), (8, 'dog', (25, 1, 12, 9)), (9, 'dog', (0, 3, 11, 12))]
        assert dataset.annotations is not None and sorted(dataset.annotations) == [309, 605]
        assert [a.ann_id for a in dataset.annotations[605]] == [9, 6] and dataset.annotations[309][0].segmentation


@pytest.mark.parametrize('changed, said', [
    ({'images': []}, 'its image COCO_train2014_000000000309_3.jpg is not in .*; the two files belong to one release'),
    ({'annotations': []}, 'its box is not one of image 309 in .*; the two files belong to one release'),
])
def test_instances_of_another_release_are_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    instances(tmp_path / 'instances.json', **changed)
    with pytest.raises(InputError, match=said):
        load_data([minigpt(tmp_path / 'refcoco_val.json')])


def test_boxes_that_contradict_the_form_are_said_and_those_of_another_form_refused(tmp_path: Path) -> None:
    path = minigpt(tmp_path / 'refcoco_val.json', boxes=([1, 2, 20, 30], [25, 1, 37, 10], [0, 3, 11, 12]))
    [dataset] = load_data([path], boxes='xyxy').values()
    assert [e.gt_xywh for e in dataset.expressions] == [(1, 2, 19, 28), (25, 1, 12, 9), (0, 3, 11, 9)]
    assert dataset.notes == ['refcoco: refcoco_val.json: boxes are read as xyxy, as --boxes says; the form minigpt has '
                             'xywh']
    with pytest.raises(InputError, match='boxes must be x, y, width, height in pixels.*they look like corners'):
        load_data([minigpt(path, boxes=([30, 20, 50, 38], [41, 25, 55, 39], [30, 22, 52, 37]))])


def test_two_datasets_in_a_folder_are_refused(tmp_path: Path) -> None:
    minigpt(tmp_path / 'refcoco_val.json')
    minigpt(tmp_path / 'refcocog_val.json')
    with pytest.raises(InputError, match='holds files of several datasets, refcoco .* and refcocog .*; give the files'):
        load_data([tmp_path])
    assert list(load_data(sorted(tmp_path.iterdir()))) == ['refcoco', 'refcocog']


def test_two_forms_in_a_folder_are_refused(tmp_path: Path) -> None:
    minigpt(tmp_path / 'refcoco_val.json')
    (tmp_path / 'more.json').write_text(json.dumps([{'ref_id': 1, 'ann_id': 7, 'image_id': 309, 'split': 'val',
                                                     'sentences': []}]))
    with pytest.raises(InputError, match='holds files of several forms'):
        load_data([tmp_path])


def test_refers_files_are_the_same_as_by_its_own_reader(tmp_path: Path) -> None:
    root = small_rehearsal(tmp_path).root
    for name, maker in (('refcoco', 'unc'), ('refcoco+', 'unc'), ('refcocog', 'umd')):
        theirs = load_refer(root, name, maker)
        [dataset] = load_data([root / name]).values()  # refcoco and refcocog have refs(google).p as well
        assert [vars(e) | {'dataset': ''} for e in dataset.expressions] == [
            vars(e) | {'dataset': ''} for e in theirs.expressions]
        assert dataset.name == name and dataset.annotations == theirs.annotations and dataset.images == theirs.images
        assert dataset.categories == theirs.categories and dataset.category_ids == theirs.category_ids


def test_refs_of_several_makers_in_a_folder_that_is_not_published_are_refused(tmp_path: Path) -> None:
    for maker in ('a', 'b'):
        (tmp_path / f'refs({maker}).json').write_text('[]')
    with pytest.raises(InputError, match='has the refs of a, b; give the file that is meant'):
        load_data([tmp_path])


@pytest.mark.skipif(not REAL.exists(), reason=f'the real data are not in {REAL}; set REAL_DATA')
def test_rows_of_several_partitions_are_called_mixed(tmp_path: Path) -> None:
    with gzip.open(REAL / 'refcoco_eval.jsonl.gz') as file:
        rows = [r for r in map(json.loads, file) if r['dataset'] == 'refcoco' and r['split'] in ('val', 'testA')]
    (tmp_path / 'refcoco_val.json').write_text(json.dumps([
        {'img_id': f'COCO_train2014_{row["image_id"]:012d}_1', 'sents': row['sent'], 'bbox': row['bbox'],
         'height': row['height'], 'width': row['width']} for row in rows]))
    [dataset] = load_data([tmp_path / 'refcoco_val.json']).values()
    assert (dataset.name, dataset.splits) == ('refcoco-mixed', ('val',))


def test_a_list_that_is_no_json_in_its_first_record_is_told_why(tmp_path: Path) -> None:
    (tmp_path / 'a.json').write_text('[{"img_id": "1", "sents": "a", "bbox": [1, 2, NaN, 4], "height": 9, "width": 9}]')
    with pytest.raises(InputError, match='NaN is no number'):
        load_data([tmp_path / 'a.json'])


def test_a_first_record_of_a_million_signs_is_still_one_of_its_form(tmp_path: Path) -> None:
    row = {'img_id': '7', 'sents': 'a', 'bbox': [1, 2, 3, 4], 'height': 9, 'width': 9, 'more': 'x' * 1_500_000}
    (tmp_path / 'a.json').write_text(json.dumps([row, row]))
    (found,) = load_data([tmp_path / 'a.json']).values()
    assert len(found.expressions) == 2


def refer_folder(folder: Path) -> Path:
    """REFER's files of three sentences of two cups on one image, two of them the same words on both."""
    folder.mkdir(parents=True)
    sentences = [[('left cup', 11), ('a cup', 12)], [('a cup', 13)]]
    refs = [{'ref_id': 5 + i, 'ann_id': 70 + i, 'image_id': 7, 'category_id': 47, 'split': 'val',
             'sentences': [{'sent_id': sent_id, 'sent': sent, 'tokens': sent.split()} for sent, sent_id in own]}
            for i, own in enumerate(sentences)]
    (folder / 'refs(unc).json').write_text(json.dumps(refs))
    (folder / 'instances.json').write_text(json.dumps({
        'images': [{'id': 7, 'height': 100, 'width': 100, 'file_name': 'COCO_train2014_000000000007.jpg'}],
        'annotations': [{'id': 70 + i, 'image_id': 7, 'category_id': 47, 'bbox': [10 * i, 5, 20, 30]} for i in (0, 1)],
        'categories': [{'id': 47, 'name': 'cup'}]}))
    return folder


def three_sentences(path: Path) -> Path:
    """The same in Qwen-VL's form, in another order."""
    rows = [('a cup', [10, 5, 30, 35]), ('Left cup.', [0, 5, 20, 35]), ('a cup', [0, 5, 20, 35])]
    path.write_text(''.join(json.dumps({'image': 'train2014/COCO_train2014_000000000007.jpg', 'sent': sent, 'bbox': box,
                                        'height': 100, 'width': 100}) + '\n' for sent, box in rows))
    return path


@pytest.mark.parametrize('beside', [True, False])
def test_refs_beside_a_file_of_another_form_say_its_ids(tmp_path: Path, beside: bool) -> None:
    folder = refer_folder(tmp_path / 'mine')
    given = [three_sentences(folder / 'mine_val.jsonl')] if beside else [
        three_sentences(tmp_path / 'mine_val.jsonl'), folder / 'refs(unc).json', folder / 'instances.json']
    (found,) = load_data(given).values()
    assert [(e.sent_id, e.ref_id, e.ann_id, e.category) for e in found.expressions] == [
        (13, 6, 71, 'cup'), (11, 5, 70, 'cup'), (12, 5, 70, 'cup')]


def test_without_annotations_the_same_words_on_two_referents_get_no_ids(tmp_path: Path) -> None:
    refs = refer_folder(tmp_path / 'mine') / 'refs(unc).json'
    (refs.parent / 'instances.json').unlink()
    (found,) = load_data([three_sentences(tmp_path / 'mine_val.jsonl'), refs]).values()
    assert [(e.ref_id, e.ann_id) for e in found.expressions] == [(None, None), (5, 70), (None, None)]
    assert found.notes == ['mine: 2 of 3 sentences are not in refs(unc).json; sent_ids are numbers in order']
