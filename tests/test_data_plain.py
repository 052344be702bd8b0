"""Plain expressions: a JSON object a line, and excerpts with proposals of their own."""
import gzip
import json
from pathlib import Path

import pytest
from PIL import Image

from harness.data.plain import load_expressions, tokenize
from harness.errors import InputError
from harness.types import Expression, ImageInfo

ROW = {'dataset': 'refcoco', 'split': 'val', 'image_id': 7, 'height': 240, 'width': 320, 'bbox': [1.5, 2, 30, 40.25],
       'sent': 'Left cup'}


def write(path: Path, *rows) -> Path:
    path.write_text('\n'.join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


@pytest.fixture
def load(tmp_path):
    return lambda *rows: load_expressions(write(tmp_path / 'e.jsonl', *rows))


class TestRows:
    def test_a_row_is_an_expression(self, load):
        dataset = load(ROW)['refcoco']
        assert dataset.expressions == [Expression(
            dataset='refcoco', split='val', image_id=7, sent_id=1, sent='Left cup', tokens=('left', 'cup'),
            gt_xywh=(1.5, 2.0, 30.0, 40.25))]
        assert dataset.images == {7: ImageInfo(7, 240, 320)}
        assert dataset.annotations is None and dataset.categories == ()

    def test_ids_and_tokens_where_given(self, load):
        row = ROW | {'sent_id': 9, 'ref_id': 8, 'ann_id': 6, 'tokens': ['l', 'c']}
        [expression] = load(row)['refcoco'].expressions
        assert (expression.sent_id, expression.ref_id, expression.ann_id, expression.tokens) == (9, 8, 6, ('l', 'c'))

    def test_without_an_id_the_line_number_counts_empty_lines_too(self, load):
        dataset = load(ROW, '', ROW | {'sent_id': None})['refcoco']
        assert [e.sent_id for e in dataset.expressions] == [1, 3]

    def test_equal_rows_are_separate_expressions(self, load):
        assert len(load(ROW, ROW, ROW)['refcoco'].expressions) == 3

    def test_datasets_by_name_in_file_order(self, load):
        datasets = load(ROW, ROW | {'dataset': 'other'}, ROW | {'split': 'testA'})
        assert list(datasets) == ['refcoco', 'other']
        assert datasets['refcoco'].splits == ('val', 'testA')
        assert [e.sent_id for e in datasets['other'].expressions] == [2]

    def test_a_split_has_its_own_expressions_whatever_the_others_are_called(self, load):
        dataset = load(*(ROW | {'split': name} for name in ('test', 'testA', 'testB', 'testA')))['refcoco']
        assert [[e.sent_id for e in dataset.split(name)] for name in (*dataset.splits, 'val')] == [[1], [2, 4], [3], []]

    def test_ids_are_unique_within_a_dataset_only(self, load):
        assert len(load(ROW | {'sent_id': 1}, ROW | {'sent_id': 1, 'dataset': 'other'})) == 2

    def test_packed_whatever_the_name(self, tmp_path):
        for name in ('e.jsonl.gz', 'e.jsonl'):
            (tmp_path / name).write_bytes(gzip.compress(json.dumps(ROW).encode()))
            assert len(load_expressions(tmp_path / name)['refcoco'].expressions) == 1

    def test_images_by_cocos_name(self, tmp_path):
        dataset = load_expressions(write(tmp_path / 'e.jsonl', ROW), images=Path('photos'))['refcoco']
        assert dataset.images[7].path == Path('photos/COCO_train2014_000000000007.jpg')

    @pytest.mark.parametrize('sent, tokens', [
        ('', ()), ('Guy in RED', ('guy', 'in', 'red')), ("man ' s t - shirt", ('man', "'", 's', 't', '-', 'shirt')),
        ("man's t-shirt,left", ('man', "'", 's', 't', '-', 'shirt', ',', 'left')),
        ('no_3 été', ('no', '_', '3', 'été')),
    ])
    def test_words(self, sent, tokens):
        assert tokenize(sent) == tokens


SPOILED = {
    "line 2: has no 'sent'": {k: v for k, v in ROW.items() if k != 'sent'},
    "line 2: 'sent' must be text, not null": ROW | {'sent': None},
    "line 2: 'dataset' is empty": ROW | {'dataset': ''},
    "line 2: 'split' must be text, not a whole number": ROW | {'split': 3},
    "line 2: 'image_id' must be an integer, not a fraction": ROW | {'image_id': 7.0},
    "line 2: 'height' and 'width' must be over 0": ROW | {'height': -240},
    "line 2: 'height' or 'width' differ from an earlier row of image 7": ROW | {'height': 241},
    "line 2: 'bbox' has a negative width or height": ROW | {'bbox': [1, 2, -3, 4]},
    "line 2: 'bbox' has no area": ROW | {'bbox': [1, 2, 0, 4]},
    "line 2: 'bbox' must be four numbers": ROW | {'bbox': '1234'},
    "line 2: 'bbox' holds a number that is not finite": ROW | {'bbox': [1, 2, 3, 10**400]},
    'line 2: is not valid JSON (NaN is no number)': json.dumps(ROW | {'bbox': [1, 2, 3, float('nan')]}),
    'line 2: is not valid JSON': '{"dataset": "refcoco",',
    'line 2: must be a record with named fields, not a whole number': '5',
    "line 2: 'sent_id' must be an integer, not text": ROW | {'sent_id': '5'},
    "line 2: 'tokens' must be a list": ROW | {'tokens': 'left cup'},
    "line 2: 'ref_id' must be an integer": ROW | {'ref_id': [1]},
    'in refcoco sent_id 1 comes twice': ROW | {'sent_id': 1},
}


class TestWhatIsRefused:
    @pytest.mark.parametrize('message', SPOILED)
    def test_one_line_with_file_line_and_field(self, load, message):
        with pytest.raises(InputError) as error:
            load(ROW, SPOILED[message])
        assert message in str(error.value) and 'e.jsonl' in str(error.value)
        assert len(str(error.value).splitlines()) == 1

    def test_a_file_without_rows(self, load):
        with pytest.raises(InputError, match='holds no expressions'):
            load('', '')

    def test_a_missing_file_and_a_folder(self, tmp_path):
        with pytest.raises(InputError, match='there is no such file'):
            load_expressions(tmp_path / 'none.jsonl')
        with pytest.raises(InputError, match='is a folder'):
            load_expressions(tmp_path)

    def test_no_text_at_all(self, tmp_path):
        (tmp_path / 'e.jsonl').write_bytes(b'\xff\xd8\xff\xe0 JFIF')
        with pytest.raises(InputError, match='is not UTF-8 text'):
            load_expressions(tmp_path / 'e.jsonl')

    def test_gzip_cut_short_anywhere(self, tmp_path):
        packed = gzip.compress(json.dumps(ROW).encode())
        for end in range(2, len(packed)):
            (tmp_path / 'e.jsonl.gz').write_bytes(packed[:end])
            with pytest.raises(InputError, match=r'e\.jsonl\.gz: the gzip file is damaged or cut short'):
                load_expressions(tmp_path / 'e.jsonl.gz')

    def test_a_gzip_bomb(self, tmp_path):
        (tmp_path / 'e.jsonl.gz').write_bytes(gzip.compress(bytes(64 << 20)))
        with pytest.raises(InputError, match='unpacks to more than 19 MiB'):
            load_expressions(tmp_path / 'e.jsonl.gz')


EXCERPT = {'sent': 'person in red', 'gt_box': [0.0, 95.5, 113, 324], 'pred_boxes': [[0, 90, 100, 300], [5, 5, 9, 9]],
           'pred_boxes_img_id': ['COCO_train2014_000000266240_0.jpg', 'COCO_train2014_000000266240_1.jpg']}


class TestExcerpts:
    @pytest.fixture
    def load(self, tmp_path):
        def load(*rows):
            (tmp_path / 'excerpt_50.json').write_text(json.dumps(rows))
            return load_expressions(tmp_path / 'excerpt_50.json')
        return load

    def test_are_a_dataset_of_the_files_name(self, load):
        dataset = load(EXCERPT, EXCERPT)['excerpt_50']
        assert dataset.expressions[1] == Expression(
            dataset='excerpt_50', split='all', image_id=266240, sent_id=2, sent='person in red',
            tokens=('person', 'in', 'red'), gt_xywh=(0.0, 95.5, 113.0, 324.0))
        assert dataset.images == {266240: ImageInfo(266240, 0, 0)}

    def test_an_image_that_is_there_says_its_size(self, load, tmp_path):
        load(EXCERPT)
        Image.new('RGB', (30, 20)).save(tmp_path / '000000266240.png')
        dataset = load_expressions(tmp_path / 'excerpt_50.json', tmp_path)['excerpt_50']
        assert dataset.images == {266240: ImageInfo(266240, 20, 30, tmp_path / '000000266240.png')}

    def test_without_proposals_the_image_is_one_of_its_own(self, load):
        dataset = load(EXCERPT, EXCERPT | {'pred_boxes': [], 'pred_boxes_img_id': []})['excerpt_50']
        assert [e.image_id for e in dataset.expressions] == [266240, -2]

    @pytest.mark.parametrize('field, value', [
        ('gt_box', [1, 2]), ('gt_box', None), ('pred_boxes', None), ('pred_boxes_img_id', ['a.jpg']), ('sent', 1),
        ('pred_boxes_img_id', ['COCO_train2014_000000000001_0.jpg', 'COCO_train2014_000000000002_0.jpg']),
    ])
    def test_spoiled_rows(self, load, field, value):
        with pytest.raises(InputError, match=f"excerpt_50.json: row 2: .*'{field if field != 'gt_box' else ''}"):
            load(EXCERPT, EXCERPT | {field: value})

    def test_rows_that_are_no_records(self, load):
        with pytest.raises(InputError, match='row 1: must be a record'):
            load(3)
