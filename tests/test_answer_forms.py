"""Every form of answer files: three rows by hand, what the form says of them, and what is refused."""
from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import openpyxl
import pytest

from harness.answers import reading
from harness.answers.records import Asked, RawAnswer, read_answers
from harness.data.assembly.names import dataset_in, image_id_of, split_in, suffix_of
from harness.errors import InputError
from harness.registry import ANSWER_FORMS, names
from tests import answer_files
from tests.answer_files import ANSWERS, NAMES, SENTENCES, SIZES, TRUTHS, corners, in_units


def read(form: str, path: Path) -> list[RawAnswer]:
    return read_answers(ANSWER_FORMS.get(form)(), path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return answer_files.write_all(tmp_path)


def test_there_is_a_file_of_every_form(files: dict[str, Path]) -> None:
    assert set(files) == set(names(ANSWER_FORMS))
    assert all(len(read(form, path)) == 3 for form, path in files.items())


def test_each_form_says_what_its_numbers_are(files: dict[str, Path]) -> None:
    said = {form: {one.reading.coordinates or one.coordinates or ANSWER_FORMS.get(form).coordinates
                   for one in read(form, path)} for form, path in files.items()}
    assert said == {'vlm-r1': {'pixels'}, 'vlm-r1-filed': {'pixels'}, 'lmms-eval': {'fraction'}, 'vlmevalkit': {None},
                    'qwen-vl': {'over-999'}, 'internvl': {'thousandths'}, 'minigpt': {'hundredths'},
                    'lbyl': {'pixels'}, 'google': {'pixels'}, 'jsonl': {None}}


def test_the_page_has_a_row_for_every_form() -> None:
    page = (Path(__file__).parents[1] / 'docs/answers.md').read_text()
    rows = dict(re.findall(r'^\| `([a-z][\w-]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \| [^|]+ \|$', page, flags=re.M))
    assert {name: said.split(' ')[0].strip('`;') for name, said in rows.items()} == {
        name: ANSWER_FORMS.get(name).coordinates or 'fraction' * (name == 'lmms-eval') or 'named'
        for name in names(ANSWER_FORMS)}


def test_vlm_r1_has_image_sentence_and_truth(files: dict[str, Path]) -> None:
    asked = [one.asked for one in read('vlm-r1', files['vlm-r1'])]
    assert asked == [Asked(image=f'train2014/{NAMES[image]}.jpg', sent=sent, truth=tuple(corners(truth)))
                     for image, sent, truth in zip((7, 7, 8), SENTENCES, TRUTHS, strict=True)]
    assert [one.reading.boxes for one in read('vlm-r1', files['vlm-r1'])] == [(box,) for box in ANSWERS]


def test_vlm_r1_as_filed_takes_zeros_for_not_readable(files: dict[str, Path]) -> None:
    readings = [one.reading for one in read('vlm-r1-filed', files['vlm-r1-filed'])]
    assert [one.kind for one in readings] == ['read', 'read', 'unreadable']
    assert readings[2].why == 'filed as four zeros: the script found no box'


def test_vlm_r1_with_the_size_of_its_input(tmp_path: Path) -> None:
    value = answer_files.vlm_r1()
    for row, size in zip(value['results'], SIZES, strict=True):
        row |= {'input_size': [112, 224], 'image_size': size[::-1]}
    first, *_ = read('vlm-r1', answer_files.write(tmp_path / 'a.json', value))
    assert (first.coordinates, first.input_size, first.asked.size) == ('resized', (224, 112), (200, 100))


def test_lmms_eval_by_sentence_and_by_referent(files: dict[str, Path], tmp_path: Path) -> None:
    first, *_ = read('lmms-eval', files['lmms-eval'])
    assert first.asked == Asked(ann_id=71, sent='left cup', image=f'{NAMES[7]}_0.jpg', size=(200, 100),
                                truth=(20, 10, 80, 50))
    assert first.reading.boxes == (tuple(in_units(ANSWERS[0], SIZES[0], 1)),)
    path = answer_files.write(tmp_path / 's.jsonl', answer_files.lmms_eval_by_referent())
    first, *_ = read('lmms-eval', path)
    assert first.asked == Asked(ann_id=71, sent='left cup; that', truth=(20, 10, 80, 50), whole=True)
    assert (first.coordinates, first.reading.boxes) == (None, (ANSWERS[0],))


def test_lmms_eval_without_doc_has_neither_size_nor_truth(tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != 'doc'} for row in answer_files.lmms_eval()]
    first, *_ = read('lmms-eval', answer_files.write(tmp_path / 's.jsonl', rows))
    assert first.asked == Asked(ann_id=71, sent='left cup')


