"""``data.json`` as lichengunc/MAttNet tools/prepro.py:141-177, 267-283 writes it."""
import copy
import json

import pytest

from adapters.originals.mattnet_data import read_dataset, words_in_order
from harness.errors import InputError

WORDS = ['<PAD>', 'red', 'dog', 'left', '__background__', '<UNK>', '<BOS>', '<EOS>']
RECORD = {
    'refs': [
        {'ref_id': 3, 'split': 'val', 'category_id': 18, 'ann_id': 70, 'sent_ids': [32, 31],
         'box': [10.5, 20.25, 30.0, 40.0], 'image_id': 7, 'att_wds': ['red', 'big']},
        {'ref_id': 4, 'split': 'train', 'category_id': 1, 'ann_id': 80, 'sent_ids': [33], 'box': [0, 0, 5, 6],
         'image_id': 8, 'att_wds': []},
    ],
    'images': [
        {'image_id': 7, 'height': 100, 'width': 200, 'file_name': 'COCO_train2014_000000000007.jpg', 'ref_ids': [3],
         'ann_ids': [70, 71], 'h5_id': 0},
        {'image_id': 8, 'height': 50, 'width': 60, 'file_name': 'COCO_train2014_000000000008.jpg', 'ref_ids': [4],
         'ann_ids': [80], 'h5_id': 1},
    ],
    'anns': [
        {'ann_id': 70, 'category_id': 18, 'box': [10.5, 20.25, 30.0, 40.0], 'image_id': 7, 'h5_id': 0},
        {'ann_id': 71, 'category_id': 1, 'box': [1, 2, 3, 4], 'image_id': 7, 'h5_id': 1},
        {'ann_id': 80, 'category_id': 1, 'box': [0, 0, 5, 6], 'image_id': 8, 'h5_id': 2},
    ],
    'sentences': [
        {'sent_id': 31, 'tokens': ['red', 'dog'], 'h5_id': 0},
        {'sent_id': 32, 'tokens': ['<UNK>', 'dog', 'left', 'left'], 'h5_id': 1},
        {'sent_id': 33, 'tokens': ['left'], 'h5_id': 2},
    ],
    'word_to_ix': {word: WORDS.index(word) for word in sorted(WORDS)},
    'att_to_ix': {'big': 1, 'red': 0},
    'att_to_cnt': {'big': 2, 'red': 9},
    'cat_to_ix': {'dog': 18, 'person': 1},
    'label_length': 3,
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'cache' / 'prepro' / 'refcoco+_unc'
    folder.mkdir(parents=True)
    (folder / 'data.json').write_text(json.dumps(RECORD))
    return folder


def changed(folder, **changes):
    record = copy.deepcopy(RECORD)
    for path, value in changes.items():
        *parents, last = path.split('__')
        target = record
        for key in parents:
            target = target[int(key) if key.isdigit() else key]
        target[int(last) if last.isdigit() else last] = value
    (folder / 'data.json').write_text(json.dumps(record))
    with pytest.raises(InputError) as error:
        read_dataset(folder / 'data.json', None, None)
    message = str(error.value)
    assert len(message.splitlines()) == 1 and str(folder) in message
    return message


class TestDataset:
    def test_expressions_in_the_order_of_refs(self, folder):
        dataset = read_dataset(folder / 'data.json', None, None)
        assert (dataset.name, dataset.splits, dataset.categories) == ('refcoco+', ('val', 'train'), ('dog', 'person'))
        assert [e.sent_id for e in dataset.expressions] == [32, 31, 33]
        first = dataset.expressions[0]
        assert (first.tokens, first.sent) == (('<UNK>', 'dog', 'left', 'left'), '<UNK> dog left left')
        assert (first.ref_id, first.ann_id, first.image_id, first.category) == (3, 70, 7, 'dog')
        assert first.gt_xywh == (10.5, 20.25, 30, 40)

    def test_images_and_annotations(self, folder):
        dataset = read_dataset(folder / 'data.json', None, folder)
        assert (dataset.images[7].height, dataset.images[7].width) == (100, 200)
        assert dataset.images[7].path == folder / 'COCO_train2014_000000000007.jpg'
        assert [(a.ann_id, a.category) for a in dataset.annotations[7]] == [(70, 'dog'), (71, 'person')]

    def test_another_name(self, folder):
        assert read_dataset(folder / 'data.json', 'mine', None).name == 'mine'


class TestWords:
    def test_in_order_of_their_ids(self):
        assert list(words_in_order(RECORD, 'word_to_ix', 'data.json')) == WORDS

    def test_an_id_that_comes_twice(self):
        with pytest.raises(InputError, match="the ids in 'word_to_ix' must be 0 to 7, each once"):
            words_in_order({'word_to_ix': {**RECORD['word_to_ix'], 'red': 2}}, 'word_to_ix', 'data.json')

    def test_no_ids(self):
        with pytest.raises(InputError, match="'dep_to_ix' must be ids by word"):
            words_in_order({'dep_to_ix': [1]}, 'dep_to_ix', 'data_dep.json')


class TestRefusals:
    @pytest.mark.parametrize('changes, complaint', [
        ({'refs__0__ann_id': 80}, 'refs[0]: its annotation 80 is not one of image 7'),
        ({'refs__0__sent_ids': [31, 99]}, "refs[0]: one of its 'sent_ids' is not among"),
        ({'refs__1__sent_ids': [31]}, 'sent_id 31 comes twice'),
        ({'anns__1__category_id': 2}, "anns[1]: 'category_id' 2 is not in 'cat_to_ix'"),
        ({'anns__1__image_id': 9}, 'anns[1]: its image 9 is not in the file'),
        ({'anns__1__ann_id': 70}, 'ann_id 70 comes twice'),
        ({'images__1__image_id': 7}, 'image_id 7 occurs twice'),
        ({'images__1__file_name': '../secret.jpg'}, "images[1]: 'file_name' must be a bare name"),
        ({'sentences__0__tokens': 'red dog'}, "sentences[0]: 'tokens' must be a list"),
        ({'cat_to_ix__dog': 1}, 'category id 1 comes twice'),
    ])
    def test_of_a_field(self, folder, changes, complaint):
        assert complaint in changed(folder, **changes)
