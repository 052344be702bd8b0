"""``data export``: what is written in a form is what its reader gives back, and nothing is half-written."""
from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.boxes import corners
from harness.data.assembly.boxes import XYXY_BOXES, xywh_of
from harness.data.assembly.datasets import load_data
from harness.data.export import PARTS, export, lost
from harness.data.form_files import corner_numbers
from harness.data.known import load_known
from harness.data.plain import load_expressions
from harness.errors import InputError
from harness.evaluation.datasets import find_datasets
from harness.registry import DATA_FORMS, FORM_WRITERS, names
from harness.types import Annotation, Dataset, Expression, FormRow, ImageInfo
from run_benchmark import command_line

FORMS = names(FORM_WRITERS)
#: Forms whose one file has all splits of a dataset, with the ids of everything.
REFER = ('refer', 'refer-json')
CUP, DOG = ImageInfo(7, 240, 320, Path('COCO_train2014_000000000007.jpg')), ImageInfo(42, 100, 200, Path('42.png'))


def expression(split: str, image_id: int, sent_id: int, sent: str, box: Sequence[float], **ids: object) -> Expression:
    return Expression('refcoco', split, image_id, sent_id, sent, tuple(sent.lower().split()), tuple(box),  # type: ignore
                      **ids)  # type: ignore[arg-type]


def hand_made() -> Dataset:
    """Three sentences on two images, with boxes whose corners would be rounded: 103.93 + 134.22 is 238.15 and a bit."""
    cup, dog = (103.93, 99.99, 134.22, 77.42), (10., 20., 30.5, 40.)
    triangle = [[103.93, 99.99, 238.15, 99.99, 238.15, 177.41]]
    return Dataset(
        'refcoco', {7: CUP, 42: DOG},
        [expression('val', 7, 11, 'Left cup', cup, ref_id=8, ann_id=6, category='cup'),
         expression('val', 7, 12, 'the red "cup" ☕', cup, ref_id=8, ann_id=6, category='cup'),
         expression('testA', 42, 13, 'dog', dog, ref_id=9, ann_id=5, category='dog', truth={'context_ann_ids': [4]})],
        {7: [Annotation(6, 7, cup, 'cup', triangle)],
         42: [Annotation(5, 42, dog, 'dog', {'size': [100, 200], 'counts': [0, 20000]}),
              Annotation(4, 42, (0., 0., 5., 5.), 'dog', None, {'color': 'brown'})]},
        ('dog', 'cup'), category_ids={18: 'dog', 47: 'cup'})


def written(dataset: Dataset, form: str, out: Path) -> list[Path]:
    splits = {split: dataset.split(split) for split in dataset.splits}
    return export({dataset.name: dataset}, {dataset.name: splits}, FORM_WRITERS.get(form)(), out)


def back(paths: Sequence[Path]) -> Dataset:
    dataset, = load_data([path for path in paths if path.name != 'instances.json' or len(paths) == 1]).values()
    return dataset


def seen(dataset: Dataset) -> list[tuple[object, ...]]:
    """What every form keeps of each sentence, in order within its split."""
    return sorted(((e.dataset, e.split, e.sent, e.gt_xywh, e.image_id, dataset.images[e.image_id].height,
                    dataset.images[e.image_id].width) for e in dataset.expressions), key=lambda row: row[1])  # type: ignore


@pytest.mark.parametrize('form', FORMS)
def test_a_dataset_comes_back_from_the_form_it_is_written_in(tmp_path: Path, form: str) -> None:
    dataset = hand_made()
    assert seen(back(written(dataset, form, tmp_path))) == seen(dataset)


@pytest.mark.parametrize('form', FORMS)
def test_the_embedded_benchmark_comes_back_as_what_it_is(small_benchmark: Path, tmp_path: Path, form: str) -> None:
    for name, dataset in find_datasets(None, None, None, None)[0].items():
        again = back(written(dataset, form, tmp_path))
        assert (again.name, seen(again)) == (name, seen(dataset))