@pytest.mark.parametrize('ending', ['.xlsx', '.tsv'])
def test_vlmevalkit_as_sheet_and_as_text(ending: str, tmp_path: Path) -> None:
    path = answer_files.write_sheet(tmp_path / f'a{ending}', answer_files.vlmevalkit())
    answers = read('vlmevalkit', path)
    assert [one.asked for one in answers] == [
        Asked(dataset='refcoco', split='val', sent=sent, truth=tuple(corners(truth)), size=size)
        for sent, truth, size in zip(SENTENCES, TRUTHS, SIZES, strict=True)]
    assert [one.reading.boxes for one in answers] == [(box,) for box in ANSWERS]


def test_qwen_and_internvl_have_size_and_truth(files: dict[str, Path]) -> None:
    for form in ('qwen-vl', 'internvl'):
        assert [one.asked for one in read(form, files[form])] == [
            Asked(truth=tuple(corners(truth)), size=size) for truth, size in zip(TRUTHS, SIZES, strict=True)]


def test_minigpt_has_images_and_referents(files: dict[str, Path]) -> None:
    answers = read('minigpt', files['minigpt'])
    assert [one.asked.group for one in answers] == [f'{NAMES[7]}_0', f'{NAMES[7]}_4', f'{NAMES[8]}_2']
    assert answers[0].reading.boxes == ((10, 10, 40, 50),)


def test_lbyl_has_image_and_truth_and_any_iou(files: dict[str, Path]) -> None:
    first, *_ = read('lbyl', files['lbyl'])
    assert first.asked == Asked(image=f'{NAMES[7]}.jpg', truth=(20, 10, 80, 50))


def test_a_ranking_is_one_answer_that_keeps_the_others(files: dict[str, Path], tmp_path: Path) -> None:
    first, *_ = read('google', files['google'])
    assert first.asked == Asked(ann_id=71)
    assert (first.reading.kind, first.reading.why) == ('read', 'the first of 2 ranked boxes')
    assert first.reading.boxes == (ANSWERS[0], (1, 1, 6, 6))
    none = [{'annotation_id': 71, 'predicted_bounding_boxes': []}]
    assert read('google', answer_files.write(tmp_path / 'n.json', none))[0].reading.kind == 'empty'


def test_json_lines_say_as_much_as_they_like(tmp_path: Path) -> None:
    rows = [{'text': 'none', 'sent_id': 7}, {'text': None, 'sent_id': 8, 'ann_id': 3, 'dataset': 'd', 'split': 's'}]
    first, second = read('jsonl', answer_files.write(tmp_path / 'a.jsonl', rows))
    assert (first.asked, first.reading.kind, first.row) == (Asked(sent_id=7), 'empty', 'line 1')
    assert (second.asked, second.reading.kind) == (Asked(sent_id=8, ann_id=3, dataset='d', split='s'), 'empty')


#: The field of a model's words.
WORDS = {'vlm-r1': 'model_output', 'qwen-vl': 'answer', 'jsonl': 'text', 'lmms-eval': 'filtered_resps'}


