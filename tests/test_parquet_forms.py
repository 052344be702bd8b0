"""The forms of Hugging Face: what each has, what it lacks, and the images in it."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from harness.data.assembly.datasets import load_data
from harness.errors import InputError
from harness.files.parquet import rows
from tests.parquet_files import IMAGE, SIZES, coco_name, jxu124, jxu124_rows, kangheng, lmms_lab, refcoco_m, written


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where images that files hold are written."""
    monkeypatch.setenv('REFNMS_IMAGES', str(tmp_path / 'kept'))
    return tmp_path / 'kept'


def test_lmms_lab_has_a_row_a_referent(tmp_path: Path, kept: Path) -> None:
    [dataset] = load_data([lmms_lab(tmp_path / 'RefCOCO/data/val-00000-of-00001.parquet')]).values()
    assert (dataset.name, dataset.splits) == ('refcoco', ('val',))
    assert [(e.sent, e.image_id, e.ann_id, e.gt_xywh) for e in dataset.expressions] == [
        ('left man', 309, 7, (1.37, 2.26, 20.11, 30.04)), ('him', 309, 7, (1.37, 2.26, 20.11, 30.04)),
        ('dog', 309, 8, (25.5, 0.1, 12.33, 9.99)),
        ('a cup', 605, 9, (0., 3., 11., 12.)), ('blue cup', 605, 9, (0., 3., 11., 12.))]
    assert [e.sent_id for e in dataset.expressions] == [1, 2, 3, 4, 5] and dataset.expressions[0].category is None
    assert {a.ann_id: a.segmentation for own in (dataset.referents or {}).values() for a in own} == dict.fromkeys(
        (7, 8, 9), [1.5, 2.25, 9.5, 2.25, 9.5, 8.1])
    assert {i: (info.height, info.width) for i, info in dataset.images.items()} == SIZES  # measured, the form lacks it
    assert dataset.unpack is not None and not kept.exists()
    dataset.unpack()
    assert all(info.path is not None and info.path.read_bytes()[:4] == b'\x89PNG' for info in dataset.images.values())
    assert sorted(path.name for path in kept.rglob('*.jpg')) == [coco_name(309), coco_name(605)]


def test_parts_of_a_split_are_one_file(tmp_path: Path) -> None:
    for i in range(2):
        lmms_lab(tmp_path / f'refcocog/data/val-0000{i}-of-00002.parquet')
        lmms_lab(tmp_path / f'refcocog/data/test-0000{i}-of-00002.parquet')
    [dataset] = load_data([tmp_path / 'refcocog']).values()
    assert dataset.name == 'refcocog' and {s: len(dataset.split(s)) for s in dataset.splits} == {'test': 10, 'val': 10}


def test_a_folder_of_two_datasets_is_refused(tmp_path: Path) -> None:
    lmms_lab(tmp_path / 'refcoco/val.parquet')
    lmms_lab(tmp_path / 'refcocog/val.parquet')
    with pytest.raises(InputError, match=r'holds files of several datasets, refcoco \(refcoco/val.parquet\) and '
                                         r'refcocog \(refcocog/val.parquet\); give the files that are meant'):
        load_data([tmp_path])


@pytest.mark.parametrize('number', ['', 'a7', '-7', '7' * 19, '７'])
def test_lmms_lab_numbers_are_annotations(tmp_path: Path, number: str) -> None:
    row = {'question_id': number, 'image': None, 'answer': ['man'], 'segmentation': [1.], 'bbox': [1., 2., 3., 4.],
           'file_name': coco_name(309)}
    with pytest.raises(InputError, match="row 1: 'question_id' must be the number of an annotation"):
        load_data([written(tmp_path / 'val.parquet', [row], {'image': IMAGE})])


def test_jxu124_has_all_of_refers_ids(tmp_path: Path) -> None:
    [dataset] = load_data([jxu124(tmp_path / 'refcocog/data/validation-00000-of-00001.parquet')]).values()
    first, last = dataset.expressions[0], dataset.expressions[-1]
    assert (first.sent_id, first.ref_id, first.ann_id, first.image_id) == (70, 107, 7, 309)
    assert (last.sent, last.tokens, last.sent_id) == ('blue cup', ('blue', 'cup'), 91)
    assert first.gt_xywh == (1.37, 2.26, 20.11, 30.04) and first.category == 'dog'
    assert {i: (info.height, info.width, info.path) for i, info in dataset.images.items()} == {
        i: (*size, None) for i, size in SIZES.items()}
    assert dataset.unpack is None and dataset.referents is not None and len(dataset.referents[309]) == 2