def test_every_form_that_is_written_is_read() -> None:
    assert {form.removesuffix('-json') for form in FORMS} <= set(names(DATA_FORMS))


@pytest.mark.parametrize('form', FORMS)
def test_a_writer_names_what_it_holds_by_the_known_names_and_that_comes_back(tmp_path: Path, form: str) -> None:
    dataset, holds = hand_made(), FORM_WRITERS.get(form).holds
    again = back(written(dataset, form, tmp_path))
    before, after = (sorted(one.expressions, key=lambda e: (e.split, e.sent)) for one in (dataset, again))
    for part, field in (('sent_ids', 'sent_id'), ('ref_ids', 'ref_id'), ('annotation ids', 'ann_id'),
                        ('categories', 'category')):
        kept = [getattr(e, field) for e in after] == [getattr(e, field) for e in before]
        assert kept == (part in holds), part
    assert (again.annotations is not None) == ('other objects' in holds)
    assert set(holds) <= set(PARTS)


def test_a_form_tells_what_it_has_no_place_for() -> None:
    dataset = hand_made()
    assert lost(dataset, dataset.expressions, FORM_WRITERS.get('mdetr')()) == (
        'refcoco: mdetr has no place for sent_ids, ref_ids, masks, other objects and truths of scenes')
    assert lost(dataset, dataset.expressions, FORM_WRITERS.get('refer')()) is None
    plain = [replace(e, ann_id=None, category=None, truth=None) for e in dataset.expressions]
    bare = replace(dataset, expressions=plain, annotations=None)
    assert lost(bare, plain, FORM_WRITERS.get('jsonl')()) is None
    assert lost(bare, plain, FORM_WRITERS.get('mdetr')()) == 'refcoco: mdetr has no place for sent_ids and ref_ids'


@pytest.mark.parametrize('form', REFER)
def test_refer_s_layout_is_read_by_data_root_with_everything(tmp_path: Path, form: str) -> None:
    dataset = hand_made()
    refs, instances = written(dataset, form, tmp_path)
    again = load_known('refcoco', tmp_path)
    assert again.expressions == dataset.expressions
    assert [e.truth for e in again.expressions] == [None, None, {'context_ann_ids': [4]}]
    assert again.annotations == dataset.annotations
    segmentations = [a.segmentation for own in (again.annotations or {}).values() for a in own]
    assert segmentations == [a.segmentation for own in (dataset.annotations or {}).values() for a in own]
    assert again.category_ids == {18: 'dog', 47: 'cup'}
    assert (refs.name, instances.name) == (f'refs(unc).{"p" if form == "refer" else "json"}', 'instances.json')


def test_refs_are_a_pickle_of_protocol_2_and_counted_where_they_have_no_ids(tmp_path: Path) -> None:
    dataset = hand_made()
    dataset.expressions = [replace(e, ref_id=None) for e in dataset.expressions]
    data = written(dataset, 'refer', tmp_path)[0].read_bytes()
    assert data.startswith(b'\x80\x02')
    assert [(ref['ref_id'], ref['sent_ids']) for ref in pickle.loads(data)] == [(0, [11, 12]), (1, [13])]


def test_the_area_of_an_annotation_is_that_of_its_mask(tmp_path: Path) -> None:
    instances = json.loads(written(hand_made(), 'refer', tmp_path)[1].read_text())
    assert [a['area'] for a in instances['annotations']][1:] == [20000, 25]


def test_plain_expressions_are_read_by_both_options(tmp_path: Path) -> None:
    paths = written(hand_made(), 'jsonl', tmp_path)
    assert [path.name for path in paths] == ['refcoco_val.jsonl', 'refcoco_testA.jsonl']
    for path in paths:
        by_expressions, = load_expressions(path).values()
        assert back([path]).expressions == by_expressions.expressions


def test_ids_of_mdetr_run_on_over_the_splits(tmp_path: Path) -> None:
    val, test = (json.loads(path.read_text()) for path in written(hand_made(), 'mdetr', tmp_path))
    assert [row['id'] for row in val['images'] + test['images']] == [0, 1, 2]
    assert [row['image_id'] for row in val['annotations'] + test['annotations']] == [0, 1, 2]


