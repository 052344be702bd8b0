"""The forms of the data: what each reader finds, that each file is of one form, and what is said of a bad record."""
from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.data.assembly.datasets import load_data
from harness.data.assembly.names import dataset_in
from harness.data.assembly.samples import samples
from harness.errors import InputError
from harness.plugins import DataForm
from harness.registry import DATA_FORMS, names
from harness.types import Dataset, FormRow, Sample
from tests.form_samples import (
    CUP,
    CUP_SIZE,
    CUP_XYWH,
    CUT,
    DOG_SIZE,
    DOG_XYWH,
    INSTANCES,
    ROWS,
    SAMPLES,
    SENTS,
    XYWH,
    json_file,
    lines,
    mdetr,
    write_refer,
    write_seqtr,
    write_shikra,
)


def sample_file(folder: Path, form: str) -> Path:
    name, write = SAMPLES[form]
    path = folder / 'refcoco' / name
    path.parent.mkdir(exist_ok=True)
    write(path)
    return path


def fitting(path: Path) -> list[tuple[str, DataForm, Sample]]:
    """The forms that fit a file, and as what."""
    return [(name, form, sample) for sample in samples(path) for name in names(DATA_FORMS)
            if (form := DATA_FORMS.get(name)()).fits(sample)]


def rows_of(path: Path) -> list[FormRow]:
    (_, form, sample), = fitting(path)
    return list(form.rows(path, sample))


def only(path: Path, **options: Any) -> Dataset:
    dataset, = load_data([path], **options).values()
    return dataset


@pytest.mark.parametrize('form', SAMPLES)
def test_a_file_is_of_its_own_form_and_of_no_other(tmp_path: Path, form: str) -> None:
    path = sample_file(tmp_path, form)
    assert [name for name, _, _ in fitting(path)] == [form]


@pytest.mark.parametrize('form', SAMPLES)
def test_a_file_is_known_by_its_content_and_not_by_its_name(tmp_path: Path, form: str) -> None:
    path = sample_file(tmp_path, form)
    assert [name for name, _, _ in fitting(path.rename(tmp_path / 'data'))] == [form]


@pytest.mark.parametrize('form', SAMPLES)
def test_a_reader_finds_the_rows_as_the_file_has_them(tmp_path: Path, form: str) -> None:
    path = sample_file(tmp_path, form)
    rows = rows_of(path)
    assert [replace(row, where='') for row in rows] == ROWS[form]
    assert all(row.where.startswith(f'{path}: ') for row in rows)


@pytest.mark.parametrize('form', SAMPLES)
def test_every_form_gives_the_same_sentences_and_boxes(tmp_path: Path, form: str) -> None:
    """To the digit, but for those forms that cut boxes to whole pixels."""
    path = sample_file(tmp_path, form)
    if form in ('refer', 'grefcoco'):
        json_file(path.with_name('instances.json'), INSTANCES)
    datasets = load_data([path], boxes='xywh' if form == 'transvg' else None)
    expressions = [e for dataset in datasets.values() for e in dataset.expressions]
    boxes = [tuple(map(int, box)) for box in XYWH] if form in CUT else list(XYWH)
    assert [e.sent for e in expressions] == list(SENTS)
    assert [e.gt_xywh for e in expressions] == boxes
    assert [e.image_id for e in expressions] == [7, 7, 42]
    dataset, = datasets.values()
    sizes = {i: (info.height, info.width) for i, info in dataset.images.items()}
    assert sizes == ({7: CUP_SIZE, 42: DOG_SIZE} if form not in ('vlm-r1-conversations', 'cris', 'reclip', 'transvg')
                     else {7: (0, 0), 42: (0, 0)})


def test_every_form_that_is_no_parquet_has_a_sample() -> None:
    assert set(SAMPLES) == set(names(DATA_FORMS)) - {'lmms-lab', 'jxu124', 'kangheng', 'refcoco-m'}


def test_rows_without_a_single_target_are_counted_and_left_out(tmp_path: Path) -> None:
    dataset = only(sample_file(tmp_path, 'mdetr'))
    assert dataset.notes[:2] == [
        'refcoco: finetune_refcoco_val.json: 1 rows with several targets are left out; REC is not defined for them',
        'refcoco: finetune_refcoco_val.json: 1 rows with no target are left out; REC is not defined for them']


