"""``data.json`` and ``data.h5`` as lichengunc/MAttNet tools/prepro.py:141-177, 267-283 writes them."""
import copy
import json

import h5py
import numpy as np
import pytest

from adapters.originals.mattnet_data import read_mattnet_data
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
LABELS = np.array([[1, 2, 0], [5, 2, 3], [3, 0, 0]], np.int32)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'cache' / 'prepro' / 'refcoco+_unc'
    folder.mkdir(parents=True)
    (folder / 'data.json').write_text(json.dumps(RECORD))
    with h5py.File(folder / 'data.h5', 'w') as file:
        file.create_dataset('labels', dtype='int32', data=LABELS)
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
        read_mattnet_data(folder / 'data.json', folder / 'data.h5')
    message = str(error.value)
    assert len(message.splitlines()) == 1 and str(folder) in message
    return message


class TestDataset:
    def test_expressions_in_the_order_of_refs(self, folder):
        dataset = read_mattnet_data(folder / 'data.json').dataset
        assert (dataset.name, dataset.splits, dataset.categories) == ('refcoco+', ('val', 'train'), ('dog', 'person'))
        assert [e.sent_id for e in dataset.expressions] == [32, 31, 33]
        first = dataset.expressions[0]
        assert (first.tokens, first.sent) == (('<UNK>', 'dog', 'left', 'left'), '<UNK> dog left left')
        assert (first.ref_id, first.ann_id, first.image_id, first.category) == (3, 70, 7, 'dog')
        assert first.gt_xywh == (10.5, 20.25, 30, 40)

    def test_images_and_annotations(self, folder):
        dataset = read_mattnet_data(folder / 'data.json', images=folder).dataset
        assert (dataset.images[7].height, dataset.images[7].width) == (100, 200)
        assert dataset.images[7].path == folder / 'COCO_train2014_000000000007.jpg'
        assert [(a.ann_id, a.category) for a in dataset.annotations[7]] == [(70, 'dog'), (71, 'person')]

    def test_another_name(self, folder):
        assert read_mattnet_data(folder / 'data.json', name='mine').dataset.name == 'mine'


class TestWords:
    def test_in_order_of_their_ids(self, folder):
        data = read_mattnet_data(folder / 'data.json')
        assert list(data.vocabulary.words) == WORDS and data.vocabulary.max_length == 3
        assert data.labels is None

    def test_labels_are_what_the_vocabulary_encodes(self, folder):
        data = read_mattnet_data(folder / 'data.json', folder / 'data.h5')
        np.testing.assert_array_equal(data.labels, LABELS)
        for e in data.dataset.expressions:
            row = data.labels[data.sentence_rows[e.sent_id]]
            encoded = data.vocabulary.encode([e.tokens])[0].numpy()
            np.testing.assert_array_equal(row[:len(encoded)], encoded)
            assert not row[len(encoded):].any()

    def test_attributes_rows_and_categories(self, folder):
        data = read_mattnet_data(folder / 'data.json')
        assert (data.attributes.words, data.attributes.counts) == (('red', 'big'), (9, 2))
        assert data.said == {3: ('red', 'big'), 4: ()}
        assert data.annotation_rows == {70: 0, 71: 1, 80: 2}
        assert data.category_ids == {'dog': 18, 'person': 1}


class TestRefusals:
    @pytest.mark.parametrize('changes, complaint', [
        ({'word_to_ix__red': 2}, "the ids in 'word_to_ix' must be 0 to 7, each once"),
        ({'word_to_ix': {'red': 0, '<UNK>': 1}}, 'must have <PAD> as 0, and <UNK>'),
        ({'label_length': 0}, 'is no length of a sentence'),
        ({'refs__0__ann_id': 80}, 'refs[0]: its annotation 80 is not one of image 7'),
        ({'refs__0__sent_ids': [31, 99]}, "refs[0]: one of its 'sent_ids' is not among"),
        ({'refs__1__sent_ids': [31]}, 'sent_id 31 comes twice'),
        ({'refs__0__att_wds': ['huge']}, "refs[0]: one of its 'att_wds' is not in 'att_to_ix'"),
        ({'anns__1__h5_id': 0}, "the 'h5_id' of anns must be 0 to 2"),
        ({'anns__1__category_id': 2}, "anns[1]: 'category_id' 2 is not in 'cat_to_ix'"),
        ({'anns__1__image_id': 9}, 'anns[1]: its image 9 is not in the file'),
        ({'anns__1__ann_id': 70}, 'ann_id 70 comes twice'),
        ({'images__1__image_id': 7}, 'image_id 7 comes twice'),
        ({'images__1__file_name': '../secret.jpg'}, "images[1]: 'file_name' must be a bare name"),
        ({'sentences__0__tokens': 'red dog'}, "sentences[0]: 'tokens' must be a list"),
        ({'cat_to_ix__dog': 1}, 'category id 1 comes twice'),
        ({'att_to_cnt': {}}, "att_to_cnt: has no 'red'"),
        ({'label_length': 4}, 'has the shape (3, 3), expected is (3, 4)'),
        ({'word_to_ix': {'<PAD>': 0, '<UNK>': 1}}, "'labels' must be ids of the 2 words"),
    ])
    def test_of_a_field(self, folder, changes, complaint):
        assert complaint in changed(folder, **changes)

    def test_of_labels_of_another_file(self, folder):
        with h5py.File(folder / 'data.h5', 'w') as file:
            file.create_dataset('labels', dtype='int32', data=LABELS[:2])
        with pytest.raises(InputError, match=r'has the shape \(2, 3\), expected is \(3, 3\)'):
            read_mattnet_data(folder / 'data.json', folder / 'data.h5')