def test_thousandths_of_vlm_r1_are_rounded_down(tmp_path: Path) -> None:
    row = json.loads(written(hand_made(), 'vlm-r1', tmp_path)[0].read_text())[0]
    assert row['solution'] == [103.93, 99.99, 238.15, 177.41]
    assert row['normalized_solution'] == [324, 416, 744, 739]


@pytest.mark.parametrize('known', [True, False], ids=['with categories', 'without'])
@pytest.mark.parametrize(('form', 'kind'), [('mdetr', 'MDETRStyleRefCocoDataset'), ('odvg', 'ODVGDataset')])
def test_mmdet_s_own_datasets_read_it(tmp_path: Path, form: str, kind: str, known: bool) -> None:
    import mmdet.datasets

    dataset = hand_made()
    if not known:
        dataset.category_ids, dataset.categories = {}, ()
        dataset.expressions = [replace(e, category=None) for e in dataset.expressions]
    path = written(dataset, form, tmp_path)[0]
    theirs = getattr(mmdet.datasets, kind)(ann_file=str(path), data_prefix=dict(img=''), pipeline=[], test_mode=True,
                                           return_classes=True)
    rows = [theirs.get_data_info(i) for i in range(len(theirs))]
    assert [row['text'] for row in rows] == ['Left cup', 'the red "cup" ☕']
    assert [row['instances'][0]['bbox'] for row in rows] == [[103.93, 99.99, 238.15, 177.41]] * 2
    assert {(row['height'], row['width']) for row in rows} == {(240, 320)}


def test_coco_s_own_reader_takes_the_annotations(tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    theirs = COCO(str(written(hand_made(), 'refer', tmp_path)[1]))
    assert theirs.getAnnIds(imgIds=[42], catIds=[18]) == [5, 4]
    assert theirs.annToMask(theirs.loadAnns(5)[0]).all()


@pytest.mark.parametrize('form', FORMS)
def test_the_same_content_is_the_same_bytes(tmp_path: Path, form: str) -> None:
    first, second = (written(hand_made(), form, tmp_path / folder) for folder in 'ab')
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


digits = st.integers(0, 6_400_000).map(lambda n: n / 10_000)


@given(st.tuples(digits, digits, digits.filter(bool), digits.filter(bool)))
def test_a_box_of_up_to_four_decimals_comes_back_from_its_corners(xywh: tuple[float, float, float, float]) -> None:
    assert xywh_of(FormRow('', '', corner_numbers(xywh), 1), XYXY_BOXES) == xywh
    assert corner_numbers(xywh) == pytest.approx(corners(xywh), abs=1e-9)


def test_one_file_may_be_named_and_several_not(tmp_path: Path) -> None:
    dataset = hand_made()
    one, writer = {'refcoco': {'val': dataset.split('val')}}, FORM_WRITERS.get('qwen-vl')()
    assert export({'refcoco': dataset}, one, writer, tmp_path / 'v.jsonl') == [tmp_path / 'v.jsonl']
    with pytest.raises(InputError, match=r'--out .*x\.jsonl: is one file, and there are 2 to write; name a folder'):
        written(dataset, 'qwen-vl', tmp_path / 'x.jsonl')


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / 'refcoco_testA.jsonl').write_text('mine')
    with pytest.raises(InputError, match=r'refcoco_testA\.jsonl: is there already; move it away, or choose another'):
        written(hand_made(), 'qwen-vl', tmp_path)
    assert os.listdir(tmp_path) == ['refcoco_testA.jsonl']


def without(dataset: Dataset, **changes: object) -> Dataset:
    return replace(dataset, **changes)  # type: ignore[arg-type]


