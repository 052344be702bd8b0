"""Datasets in REFER's layout: what is read, in which order, and what is refused."""
import hashlib
import json
import pickle
from pathlib import Path

import pytest

from harness.data.refer import load_refer
from harness.errors import InputError
from harness.types import Expression, ImageInfo


def refs():
    """Two referents of image 7, out of the order of their ids, and one of image 3."""
    def sentence(sent_id, sent, **more):
        return {'sent_id': sent_id, 'sent': sent, 'raw': sent.upper(), 'tokens': sent.split(), **more}

    return [
        {'ref_id': 20, 'ann_id': 101, 'image_id': 7, 'category_id': 47, 'split': 'testB', 'sent_ids': [5, 4],
         'file_name': 'COCO_train2014_000000000007_101.jpg',
         'sentences': [sentence(5, 'left cup'),
                       sentence(4, 'cup by the dog', context_ann_ids=[100], logic=['near', 1])]},
        {'ref_id': 10, 'ann_id': 100, 'image_id': 7, 'category_id': 18, 'split': 'testB', 'sent_ids': [9],
         'file_name': 'COCO_train2014_000000000007_100.jpg', 'sentences': [sentence(9, 'dog')]},
        {'ref_id': 11, 'ann_id': 102, 'image_id': 3, 'category_id': 18, 'split': 'val', 'sent_ids': [1],
         'file_name': 'COCO_train2014_000000000003_102.jpg', 'sentences': [sentence(1, 'puppy')]},
    ]


def instances():
    return {
        'images': [{'id': i, 'height': 240, 'width': 320, 'file_name': f'COCO_train2014_{i:012d}.jpg'}
                   for i in (3, 7, 8)],
        'annotations': [
            {'id': 100, 'image_id': 7, 'category_id': 18, 'bbox': [10.25, 20, 30, 40.5], 'segmentation': [],
             'attributes': {'color': 'brown'}},
            {'id': 101, 'image_id': 7, 'category_id': 47, 'bbox': [-1.5, 0, 330, 9],
             'segmentation': [[0, 0, 9, 0, 9, 9]]},
            {'id': 102, 'image_id': 3, 'category_id': 18, 'bbox': [1, 2, 3, 4]},
            {'id': 103, 'image_id': 3, 'category_id': 18, 'bbox': [1, 2, 0, 0]},
            {'id': 104, 'image_id': 8, 'category_id': 18, 'bbox': [1, 2, 3, 4]},
        ],
        'categories': [{'id': 47, 'name': 'cup'}, {'id': 18, 'name': 'dog'}],
    }


class Files:
    """A dataset ``tiny`` on disk whose content a test may spoil before it is read."""

    def __init__(self, root: Path):
        self.root, self.refs, self.instances = root, refs(), instances()

    def write(self, form='p'):
        folder = self.root / 'tiny'
        folder.mkdir(exist_ok=True)
        content = pickle.dumps(self.refs, 2) if form == 'p' else json.dumps(self.refs).encode()
        (folder / f'refs(unc).{form}').write_bytes(content)
        (folder / 'instances.json').write_text(json.dumps(self.instances))
        return self

    def load(self):
        return load_refer(self.root, 'tiny', 'unc')

    def refusal(self):
        with pytest.raises(InputError) as error:
            self.write().load()
        message = str(error.value)
        assert len(message.splitlines()) == 1 and str(self.root / 'tiny') in message
        return message


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


class TestWhatIsRead:
    def test_expressions_in_file_order(self, files):
        assert [(e.split, e.ref_id, e.sent_id, e.sent) for e in files.write().load().expressions] == [
            ('testB', 20, 5, 'left cup'), ('testB', 20, 4, 'cup by the dog'), ('testB', 10, 9, 'dog'),
            ('val', 11, 1, 'puppy')]

    def test_an_expression_has_its_referents_annotation(self, files):
        assert files.write().load().expressions[0] == Expression(
            dataset='tiny', split='testB', image_id=7, sent_id=5, sent='left cup', tokens=('left', 'cup'),
            gt_xywh=(-1.5, 0.0, 330.0, 9.0), ref_id=20, ann_id=101, category='cup')

    def test_fields_beyond_refers_are_the_scenes_truth(self, files):
        first, second, *_ = files.write().load().expressions
        assert first.truth is None
        assert second.truth == {'context_ann_ids': [100], 'logic': ['near', 1]}

    def test_images_that_refs_mention_by_cocos_file_name(self, files):
        folder = files.root / 'images' / 'train2014'
        assert files.write().load().images == {
            i: ImageInfo(i, 240, 320, folder / f'COCO_train2014_{i:012d}.jpg') for i in (3, 7)}

    def test_another_image_folder(self, files):
        dataset = load_refer(files.write().root, 'tiny', 'unc', images=Path('elsewhere'))
        assert dataset.images[7].path == Path('elsewhere/COCO_train2014_000000000007.jpg')

    def test_all_annotations_of_these_images(self, files):
        annotations = files.write().load().annotations
        assert {i: [a.ann_id for a in members] for i, members in annotations.items()} == {3: [102, 103], 7: [100, 101]}
        dog, cup = annotations[7]
        assert dog.xywh == (10.25, 20.0, 30.0, 40.5) and dog.category == 'dog' and dog.attributes == {'color': 'brown'}
        assert dog.segmentation is None
        assert cup.segmentation == [[0, 0, 9, 0, 9, 9]] and cup.attributes is None

    def test_categories_in_order_of_their_ids(self, files):
        assert files.write().load().categories == ('dog', 'cup')

    def test_json_in_place_of_the_pickle(self, files):
        pickled = files.write().load()
        (files.root / 'tiny' / 'refs(unc).p').unlink()
        assert files.write('json').load().expressions == pickled.expressions

    def test_the_hash_is_of_both_files(self, files):
        dataset = files.write().load()
        content = b''.join((files.root / 'tiny' / name).read_bytes() for name in ('refs(unc).p', 'instances.json'))
        assert dataset.data_hash == hashlib.sha256(content).hexdigest()

    def test_an_empty_sentence_is_an_expression(self, files):
        files.refs[1]['sentences'][0].update(sent='', tokens=[])
        assert files.write().load().expressions[2].tokens == ()