def test_a_sentence_of_mdetr_without_any_annotation_has_no_target(tmp_path: Path) -> None:
    path = tmp_path / 'm.json'
    json_file(path, mdetr([('cat', CUP, CUP_SIZE, 7), ('left cup', CUP, CUP_SIZE, 7)],
                          [{'id': 0, 'image_id': 1, 'bbox': CUP_XYWH}]))
    assert [(row.sent, row.undefined) for row in rows_of(path)] == [('left cup', None), ('cat', 'no target')]


def test_the_lists_of_mdetr_may_stand_in_any_order(tmp_path: Path) -> None:
    content = mdetr([('left cup', CUP, CUP_SIZE, 7)], [{'id': 0, 'image_id': 0, 'bbox': CUP_XYWH, 'category_id': 47}])
    json_file(tmp_path / 'm.json', dict(reversed(content.items())))
    assert [(row.sent, row.category) for row in rows_of(tmp_path / 'm.json')] == [('left cup', 'cup')]


def test_a_shikra_file_of_fractions_is_one_of_pixels_times_the_size(tmp_path: Path) -> None:
    row = {'img_path': CUP, 'expression': 'left cup', 'height': 100, 'width': 200}
    lines(tmp_path / 's.jsonl', [{**row, 'bbox': [.25, .5, .75, 1]}, {**row, 'bbox': [0, 0, .5, .5]}])
    assert [row.box for row in rows_of(tmp_path / 's.jsonl')] == [(50, 50, 150, 100), (0, 0, 100, 50)]


def test_the_boxes_of_an_index_file_are_settled_by_all_of_them_or_asked_for(tmp_path: Path) -> None:
    path = tmp_path / 'unc_val.pth'
    torch.save([(CUP, '', [50, 60, 30, 20], 'left cup', [])] * 3, path)
    assert only(path).expressions[0].gt_xywh == (50, 60, 30, 20)
    torch.save([('1.jpg', [50, 60, 80, 90], 'a man')] * 3, path)
    with pytest.raises(InputError, match=r'unc_val\.pth: does not say how its boxes are written.*say --boxes xywh or'):
        load_data([path])
    assert only(path, boxes='xyxy').expressions[0].gt_xywh == (50, 60, 30, 30)


def test_the_images_in_a_table_are_each_given_once(tmp_path: Path) -> None:
    path = sample_file(tmp_path, 'ofa')
    pictures = list(DATA_FORMS.get('ofa')().pictures(path))
    assert [name for name, _ in pictures] == ['7.jpg', '42.jpg']
    assert all(data.startswith(b'\x89PNG') for _, data in pictures)


def test_splits_that_the_records_name_are_kept(tmp_path: Path) -> None:
    dataset = only(sample_file(tmp_path, 'seqtr'))
    assert (dataset.name, dataset.splits) == ('refcoco', ('val', 'testA'))


def test_a_mixed_file_of_seqtr_says_datasets_in_the_names_of_its_splits(tmp_path: Path) -> None:
    dog = {'image_id': 42, 'height': 100, 'width': 200, 'bbox': DOG_XYWH, 'expressions': ['dog']}
    json_file(tmp_path / 'i.json', {'val_refcoco_unc': [dog], 'val_refcocog_umd': [dog]})
    assert [(row.dataset, row.split) for row in rows_of(tmp_path / 'i.json')] == [
        ('refcoco', 'val'), ('refcocog', 'val')]


def test_no_dataset_of_another_kind_is_called_by_a_published_name() -> None:
    """Figures of the embedded benchmark or a rehearsal are never RefCOCO's."""
    names = ('mini-refcoco+_val', 'rehearsal-refcocog', 'finetune_mini-refcoco_testA')
    assert [dataset_in(name) for name in names] == ['mini-refcoco+', 'rehearsal-refcocog', 'mini-refcoco']


@pytest.mark.parametrize(('name', 'dataset'), [
    ('refs(unc)', None), ('grefs(unc)', 'grefcoco'), ('finetune_grefcoco_val', 'grefcoco'),
    ('gref_umd_val', 'refcocog'), ('unc+_val', 'refcoco+'), ('unc_val', 'refcoco'), ('refcocop_train', 'refcoco+'),
    ('refcocos_test', None)])
def test_what_a_name_says_of_the_dataset(name: str, dataset: str | None) -> None:
    """Who made the splits says nothing: ``refcoco+/refs(unc).p`` is not RefCOCO's."""
    assert dataset_in(name) == dataset