@pytest.mark.parametrize('form', sorted(WORDS))
def test_no_number_in_words_stops_a_file(form: str, files: dict[str, Path], tmp_path: Path) -> None:
    for words in ('[NaN, 1, 2, 3]', f'[1, 2, 3, {10 ** 400}]', '[1, 2, 3, 4]' * 10 ** 5, '[' * 10 ** 5, '', '\0'):
        text = json.loads(files[form].read_text()) if form in ('vlm-r1', 'qwen-vl') else [
            json.loads(line) for line in files[form].read_text().splitlines()]
        record = text['results'][0] if form == 'vlm-r1' else text[0]
        record[WORDS[form]] = words
        assert len(read(form, answer_files.write(tmp_path / f'x{files[form].suffix}', text))) == 3


def test_numbers_that_are_none_are_not_readable_in_forms_of_numbers(tmp_path: Path) -> None:
    value = answer_files.lbyl()
    value['0']['pred_bbox'][0] = float('nan')
    value['1']['pred_bbox'][0] = 10 ** 400
    kinds = [one.reading.kind for one in read('lbyl', answer_files.write(tmp_path / 'a.json', value))]
    assert kinds == ['unreadable', 'unreadable', 'read']


# ---------------------------------------------------------------------------------------- what is refused

@pytest.mark.parametrize(('form', 'other', 'line'), [
    ('qwen-vl', 'google', "[0] (looks like --answers google; a file has one form): has no 'answer'"),
    ('google', 'internvl', "[0] (looks like --answers qwen-vl; a file has one form): has no 'annotation_id'"),
    ('lmms-eval', 'jsonl', "line 1 (looks like --answers jsonl; a file has one form): has no 'doc_id'"),
    ('jsonl', 'lmms-eval', "line 1 (looks like --answers lmms-eval; a file has one form): has no 'text'"),
    ('vlm-r1', 'lbyl', "has no 'results'"),
    ('vlm-r1', 'google', "--answers vlm-r1 takes a record with 'results', not a list"),
    ('lbyl', 'google', '--answers lbyl takes a record of records by number, not a list'),
    ('lbyl', 'minigpt', f"record {NAMES[7]}_0: must be a record with named fields, not a list"),
    ('minigpt', 'lbyl', "0: 'answers' must be a list, not a record"),
    ('minigpt', 'qwen-vl', '--answers minigpt takes a record of lists by img_id, not a list'),
    ('qwen-vl', 'vlm-r1', '--answers qwen-vl takes a list of answers, not a record'),
    ('vlmevalkit', 'jsonl', "line 2: has no 'index'"),
])
def test_a_file_of_another_form_is_refused_in_one_line(form: str, other: str, line: str,
                                                       files: dict[str, Path]) -> None:
    with pytest.raises(InputError) as refused:
        read(form, files[other])
    assert line in str(refused.value)


def test_two_forms_in_one_file_are_refused_at_the_first_row_of_the_other(tmp_path: Path) -> None:
    path = answer_files.write(tmp_path / 'a.jsonl', [*answer_files.jsonl(), *answer_files.lmms_eval()])
    with pytest.raises(InputError, match="line 4 .looks like --answers lmms-eval; a file has one form.: has no 'text'"):
        read('jsonl', path)