def test_a_test_that_nothing_tells_is_left_and_said(tmp_path: Path) -> None:
    [dataset] = load_data([jxu124(tmp_path / 'refcocoplus/test.parquet')]).values()
    assert (dataset.name, dataset.splits) == ('refcoco+', ('test',))
    assert dataset.notes == ['refcoco+: test.parquet: its split is called test, and its rows do not tell which test it '
                             'is; RefCOCO+ has testA and testB by UNC, and a test by Google']
    [dataset] = load_data([jxu124(tmp_path / 'refcocog/test.parquet')]).values()
    assert (dataset.splits, dataset.notes) == (('test',), [])


@pytest.mark.parametrize('change, said', [
    ({'bbox': [1.37, 2.26, 20.11, 30.04]}, "'bbox' and the box in 'raw_anns' are not one"),
    ({'bbox': [1., 2.]}, "'bbox' must be four numbers x1, y1, x2, y2"),
    ({'raw_anns': '{"bbox": [1, 2, 3'}, "'raw_anns': is not valid JSON"), ({'raw_anns': '[]'}, 'must be a record'),
    ({'raw_anns': '{"bbox": [NaN, 2, 3, 4]}'}, 'NaN is no number'),
    ({'raw_anns': json.dumps({'bbox': [1, 2, 0, 4]})}, "'raw_anns': 'bbox' has no area"),
    ({'image_id': 310}, "'image_id' 310 is not the image COCO_train2014_000000000309.jpg of 'raw_image_info'"),
    ({'raw_image_info': json.dumps({'file_name': coco_name(309), 'height': 40})}, "has no 'width'"),
    ({'raw_image_info': json.dumps({'file_name': '../' + coco_name(309)})}, 'must be a bare name'),
])
def test_jxu124_rows_that_contradict_themselves(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    first, *others = jxu124_rows()
    with pytest.raises(InputError, match='val.parquet: row 2.*' + said.replace('[', r'\[')):
        load_data([written(tmp_path / 'val.parquet', [others[0], first | change])])


@pytest.mark.parametrize('xyxy', [True, False])
def test_kanghengs_boxes_are_settled_by_the_file(tmp_path: Path, xyxy: bool) -> None:
    [dataset] = load_data([kangheng(tmp_path / 'refcocop/val.parquet', xyxy=xyxy)],
                          boxes=None if xyxy else 'xywh').values()
    assert [e.gt_xywh for e in dataset.expressions] == [(21, 22, 19.5, 17), (21, 22, 19.5, 17), (16, 20, 13, 29.25)]
    assert dataset.numbered_images and sorted(dataset.images) == [1, 2]
    assert [(dataset.images[i].height, dataset.images[i].width) for i in (1, 2)] == list(SIZES.values())
    assert 'refcoco+: its images have no COCO id in their names; they are numbered in order' in dataset.notes


def test_kanghengs_boxes_that_may_be_both_are_asked_for(tmp_path: Path) -> None:
    path = kangheng(tmp_path / 'val.parquet', boxes=['[1, 2, 9, 9]', '[2, 2, 9, 9]', '[3, 2, 9, 9]'])
    with pytest.raises(InputError, match='they do not settle it .*; say --boxes xywh or --boxes xyxy'):
        load_data([path])
    [dataset] = load_data([path], boxes='xyxy').values()
    assert dataset.expressions[2].gt_xywh == (3, 2, 6, 7)


def test_kanghengs_images_are_known_by_their_bytes_or_their_names(tmp_path: Path, kept: Path) -> None:
    [unnamed] = load_data([kangheng(tmp_path / 'unnamed.parquet')]).values()
    [named] = load_data([kangheng(tmp_path / 'named.parquet', names=True)]).values()
    assert [e.image_id for e in unnamed.expressions] == [1, 1, 2]
    assert [e.image_id for e in named.expressions] == [309, 309, 605] and not named.numbered_images
    assert unnamed.unpack is not None and named.unpack is not None
    unnamed.unpack()
    named.unpack()
    assert all(info.path is not None and info.path.exists() for d in (named, unnamed) for info in d.images.values())


@pytest.mark.parametrize('box, said', [
    ('[1, 2, 3]', 'four numbers'), ('["1", 2, 3, 4]', 'four numbers'), ('NaN', 'NaN is no number'), ('[1', 'not valid'),
    ('[1' + '0' * 400 + ', 2, 3, 4]', 'not finite or beyond a million pixels'), ('{}', 'four numbers'),
    ('[' * 100_000, 'nested too deeply'),
])
def test_kanghengs_boxes_that_are_none(tmp_path: Path, box: str, said: str) -> None:
    with pytest.raises(InputError, match=f'row 2.*{said}'):
        load_data([kangheng(tmp_path / 'val.parquet', boxes=['[1, 2, 9, 9]', box, '[3, 2, 9, 9]'])], boxes='xyxy')


def test_refcoco_m_has_a_row_an_image(tmp_path: Path, kept: Path) -> None:
    [dataset] = load_data([refcoco_m(tmp_path / 'refcoco-m/data/validation-00000-of-00002.parquet')]).values()
    assert (dataset.name, dataset.splits, len(dataset.images)) == ('refcoco', ('val',), 2)
    assert [(e.sent, e.image_id, e.ann_id, e.category, e.gt_xywh) for e in dataset.expressions] == [
        ('left man', 309, 7, 'dog', (1.37, 2.26, 20.11, 30.04)), ('him', 309, 7, 'dog', (1.37, 2.26, 20.11, 30.04)),
        ('dog', 309, 8, 'dog', (25.5, 0.1, 12.33, 9.99)), ('a cup', 605, 9, 'dog', (0., 3., 11., 12.))]
    assert dataset.referents is not None
    assert [a.segmentation for a in dataset.referents[309]] == [{'counts': '0', 'size': [40, 60]}] * 2
    assert dataset.unpack is not None
    dataset.unpack()
    assert len(list(kept.rglob('*.jpg'))) == 2


def test_of_the_columns_only_those_are_read_that_are_wanted(tmp_path: Path) -> None:
    path = lmms_lab(tmp_path / 'val.parquet')
    assert [row for _, row in rows(path, {'image': {'path': 'text'}, 'bbox': ['number']})][0] == {
        'image': {'path': None}, 'bbox': [1.37, 2.26, 20.11, 30.04]}


@pytest.mark.parametrize('column, values, kind, said', [
    ('bbox', ['1', '2'], pa.string(), "'bbox' must have lists of numbers, and is of type string"),
    ('answer', [1, 2], pa.int64(), "'answer' must have lists of text, and is of type int64"),
    ('question_id', [1, 2], pa.int64(), "'question_id' must have text, and is of type int64"),
    ('answer', [[{'sent': 'a'}]] * 2, pa.list_(pa.struct([('sent', pa.string())])),
     "'answer' must have text, and is of type struct<sent: string>"),
])
def test_a_column_of_another_type_is_named(tmp_path: Path, column: str, values: Any, kind: Any, said: str) -> None:
    rows = [{'question_id': '7', 'image': None, 'answer': ['a'], 'segmentation': [1.], 'bbox': [1., 2., 3., 4.],
             'file_name': coco_name(309)} | {column: value} for value in values]
    with pytest.raises(InputError, match=said):
        load_data([written(tmp_path / 'val.parquet', rows, {'image': IMAGE, column: kind})])


def test_images_of_another_type_are_named(tmp_path: Path) -> None:
    row = {'question_id': '7', 'image': 'text', 'answer': ['a'], 'segmentation': [1.], 'bbox': [1., 2., 3., 4.],
           'file_name': coco_name(309)}
    with pytest.raises(InputError, match="column 'image' must have records of bytes, and is of type string"):
        load_data([written(tmp_path / 'val.parquet', [row])])


def test_a_parquet_of_no_form_is_told_what_it_lacks(tmp_path: Path) -> None:
    some = {'question_id': '7', 'answer': ['a'], 'bbox': [1.], 'file_name': 'a'}
    with pytest.raises(InputError, match='is of no form that is known here; it has the columns question_id, answer, '
                                         'bbox, file_name, and lacks segmentation, image of the form lmms-lab; '
                                         'docs/forms.md describes the forms'):
        load_data([written(tmp_path / 'a.parquet', [some])])
    with pytest.raises(InputError, match='it has the columns x, none of those of '):
        load_data([written(tmp_path / 'b.parquet', [{'x': 1}])])


def test_json_of_no_form_is_told_what_its_first_record_has(tmp_path: Path) -> None:
    (tmp_path / 'a.json').write_text('[{"img": 1, "phrase": 2}]')
    with pytest.raises(InputError, match='no form that is known here; its first record has img, phrase; docs/forms.md'):
        load_data([tmp_path / 'a.json'])
    (tmp_path / 'b.json').write_text('{"rows": [{"img": 1}]}' + ' ' * 9)
    with pytest.raises(InputError, match="no form that is known here; its first record.* has "):
        load_data([tmp_path / 'b.json'])