def test_plain_expressions_keep_the_name_of_their_dataset(tmp_path: Path) -> None:
    row = {'dataset': 'refcoco_of_mine', 'split': 'val', 'image_id': 7, 'height': 240, 'width': 320, 'bbox': CUP_XYWH}
    lines(tmp_path / 'refcoco_val.jsonl', [{**row, 'sent': 'left cup'}])
    assert only(tmp_path / 'refcoco_val.jsonl').name == 'refcoco_of_mine'


def test_refs_are_called_by_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / 'refcoco+'
    folder.mkdir()
    write_refer(folder / 'refs(unc).p')
    json_file(folder / 'instances.json', INSTANCES)
    assert list(load_data([folder])) == ['refcoco+']


def test_a_file_called_after_a_split_is_a_dataset_without_it(tmp_path: Path) -> None:
    row = {'image': '7.jpg', 'sent': 'left cup', 'bbox': [1, 2, 3, 4], 'height': 9, 'width': 9}
    lines(tmp_path / 'mine_testA.jsonl', [row])
    lines(tmp_path / 'mine_val.jsonl', [row])
    assert only(tmp_path).name == 'mine' and only(tmp_path).splits == ('testA', 'val')


def changed(path: Path, change: Any) -> None:
    """Change the second record of a file of JSON."""
    text = path.read_text()
    content = json.loads(text) if text.startswith('[') else [json.loads(line) for line in text.splitlines()]
    content[1] = change(content[1])
    path.write_text(json.dumps(content) if text.startswith('[') else '\n'.join(map(json.dumps, content)))


def without(name: str) -> Any:
    return lambda record: {key: value for key, value in record.items() if key != name}


BAD = {
    ('minigpt', without('sents')):
        "{}: row 2: has no 'sents'; the form minigpt has img_id, sents, bbox, height, width, and a file holds one form",
    ('qwen-vl', lambda record: 7):
        '{}: line 2: must be a record, not a whole number; the form qwen-vl has image, sent, bbox, height, width',
    ('shikra', lambda record: {**record, 'bbox': [.1, .2, .3, .4]}):
        "{}: line 2: its 'bbox' is a fraction of the image, while {}: line 1 has pixels; a file has one or the other",
    ('odvg', without('referring')):
        "{}: line 2: has neither 'grounding' nor 'referring', which the form odvg has beside filename, height, width; "
        'a file holds one form',
    ('vlm-r1', lambda record: {**record, 'problem': 'Where is the cup?'}):
        "{}: row 2: its question is none of VLM-R1's for referring expressions, which say \"describes:\" before the "
        'sentence',
    ('vlm-r1-conversations', lambda record: {**record, 'conversations': record['conversations'][:1]}):
        "{}: line 2: its 'conversations' must be a question and an answer, there are 1",
    ('vlm-r1-conversations', lambda record: {**record, 'conversations': [
        record['conversations'][0], {'value': 'no box'}]}): '{}: line 2: its answer must be a box, [x1, y1, x2, y2]',
    ('cris', lambda record: {**record, 'cat': 80}): "{}: row 2: 'cat' must be from 0 to 79, it is 80",
    ('grefcoco', lambda record: {**record, 'ann_id': ['6']}):
        "{}: row 2: 'ann_id' must be a list of integers, [-1] where there is no target",
    ('reclip', lambda record: {**record, 'anns': [{'id': 5}]}):
        "{}: line 2: 'anns': has no 'bbox'; the form reclip has id, bbox, and a file holds one form",
    ('jsonl', without('split')):
        "{}: line 2: has no 'split'; the form jsonl has dataset, split, image_id, height, width, bbox, sent, and a "
        'file holds one form',
    ('jsonl', lambda record: {**record, 'file_name': '../a.jpg'}):
        "{}: line 2: 'file_name' must be a bare name, without a folder",
}


@pytest.mark.parametrize(('form', 'change', 'message'), [(*key, message) for key, message in BAD.items()],
                         ids=[f'{form}-{i}' for i, (form, _) in enumerate(BAD)])
def test_a_bad_record_is_named_with_what_its_form_has(tmp_path: Path, form: str, change: Any, message: str) -> None:
    path = sample_file(tmp_path, form)
    changed(path, change)
    with pytest.raises(InputError) as raised:
        rows_of(path)
    assert str(raised.value) == message.replace('{}', str(path))


def test_two_forms_in_one_file_are_refused_by_the_line_of_the_second(tmp_path: Path) -> None:
    path, other = sample_file(tmp_path, 'qwen-vl'), tmp_path / 'other'
    write_shikra(other)
    path.write_text(path.read_text() + other.read_text())
    with pytest.raises(InputError, match="line 4: has no 'image'; the form qwen-vl has image, sent, bbox,"):
        rows_of(path)