REFUSED: Mapping[str, tuple[str, Dataset, str]] = {
    'no annotations': ('refer', without(hand_made(), annotations=None),
                       'refcoco: has no annotations of its images, which the form refer has in instances.json; put the '
                       'one of the same release beside the data, or choose another form'),
    'no size': ('mdetr', without(hand_made(), images={7: CUP, 42: ImageInfo(42, 0, 0)}),
                'refcoco: the size of image 42 is not known, and this form has to say it; add --images DIR'),
    'a name that is a path': ('minigpt', without(hand_made(), name='../x'),
                              "../x val: 'dataset' must be a bare name, without a folder"),
}


@pytest.mark.parametrize('why', REFUSED)
def test_what_a_form_cannot_say_is_refused_and_nothing_is_left(tmp_path: Path, why: str) -> None:
    form, dataset, message = REFUSED[why]
    with pytest.raises(InputError) as raised:
        written(dataset, form, tmp_path / 'new' / 'folder')
    assert str(raised.value) == message
    assert list(tmp_path.iterdir()) == []


def told(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    code = command_line(['data', 'export', *options])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_command_writes_a_file_a_dataset_and_split(small_benchmark: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, '--as', 'mdetr', '--out', str(tmp_path), '--dataset', 'mini-refcoco', '--limit', '2',
                        '--split', 'val,testB')
    assert code == 0
    assert out.splitlines() == [
        f'{tmp_path}/finetune_mini-refcoco_val.json', f'{tmp_path}/finetune_mini-refcoco_testB.json',
        'note: mini-refcoco: mdetr has no place for sent_ids, ref_ids, masks, other objects and truths of scenes',
        '4 expressions on 2 images']
    assert load_data([tmp_path])['mini-refcoco'].splits == ('testB', 'val')


def test_the_command_turns_one_form_into_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(hand_made(), 'refer', tmp_path / 'in')
    code, out, _ = told(capsys, '--as', 'vlm-r1', '--out', str(tmp_path / 'out'), '--data',
                        str(tmp_path / 'in/refcoco'))
    assert code == 0 and out.endswith('3 expressions on 2 images\n')
    paths = sorted((tmp_path / 'out').iterdir())
    assert seen(back(paths)) == seen(hand_made())


def test_the_command_reads_what_the_other_options_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(hand_made(), 'refer', tmp_path)
    told(capsys, '--as', 'jsonl', '--out', str(tmp_path / 'a.jsonl'), '--data-root', str(tmp_path), '--split', 'val')
    code, _, _ = told(capsys, '--as', 'jsonl', '--out', str(tmp_path / 'b.jsonl'), '--expressions',
                      str(tmp_path / 'a.jsonl'))
    assert code == 0
    assert (tmp_path / 'a.jsonl').read_bytes() == (tmp_path / 'b.jsonl').read_bytes()


WRONG = {
    '--as mdter': '--as mdter: unknown, did you mean mdetr?; known are',
    '--as mdetr --images .': '--images: the embedded benchmark has images of its own; leave it out',
    '--as mdetr --data a --images no': '--images no: there is no such folder',
    '--as mdetr --data a --expressions b':
        '--expressions: the data are already named by --data; leave one of the two out',
    '--as mdetr --boxes xywh': '--boxes: says how the files of --data write a box; add --data FILE, or leave it out',
    '--as mdetr --split-by unc': '--split-by: chooses among the refs files of --data-root; add --data-root DIR, or',
    '--as mdetr --limit 0': '--limit 0: must be at least 1',
    '--as mdetr --data no': 'no: there is no such file; check the path',
    '--as mdetr --dataset mini-refcoco --split none': '--split none: unknown',
}


@pytest.mark.parametrize('options', WRONG)
def test_wrong_options_are_one_line(small_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                    capsys: pytest.CaptureFixture[str], options: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, error = told(capsys, *options.split(), '--out', 'out')
    assert (code, out, error.count('\n')) == (2, '', 1)
    assert WRONG[options] in error
    assert list(tmp_path.iterdir()) == []


def test_a_subcommand_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(['data']) == 2
    assert 'SUBCOMMAND' in capsys.readouterr().err