@pytest.mark.parametrize(('form', 'text', 'line'), [
    ('jsonl', '', 'holds no answers'),
    ('jsonl', '{"text": 7}\n', "line 1: the model's words must be text, not a whole number"),
    ('jsonl', '{"text": "a", "sent_id": "7"}\n', "line 1: 'sent_id' must be an integer, not text"),
    ('jsonl', '{"text": "a", "bbox": [0, 0, 0, 5]}\n', "line 1: 'bbox' has no area"),
    ('jsonl', '{"text": "a"\n', 'line 1: is not valid JSON'),
    ('jsonl', '[1]\n', "line 1: must be a record with named fields, not a list"),
    ('google', '[{"annotation_id": 1, "predicted_bounding_boxes": [[1, 2, 3]]}]',
     "[0]: 'predicted_bounding_boxes' must be four numbers"),
    ('lbyl', '{"0": {"image_name": "a", "pred_bbox": [1, 2, 3, 4], "gt_bbox": [5, 5, 1, 1]}}',
     "record 0: 'gt_bbox' has a negative width or height"),
    ('qwen-vl', '[{"answer": "", "gt_bbox": [0, 0, 1, NaN], "hw": [1, 1]}]',
     "'gt_bbox' holds a number that is not finite"),
    ('qwen-vl', '[{"answer": "", "gt_bbox": [0, 0, 1, 1], "hw": [1]}]', "'hw' must be height and width"),
    ('lmms-eval', '{"doc_id": 0, "filtered_resps": "", "refcoco_CIDEr": {}}\n', 'so it is of no grounding task'),
    ('minigpt', '{"a": []}', 'a: is no img_id such as COCO_train2014_000000581282_10'),
    ('minigpt', '{"COCO_train2014_000000000007_0": "{<1>"}', "'answers' must be a list, not text"),
    ('vlmevalkit', 'index\tquestion\tprediction\n1\ta\n', 'line 2: has 2 fields, the first line names 3'),
    ('vlmevalkit', 'index\tindex\n', 'two columns have one name'),
    ('vlmevalkit', 'index\tquestion\tprediction\n1\ta\tb\0\n', 'line 2: holds a NUL, which no TSV has'),
    ('vlmevalkit', f'index\tquestion\tprediction\n1\ta\t{"b" * 200_000}\n', 'field larger than field limit'),
    ('vlmevalkit', 'index\tquestion\tprediction\twidth\theight\n1\ta\tb\tx\t1\n',
     "line 2: 'width' to 'height' must be numbers"),
    ('vlmevalkit', 'index\tquestion\tprediction\twidth\theight\n1\ta\tb\tinf\t1\n',
     "line 2: 'width' to 'height' hold a number that is not finite"),
])
def test_what_is_wrong_with_a_file_is_said_in_one_line(form: str, text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / 'a'
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read(form, path)
    assert str(refused.value).startswith(str(path)) and line in str(refused.value)


def test_a_file_of_json_is_bounded_and_json_lines_are_read_one_by_one(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, 'LARGEST_JSON', 1 << 20)
    monkeypatch.setattr(reading, 'LONGEST_LINE', 1 << 20)
    (tmp_path / 'a.json').write_text('[' + ' ' * (1 << 20) + ']')
    with pytest.raises(InputError, match='one JSON value of more than 1 MiB is not read; write one record a line'):
        read('google', tmp_path / 'a.json')
    lines = '{"text": "", "sent_id": 1}' + ' ' * 1000 + '\n'
    (tmp_path / 'a.jsonl').write_text(lines * 2000)
    assert len(read('jsonl', tmp_path / 'a.jsonl')) == 2000
    (tmp_path / 'b.jsonl').write_text(lines + '"' + 'x' * (1 << 20) + '"\n')
    with pytest.raises(InputError, match='line 2: is longer than 1 MiB, which no record is'):
        read('jsonl', tmp_path / 'b.jsonl')


def test_more_answers_than_any_dataset_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = answer_files.write(tmp_path / 'a.jsonl', answer_files.jsonl())
    monkeypatch.setattr('harness.answers.records.MOST_BOXES', 2)
    with pytest.raises(InputError, match='holds more than 500,000 answers or 2 boxes; give the answers to one dataset'):
        read('jsonl', file)
    monkeypatch.setattr('harness.answers.records.MOST_ANSWERS', 2)
    with pytest.raises(InputError, match='holds more than 2 answers or 2 boxes; give the answers to one dataset'):
        read('jsonl', file)


def test_an_endless_sentence_is_none(tmp_path: Path) -> None:
    rows = [{**answer_files.jsonl()[0], 'sent': 'cup ' * 300}]
    with pytest.raises(InputError, match='line 1: its sentence is longer than 1000 characters, which none is'):
        read('jsonl', answer_files.write(tmp_path / 'a.jsonl', rows))


def with_part(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, 'a', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize(('name', 'content', 'line'), [
    ('xl/vbaProject.bin', b'', 'holds macros (xl/vbaProject.bin); save it as .xlsx without them'),
    ('xl/externalLinks/externalLink1.xml', b'<a/>', 'has links to other files (xl/externalLinks/externalLink1.xml)'),
    ('xl/a.xml', b'<!DOCTYPE a [<!ENTITY b "c">]><a/>', 'xl/a.xml declares entities, which no .xlsx does'),
    ('xl/a.bin', bytes(80 << 20), 'unpacks to 80 MiB, far more than a sheet of answers does'),
])
def test_a_hostile_sheet_is_refused(name: str, content: bytes, line: str, tmp_path: Path) -> None:
    path = answer_files.write_sheet(tmp_path / 'a.xlsx', answer_files.vlmevalkit())
    with pytest.raises(InputError) as refused:
        read('vlmevalkit', with_part(path, name, content))
    assert line in str(refused.value)


def test_a_formula_is_not_computed(tmp_path: Path) -> None:
    rows = answer_files.vlmevalkit()
    rows[2][-1] = '=HYPERLINK("http://example.org")'
    with pytest.raises(InputError, match='row 3: J3 is a formula, and none is computed here; save the sheet'):
        read('vlmevalkit', answer_files.write_sheet(tmp_path / 'a.xlsx', rows))


def test_another_zip_and_a_damaged_sheet_are_refused(tmp_path: Path) -> None:
    other = with_part(tmp_path / 'a.zip', 'a.txt', b'a')
    with pytest.raises(InputError, match='is a zip archive and no .xlsx'):
        read('vlmevalkit', other)
    path = answer_files.write_sheet(tmp_path / 'a.xlsx', answer_files.vlmevalkit())
    data = bytearray(path.read_bytes())
    data[200:400] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(InputError, match='is a damaged .xlsx'):
        read('vlmevalkit', path)


def test_a_sheet_that_claims_to_be_endless_is_as_long_as_it_is(tmp_path: Path) -> None:
    path = answer_files.write_sheet(tmp_path / 'a.xlsx', answer_files.vlmevalkit())
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = 'xl/worksheets/sheet1.xml'
    assert b'<dimension ref="A1:J4"' in parts[sheet]
    parts[sheet] = parts[sheet].replace(b'A1:J4', b'A1:XFD1048576')
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert len(read('vlmevalkit', path)) == 3
    assert openpyxl.load_workbook(path, read_only=True).active.max_row == 1048576


# -------------------------------------------------------------------------------------------- names

@pytest.mark.parametrize(('name', 'image_id', 'suffix'), [
    ('COCO_train2014_000000581857.jpg', 581857, None), ('train2014/COCO_train2014_000000581857_16.jpg', 581857, 16),
    ('COCO_train2014_000000581282_10', 581282, 10), ('000000581857.png', 581857, None), ('581857', 581857, None),
    ('mine.jpg', None, None), ('', None, None), ('9' * 50, None, None), ('a_000000581857_x.jpg', None, None),
])
def test_the_id_in_the_name_of_an_image(name: str, image_id: int | None, suffix: int | None) -> None:
    assert (image_id_of(name), suffix_of(name)) == (image_id, suffix)


@pytest.mark.parametrize(('name', 'told'), [
    ('original-model_rec_results_refcoco_val.json.gz', ('refcoco', 'val')),
    ('rec_results_refcocop_val_qwen_100.json', ('refcoco+', 'val')), ('RefCOCO+_testA', ('refcoco+', 'testA')),
    ('2_samples_refcoco_plus_grounding_testB.jsonl', ('refcoco+', 'testB')), ('RefCOCOg test', ('refcocog', 'test')),
    ('refcoco_bbox_rec_val.jsonl', ('refcoco', 'val')), ('Model_RefCOCO.xlsx', ('refcoco', None)),
    ('refcoco+_testA_240101.json', ('refcoco+', 'testA')), ('results.json', (None, None)),
    ('refcocos_val.json', (None, 'val')),
])
def test_the_dataset_in_a_name(name: str, told: tuple) -> None:
    assert (dataset_in(name), split_in(name)) == told