def test_an_annotation_of_mdetr_needs_its_image(tmp_path: Path) -> None:
    json_file(tmp_path / 'm.json', mdetr([('left cup', CUP, CUP_SIZE, 7)], [{'image_id': 3, 'bbox': CUP_XYWH}]))
    with pytest.raises(InputError, match=r"annotations\[0\]: its image 3 is not among the file's images"):
        rows_of(tmp_path / 'm.json')


def test_a_list_of_seqtr_holds_referents_alone(tmp_path: Path) -> None:
    path = tmp_path / 'i.json'
    write_seqtr(path)
    path.write_text(path.read_text().replace('"bbox": [10,', '"box": [10,'))
    content = json.loads(path.read_text())
    json_file(path, {'val': content['val'] + content['testA']})
    with pytest.raises(InputError, match=r"val\[1\]: has no 'bbox'; the form seqtr has image_id, height, width"):
        rows_of(path)


def test_what_is_wrong_with_a_table_is_said_by_its_line(tmp_path: Path) -> None:
    path = sample_file(tmp_path, 'ofa')
    good = path.read_text()
    for second, message in (
            ('8_1\t7\tthe red cup\n', 'line 2: has 3 columns; the form ofa has uniq_id, image_id, text, region_coord'),
            ('8_1\t7\tcup\t1,2,a,4\tAAAA\n', "line 2: 'region_coord' must be four numbers x1,y1,x2,y2"),
            ('8_1\t../7\tcup\t1,2,3,4\tAAAA\n', "line 2: 'image_id' must be a bare name")):
        path.write_text(good.split('\n')[0] + '\n' + second)
        with pytest.raises(InputError, match=message):
            rows_of(path)
    path.write_text(good.split('\n')[0] + '\n8_1\t8\tcup\t1,2,3,4\tA\n')
    with pytest.raises(InputError, match='line 2: its image is not base64; give the images by --images DIR'):
        list(DATA_FORMS.get('ofa')().pictures(path))


def test_an_index_file_holds_its_own_records_alone(tmp_path: Path) -> None:
    torch.save([(CUP, '', [1, 2, 3, 4], 'left cup', []), (CUP, 'left cup')], tmp_path / 'unc_val.pth')
    with pytest.raises(InputError, match=r'row 2: is no record \(image, _, box, sentence, attributes\), or \(image,'):
        rows_of(tmp_path / 'unc_val.pth')


def test_a_box_that_is_no_box_of_its_form_is_named(tmp_path: Path) -> None:
    path = sample_file(tmp_path, 'qwen-vl')
    changed(path, lambda record: {**record, 'bbox': [30, 40, 20, 50]})
    with pytest.raises(InputError, match=r"line 2: 'box' is no box x1, y1, x2, y2, .* say --boxes xywh"):
        load_data([path])


@pytest.mark.parametrize('form', ['qwen-vl', 'ofa'])
def test_a_long_file_is_read_in_the_memory_of_a_line(tmp_path: Path, form: str) -> None:
    path = tmp_path / 'long'
    row = {'image': '7.jpg', 'sent': 'cup', 'bbox': [1, 2, 3, 4], 'height': 9, 'width': 9, 'more': 'x' * 50_000}
    line = json.dumps(row) if form == 'qwen-vl' else '\t'.join(['8_0', '7', 'cup', '1,2,3,4', 'A' * 50_000])
    path.write_text(f'{line}\n' * 400)
    (_, reader, sample), = fitting(path)
    tracemalloc.start()
    try:
        assert sum(1 for _ in reader.rows(path, sample)) == 400
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000 < path.stat().st_size // 8


def test_the_list_of_a_long_file_of_mdetr_is_read_record_by_record(tmp_path: Path) -> None:
    content = mdetr([(f'cup {i}', CUP, CUP_SIZE, 7) for i in range(200)],
                    [{'image_id': i, 'bbox': CUP_XYWH, 'more': 'x' * 100_000} for i in range(200)])
    json_file(tmp_path / 'm.json', content)
    del content
    (_, reader, sample), = fitting(tmp_path / 'm.json')
    tracemalloc.start()
    try:
        assert sum(1 for _ in reader.rows(tmp_path / 'm.json', sample)) == 200
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000 < (tmp_path / 'm.json').stat().st_size