SPOILED = {
    "refs[1]: has no 'image_id'": lambda f: f.refs[1].pop('image_id'),
    "refs[0]: has no 'split'": lambda f: f.refs[0].pop('split'),
    "refs[0]: sentences[1]: has no 'tokens'": lambda f: f.refs[0]['sentences'][1].pop('tokens'),
    "'tokens' must be a list of words": lambda f: f.refs[0]['sentences'][0].update(tokens=['left', 1]),
    "'sentences' must be a list": lambda f: f.refs[2].update(sentences='puppy'),
    "'sent' must be text, not a whole number": lambda f: f.refs[0]['sentences'][0].update(sent=3),
    "'sent' is not valid Unicode": lambda f: f.refs[0]['sentences'][0].update(sent='\ud800'),
    "'split' is empty": lambda f: f.refs[0].update(split=' '),
    "'ref_id' must be an integer, not text": lambda f: f.refs[0].update(ref_id='20'),
    "'ref_id' must be an integer, not true or false": lambda f: f.refs[0].update(ref_id=True),
    "'ref_id' is beyond 64 bits": lambda f: f.refs[0].update(ref_id=10**5000),
    'refs[1]: must be a record with named fields, not a list': lambda f: f.refs.__setitem__(1, []),
    'must be a list of refs, not a record': lambda f: setattr(f, 'refs', {}),
    'ref_id 20 comes twice': lambda f: f.refs[1].update(ref_id=20),
    'sent_id 4 comes twice': lambda f: f.refs[1]['sentences'][0].update(sent_id=4),
    'refs[2]: its image 5 is not in instances.json': lambda f: f.refs[2].update(image_id=5),
    'refs[2]: its annotation 100 is not one of image 3': lambda f: f.refs[2].update(ann_id=100),
    'refs[2]: its annotation 103 has no area': lambda f: f.refs[2].update(ann_id=103),
    "'context_ann_ids' must be ids of the image's annotations":
        lambda f: f.refs[0]['sentences'][1].update(context_ann_ids=[102]),
    "instances.json: has no 'categories'": lambda f: f.instances.pop('categories'),
    'instances.json: must be a record': lambda f: setattr(f, 'instances', [1]),
    'image id 7 comes twice': lambda f: f.instances['images'][0].update(id=7),
    "images[1]: 'height' and 'width' must be over 0": lambda f: f.instances['images'][1].update(height=0),
    "images[0]: 'height' must be an integer": lambda f: f.instances['images'][0].update(height=24.5),
    "is no image's size": lambda f: f.instances['images'][1].update(height=10**6, width=10**6),
    "'file_name' must be a bare name": lambda f: f.instances['images'][1].update(file_name='../../secret'),
    'annotation id 101 comes twice': lambda f: f.instances['annotations'][0].update(id=101),
    "annotations[1]: 'bbox' has a negative width or height":
        lambda f: f.instances['annotations'][1].update(bbox=[0, 0, -1, 5]),
    "annotations[2]: 'bbox' must be four numbers": lambda f: f.instances['annotations'][2].update(bbox=[1, 2, 3]),
    "annotations[0]: 'bbox' must be four numbers": lambda f: f.instances['annotations'][0].update(bbox=[1, 2, 3, '4']),
    "'bbox' holds a number that is not finite": lambda f: f.instances['annotations'][0].update(bbox=[1, 2, 3, 10**400]),
    "'category_id' 99 is none of the file's categories":
        lambda f: f.instances['annotations'][0].update(category_id=99),
    "'attributes' must be a record": lambda f: f.instances['annotations'][0].update(attributes=[1]),
    'category id 18 comes twice': lambda f: f.instances['categories'][0].update(id=18),
    'category dog comes twice': lambda f: f.instances['categories'][0].update(name='dog'),
}


class TestWhatIsRefused:
    @pytest.mark.parametrize('message', SPOILED)
    def test_one_line_with_file_record_and_field(self, files, message):
        SPOILED[message](files)
        assert message in files.refusal()

    def test_nan(self, files):
        files.instances['annotations'][0]['bbox'][2] = float('nan')
        assert 'is not valid JSON (NaN is no number)' in files.refusal()

    @pytest.mark.parametrize('missing', ['refs(unc).p', 'instances.json'])
    def test_a_missing_file(self, files, missing):
        (files.write().root / 'tiny' / missing).unlink()
        with pytest.raises(InputError, match='there is no such file'):
            files.load()

    def test_a_missing_folder_says_what_to_give(self, tmp_path):
        with pytest.raises(InputError, match='give the folder that holds tiny/'):
            load_refer(tmp_path, 'tiny', 'unc')

    def test_a_hostile_pickle(self, files):
        (files.write().root / 'tiny' / 'refs(unc).p').write_bytes(b'cos\nsystem\n(S"true"\ntR.')
        with pytest.raises(InputError, match=r'refs\(unc\)\.p: references os\.system'):
            files.load()

    @pytest.mark.parametrize('content', [b'', b'{"images": [', b'\xff\xfe', b'[' * 100_000])
    def test_damaged_instances(self, files, content):
        (files.write().root / 'tiny' / 'instances.json').write_bytes(content)
        with pytest.raises(InputError, match=r'instances\.json: is') as error:
            files.load()
        assert len(str(error.value).splitlines()) == 1
